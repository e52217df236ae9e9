"""Text files next to a dataset's atomic files, written by `enrich --for=ISRF`.

    <name>.item_profile, <name>.user_profile   {"id", "positive", "negative", "fused", "source"}
    <name>.profile.manifest.json               where they come from: source, prompts, counts

The first two are JSON lines, UTF-8; vectors of their texts are `data.text_vectors`, named by their
semantics. Texts with other semantics replace these files. Model answers stay in the cache
`<name>.answers.sqlite` next to the dataset, so that the texts can be restored without requests.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from recbole_intent.data.formats.record_files import read_records
from recbole_intent.data.formats.text_vectors import Kind, Text

PROFILES: dict[Kind, str] = {"item": ".item_profile", "user": ".user_profile"}
MANIFEST, REPORT = ".profile.manifest.json", ".profile.report.md"
LLM, METADATA = "llm", "metadata"


@dataclass(frozen=True)
class Profile:
    """Texts about an item or a user.

    Attributes:
        id: raw id.
        positive: kinds of users who may like the item; what the user likes.
        negative: kinds of users who may dislike it; what the user dislikes.
        fused: the item's key features, or the user's core interests.
        source: `llm`, or `metadata` (`fused` from the .item file, the other two empty).
    """

    id: str
    positive: str
    negative: str
    fused: str
    source: str

    def text(self, which: Text) -> str:
        """One of the three texts; for metadata always `fused`."""
        if self.source == METADATA:
            return self.fused
        return {"positive": self.positive, "negative": self.negative, "fused": self.fused}[which]


def plain_profile(name: str, text: str) -> Profile:
    """Make a profile from metadata."""
    return Profile(name, "", "", text, METADATA)


def profile_path(folder: str | Path, dataset: str, kind: Kind) -> Path:
    """The path of the profiles of kind `item` or `user`."""
    return Path(folder) / f"{dataset}{PROFILES[kind]}"


def read_profiles(path: str | Path) -> Iterator[Profile]:
    """Iterate over the profiles of a file.

    Raises:
        UserError: a missing file or a malformed line (named).
    """
    return read_records(path, Profile)
