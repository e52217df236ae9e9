"""ISRF: T5 writes the next item, told by whole words of whom and what it reads."""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from recbole.model.abstract_recommender import SequentialRecommender
from recbole.utils import InputType
from torch import Tensor, nn

from recbole_intent.data.direct_batches import CANDIDATES
from recbole_intent.data.graph_edges import graph_edges
from recbole_intent.data.item_ids import item_ids
from recbole_intent.data.prompts import NEW_USER, TEMPLATES, Prompts, PromptWriter
from recbole_intent.errors import UserError
from recbole_intent.model.candidates import ScoresCandidates
from recbole_intent.model.explain import ExplainsIntents, Intent
from recbole_intent.model.isrf_options import (
    DIRECT,
    SEQUENTIAL,
    check_options,
    chooses_among_candidates,
    uses_decoder_words,
)
from recbole_intent.model.isrf_reasons import Reasons
from recbole_intent.model.semantics import item_vectors, reduced, users_alike
from recbole_intent.model.t5 import make_t5
from recbole_intent.nn.interests import (
    ExplicitInterest,
    FrozenItems,
    GroupInterest,
    ItemAdapter,
    RandomItems,
)
from recbole_intent.nn.losses import info_nce, soft_target_alignment
from recbole_intent.nn.one_token import first_logits
from recbole_intent.nn.trie import Trie
from recbole_intent.nn.trie_search import beam_search, dense_scores, score_all, score_candidates

_ENCODED_AT_ONCE = 2**15  # tokens of prompts, where no gradient needs them all: they stay in a cache


@dataclass(frozen=True)
class Reading:
    """What T5's encoder has read.

    Attributes:
        task: sequential or direct.
        hidden: (B, P + S, d), its outputs.
        mask: (B, P + S) bool, False where a prompt has ended.
        user: (B,), whom the prompts name; None where they name nobody.
        E: (U + V, d), whose rows their whole words are; None where places number them.
    """

    task: str
    hidden: Tensor
    mask: Tensor
    user: Tensor | None
    E: Tensor | None

    @property
    def encoded(self) -> tuple[Tensor, Tensor]:
        """What a decoder looks at."""
        return self.hidden, self.mask


