"""ISRF's explanations: a user's interests in words, and similar users with shared categories."""

import math
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from recbole_intent.data.formats.item_categories import COLUMNS, item_categories
from recbole_intent.data.formats.item_texts import ItemTexts
from recbole_intent.data.formats.profile_files import METADATA, Profile, profile_path, read_profiles
from recbole_intent.data.formats.text_vectors import Text, vectors_for
from recbole_intent.data.loading.text_files import texts_folder
from recbole_intent.modeling.explain import Intent, nearest_items
from recbole_intent.models.isrf.semantics import read_user_vectors, user_vector_file
from recbole_intent.utils.errors import UserError

_ALIKE = 3  # number of similar users shown
_SHARED = 3  # number of shared categories shown for each


class Reasons:
    """The texts behind a user's group, read once.

    Args:
        config: configuration of the run.
        dataset: the training split, whose histories are used.

    Raises:
        UserError: the run has no user texts.
    """

    def __init__(self, config: Any, dataset: Any) -> None:
        if user_vector_file(config) is None:
            raise UserError(
                "--explain: this ISRF was trained without texts of users, and knows no users "
                "alike; train one with align_weight above 0 and use_alignment_direct or "
                "use_alignment_sequential: True"
            )
        self.users = dataset.field2id_token[dataset.uid_field]
        self.vectors = torch.from_numpy(vectors_for(read_user_vectors(config, dataset), self.users))
        self.vectors = torch.nn.functional.normalize(self.vectors, dim=1)
        self.histories = dataset.inter_matrix(form="csr")
        items = dataset.field2id_token[dataset.iid_field]
        self.categories = self._categories(config, items)
        having = Counter(name for names in self.categories for name in names)
        self._weight = {name: math.log(len(items) / count) for name, count in having.items()}
        self._words: dict[str, str] = {}
        profiles = profile_path(texts_folder(config), config["dataset"], "user")
        if profiles.is_file():
            self._words = {
                each.id: _told(each, config["user_text"]) for each in read_profiles(profiles)
            }

    @staticmethod
    def _categories(config: Any, items: Any) -> list[tuple[str, ...]]:
        path = Path(config["data_path"]) / f"{config['dataset']}.item"
        if path.is_file():
            texts = ItemTexts(path, [str(item) for item in items])
            if any(name in texts.columns for name in COLUMNS):
                return item_categories(texts)[1]
        return [()] * len(items)

    def of(self, user: int, cosine: Tensor, items: Tensor, n_items: int) -> list[Intent]:
        """The user's own interests, then the most similar users in descending order.

        The text of the first comes from a language model, or says that it comes from metadata.

        Args:
            user: user id.
            cosine: (n,) cosines of the history's items with the user's explicit interest.
            items: (n,) the history, 0 for padding.
            n_items: maximum number of items to show.

        Returns:
            Intents; the first has weight 1, a similar user the cosine of the texts.
        """
        words = self._words.get(str(self.users[user])) or None
        intents = [Intent(1.0, words, nearest_items(cosine, items, n_items))]
        alike = self.vectors @ self.vectors[user]
        alike[[0, user]] = -math.inf
        most = alike.topk(min(_ALIKE, len(alike) - 2))
        for cosine_of_texts, other in zip(*map(Tensor.tolist, most), strict=True):
            shared = ", ".join(self.shared(user, other)) or "no category"
            text = f"like user {self.users[other]}: both have {shared}"
            intents.append(Intent(min(max(cosine_of_texts, 0.0), 1.0), text))
        return intents

    def shared(self, user: int, other: int) -> list[str]:
        """The most specific categories (by tf-idf) shared by two users' training items."""
        counts = [
            Counter(name for item in self._items(each) for name in self.categories[item])
            for each in (user, other)
        ]
        both = counts[0] & counts[1]
        return sorted(both, key=lambda name: (-both[name] * self._weight[name], name))[:_SHARED]

    def _items(self, user: int) -> list[int]:
        start, end = self.histories.indptr[user : user + 2]
        return self.histories.indices[start:end].tolist()


def _told(profile: Profile, which: Text) -> str:
    """The profile text behind the run's vectors, marked if it comes from metadata."""
    text = profile.text(which)
    return f"metadata of the user's items: {text}" if profile.source == METADATA else text