class ISRF(ScoresCandidates, ExplainsIntents, SequentialRecommender):
    """Iterative Semantic Reasoning from Individual to Group Interests for Recommendation.

    | symbol | shape | meaning | source |
    |---|---|---|---|
    | B, S, d, U, V | | prompts of a batch, tokens of a prompt, T5's width, users, items | |
    | X | (B, S, d) | t_j + α w(j): a token's vector and its whole word's | (1) |
    | E | (U + V, d) | explicit interests, mean of layers over [users; e_v] (`explicit`) | (2)-(4) |
    | w | (1 + U + V, d) | whole words: w_0 of words that are no ids, rows of E | (5) |
    | G | (U, d) | group interests: as E among users alike (`group`) | (6), (7) |
    | p_u | (B, d) | mean of the whole words of the history's items | |

    Two tasks, one T5: *sequential*, history -> next item; *direct*, candidates -> the one that
    is the user's. A batch with a column `candidates` is direct. Loss: cross-entropy of the tokens
    of the item (11) + `align_weight` * alignment (10): of G with E of the user, which stands
    still, in the direct task (8), of G with p_u in the sequential one (9).

    An item's score is T5's log-probability of its id: of all items by `full_sort_predict`, from
    the history; of some by `score_candidates`, from a prompt that names them. Where ids have
    several tokens, `decode: beam` leaves -inf to items that no beam reached.

    `decoder_whole_words` (ours): where an item is one token, whole words reach the decoder too. It
    begins with the user's, and an item's logit is h · (t_v + α w(v)), its vector as in (1): the
    graph and the texts tell T5 from its first step on what it would else have to learn to copy.

    `hide_targets`: the edges between users and targets of a training batch leave the graph for
    that step; else E tells the answer in training, and never in a test.

    Raises:
        UserError: a property outside its range, or texts, T5 or libraries that are not there.
    """

    input_type = InputType.POINTWISE

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        check_options(config)
        self.tasks = tuple(config["tasks"])
        self.n_users = dataset.num(self.USER_ID)
        self.config, self._dataset = config, dataset
        self._reasons: Reasons | None = None
        z = item_vectors(config, dataset)
        ids = item_ids(config, dataset, z)
        self.t5, tokenizer = make_t5(config, ids)
        self.writer = PromptWriter(tokenizer, self.n_users, ids)
        self.trie = None
        if not self.writer.one_token:
            self.trie = Trie(self.writer.targets, tokenizer.pad_token_id, tokenizer.eos_token_id)
        d, layers, sigma = self.t5.config.d_model, config["gcn_layers"], config["sigma"]
        self.explicit = ExplicitInterest(
            *graph_edges(config, dataset),
            self.n_users,
            _item_part(config, z, self.n_items, d),
            self.n_items,
            d,
            layers,
            sigma,
        )
        aligned = {
            SEQUENTIAL: config["use_alignment_sequential"],
            DIRECT: config["use_alignment_direct"],
        }
        self.aligned = [task for task in self.tasks if aligned[task] and config["align_weight"]]
        self.group = None
        if self.aligned:
            self.group = GroupInterest(
                self.n_users, d, layers, sigma, lambda: users_alike(config, dataset)
            )
        self.loss_names = (*self.tasks, *(f"align_{task}" for task in self.aligned))
        self.alpha = {SEQUENTIAL: config["alpha_sequential"], DIRECT: config["alpha_direct"]}
        self.other_word = nn.Parameter(torch.zeros(d))  # w_0
        self.by_place = config["sequential_whole_word"] == "position"
        if self.by_place:
            self.places = nn.Parameter(torch.randn(config["MAX_ITEM_LIST_LENGTH"] + 1, d))
        n_soft = config["n_soft_prompts"]
        self.soft_prompts = nn.ParameterDict(
            {task: nn.Parameter(0.1 * torch.randn(n_soft, d)) for task in self.tasks}
        )
        self.decoder_words = uses_decoder_words(config, self.trie is None)
        self.among_candidates = chooses_among_candidates(config, self.trie is None)
        hides = config["hide_targets"]
        self.hides_targets = config["protocol"] == "clean" if hides == "auto" else hides
        self._settled: Tensor | None = None  # E while weights stand still
        self.register_load_state_dict_post_hook(lambda model, _: model._forget())

    def train(self, mode: bool = True) -> "ISRF":
        self._forget()
        return super().train(mode)

    def _forget(self) -> None:
        self._settled = None

    # --- from prompts to T5's encoder ------------------------------------------------------------

    def interests(self, hidden: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """E (U + V, d); without gradients it is computed once until `train` or `eval` is called."""
        if hidden is not None or torch.is_grad_enabled():
            return self.explicit(hidden)
        if self._settled is None:
            self._settled = self.explicit()
        return self._settled

    def whole_words(self, prompts: Prompts, E: Tensor | None) -> Tensor:
        """w(j) (B, S, d) of every token; E is not read where places number the ids."""
        named, index = (self.places, prompts.place) if E is None else (E, prompts.node + 1)
        return F.embedding(index, torch.cat([self.other_word[None], named]))

    def encode(self, task: str, prompts: Prompts, E: Tensor | None) -> tuple[Tensor, Tensor]:
        """The encoder's outputs (B, P + S, d) and their mask, P soft prompts first."""
        alpha, soft = self.alpha[task], self.soft_prompts[task]
        x = self.t5.get_input_embeddings()(prompts.tokens)
        x = x + alpha * self.whole_words(prompts, E)  # (1)
        soft = (soft + alpha * self.other_word).expand(len(x), -1, -1)
        mask = F.pad(prompts.mask, (len(self.soft_prompts[task]), 0), value=True)
        x = torch.cat([soft, x], dim=1)
        rows = len(x) if torch.is_grad_enabled() else max(1, _ENCODED_AT_ONCE // x.size(1))
        encoder = self.t5.get_encoder()
        parts = zip(x.split(rows), mask.split(rows), strict=True)
        hidden = [encoder(inputs_embeds=part, attention_mask=seen)[0] for part, seen in parts]
        return torch.cat(hidden) if len(hidden) > 1 else hidden[0], mask

    def _template(self, task: str) -> str:
        forms = TEMPLATES[task]
        if not self.training:
            return forms[0]
        if self.config["training_prompts"] == "bare":
            # Some without a user, as new histories are.
            forms = (*[forms[0]] * 3, forms[NEW_USER]) if task == SEQUENTIAL else forms[:1]
        return forms[int(torch.randint(len(forms), ()))]

    def _read_history(self, interaction: Any, E: Tensor | None) -> Reading:
        items = interaction[self.ITEM_SEQ]
        if self.USER_ID in interaction.interaction:
            user, template = interaction[self.USER_ID], self._template(SEQUENTIAL)
        else:
            user, template = None, TEMPLATES[SEQUENTIAL][NEW_USER]
        prompts = self.writer.write(template, user, items)
        if template == TEMPLATES[SEQUENTIAL][NEW_USER]:
            user = None
        return Reading(SEQUENTIAL, *self.encode(SEQUENTIAL, prompts, E), user, E)

    def _read_candidates(self, user: Tensor, items: Tensor, E: Tensor) -> Reading:
        prompts = self.writer.write(self._template(DIRECT), user, items)
        return Reading(DIRECT, *self.encode(DIRECT, prompts, E), user, E)

    # --- training --------------------------------------------------------------------------------

    def calculate_loss(self, interaction: Any) -> tuple[Tensor, ...]:
        """The terms that `loss_names` names; those of the other task are zero."""
        task = DIRECT if CANDIDATES in interaction.interaction else SEQUENTIAL
        user, target = interaction[self.USER_ID], interaction[self.POS_ITEM_ID]
        E = None
        if task == DIRECT or not self.by_place:
            hides = self.hides_targets and self.training
            E = self.interests((user, target) if hides else None)
        if task == DIRECT:
            candidates = interaction[CANDIDATES]
            read = self._read_candidates(user, candidates, E)
            text = self._choice_loss(read, candidates, target)
        else:
            read = self._read_history(interaction, E)
            text = self._text_loss(read, target)
        found = {task: text}
        if task in self.aligned and self._aligns_now():
            known = E[user].detach() if task == DIRECT else self._history_mean(interaction, E)
            found[f"align_{task}"] = self._weight() * self._alignment(user, known)
        zero = target.new_zeros((), dtype=torch.float32)
        return tuple(found.get(name, zero) for name in self.loss_names)

    def _text_loss(self, read: Reading, item: Tensor) -> Tensor:
        """Mean cross-entropy of the tokens of items (B,), padding left out (11)."""
        labels = self.writer.targets[item]
        if self.trie is None:
            return F.cross_entropy(self._first_logits(read), labels[:, 0])
        labels = labels.masked_fill(labels == self.writer.pad, -100)
        hidden, mask = read.encoded
        return self.t5(encoder_outputs=(hidden,), attention_mask=mask, labels=labels).loss

    def _choice_loss(self, read: Reading, candidates: Tensor, item: Tensor) -> Tensor:
        """As `_text_loss`; with `direct_loss: candidates` no other item is in the softmax."""
        if not self.among_candidates:
            return self._text_loss(read, item)
        logits = self._first_logits(read).gather(1, self.writer.targets[candidates, 0])
        return F.cross_entropy(logits, (candidates == item[:, None]).int().argmax(dim=1))

    def _aligns_now(self) -> bool:
        # One batch in `align_every`, at `align_every` times the weight: the same on average.
        every = self.config["align_every"]
        return self.training and (every == 1 or bool(torch.rand(()) < 1 / every))

    def _weight(self) -> float:
        return self.config["align_weight"] * self.config["align_every"]

    def _history_mean(self, interaction: Any, E: Tensor | None) -> Tensor:
        """p_u (B, d)."""
        items = interaction[self.ITEM_SEQ]
        is_item = (items > 0).unsqueeze(2)
        if E is None:  # the user is the first in the prompt, its items follow
            words = self.places[1 : items.size(1) + 1]
        else:
            words = F.embedding(items + self.n_users, E)
        return (words * is_item).sum(dim=1) / is_item.sum(dim=1).clamp_min(1)

    def _alignment(self, user: Tensor, known: Tensor) -> Tensor:
        """Of G with what is `known` (B, d) of users (B,): (8), (9)."""
        group = self.group()[user]
        if self.config["alignment"] == "soft_target":
            return soft_target_alignment(group, known)
        return info_nce(group, known, self.config["align_temperature"], group=user)

    # --- scoring ---------------------------------------------------------------------------------

    @torch.no_grad()
    def full_sort_predict(self, interaction: Any) -> Tensor:
        """Log-probabilities (B, V) of all items after each history; -inf where no beam came."""
        read = self._read_history(interaction, None if self.by_place else self.interests())
        if self.trie is None:
            return self._first_tokens(read)
        if self.config["decode"] == "exact":
            return score_all(self.t5, *read.encoded, self.trie)
        beams = min(self.config["num_beams"], self.n_items - 1)
        return dense_scores(*beam_search(self.t5, *read.encoded, self.trie, beams), self.n_items)

    def predict(self, interaction: Any) -> Tensor:
        """Log-probabilities (B,) of the one item that each row names."""
        item = interaction[self.ITEM_ID][:, None]
        return self.full_sort_predict(interaction).gather(1, item).squeeze(1)

    @torch.no_grad()
    def score_candidates(self, interaction: Any, candidates: Tensor) -> Tensor:
        """Log-probabilities (B, C) of candidates that the prompt names, whatever their order."""
        if DIRECT not in self.tasks:
            return self.full_sort_predict(interaction).gather(1, candidates)
        items = candidates.sort(dim=1).values
        read = self._read_candidates(interaction[self.USER_ID], items, self.interests())
        if self.trie is None:
            return self._first_tokens(read).gather(1, candidates)
        return score_candidates(self.t5, *read.encoded, self.trie, candidates)

    @torch.no_grad()
    def explain(self, interaction: Any, n_items: int) -> list[list[Intent]]:
        """Each user's interests, and the users most alike with the categories that they share.

        The first intent has weight 1, the user's interests in words where `enrich` wrote a
        profile, and the items of the history nearest to the user in E. Of each user alike the
        weight is the cosine of the texts.

        Raises:
            UserError: new histories, which have no user; or no texts of users.
        """
        if self.USER_ID not in interaction.interaction:
            raise UserError("--explain: ISRF tells of users of the dataset: --users=FILE or all")
        if self._reasons is None:
            self._reasons = Reasons(self.config, self._dataset)
        E = self.interests()
        user, items = interaction[self.USER_ID], interaction[self.ITEM_SEQ]
        cosine = F.cosine_similarity(E[user][:, None], E[items + self.n_users], dim=2)
        rows = zip(user.tolist(), cosine.cpu(), items.cpu(), strict=True)
        return [self._reasons.of(u, c, i, n_items) for u, c, i in rows]

    def _first_logits(self, read: Reading) -> Tensor:
        """Logits (B, N) of the first token that T5 writes."""
        start = named = None
        if self.decoder_words and read.E is not None:
            alpha = self.alpha[read.task]
            start = alpha * (self.other_word if read.user is None else read.E[read.user])
            named = self.writer.targets[1:, 0], alpha * read.E[self.n_users + 1 :]
        return first_logits(self.t5, *read.encoded, start, named)

    def _first_tokens(self, read: Reading) -> Tensor:
        """Log-probabilities (B, V) where each item is one token: one step of the decoder."""
        return self._first_logits(read).float().log_softmax(dim=1)[:, self.writer.targets[:, 0]]


def _item_part(config: Any, z: Any, n_items: int, width: int) -> nn.Module:
    if z is None:
        return RandomItems(n_items, width, config["sigma"])
    if not config["use_adapter"]:
        return FrozenItems(reduced(z, width))
    size = min(config["semantic_size"], *z[1:].shape)
    return ItemAdapter(reduced(z, size), width, config["adapter_activation"])
