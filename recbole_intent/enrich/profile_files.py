"""The files of texts beside a dataset's atomic files: what `enrich --for=ISRF` writes.

    <name>.item_profile, <name>.user_profile   {"id", "positive", "negative", "fused", "source"}
    <name>.profile.manifest.json               where they come from: source, prompts, counts

The first two are JSON lines, UTF-8; vectors of their texts are `data.text_vectors`, named by their
semantics. Texts of another semantics take the place of these; what a model answered stays in the
cache `<name>.answers.sqlite` beside the dataset, so that its texts come back without asking.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from recbole_intent.data.text_vectors import Kind, Text
from recbole_intent.enrich.record_files import read_records

PROFILES: dict[Kind, str] = {"item": ".item_profile", "user": ".user_profile"}
MANIFEST, REPORT = ".profile.manifest.json", ".profile.report.md"
LLM, METADATA = "llm", "metadata"


@dataclass(frozen=True)
class Profile:
    """What is said of an item or a user.

    Attributes:
        id: raw id.
        positive: kinds of users who may like the item; what the user likes.
        negative: kinds of users who may dislike it; what the user dislikes.
        fused: the item's key features, or the user's core interests.
        source: `llm`; or `metadata`: `fused` is of the .item file, the other two are empty.
    """

    id: str
    positive: str
    negative: str
    fused: str
    source: str

    def text(self, which: Text) -> str:
        """One of the three texts; of metadata always the one that there is."""
        if self.source == METADATA:
            return self.fused
        return {"positive": self.positive, "negative": self.negative, "fused": self.fused}[which]


def plain_profile(name: str, text: str) -> Profile:
    """A profile of metadata."""
    return Profile(name, "", "", text, METADATA)


def profile_path(folder: str | Path, dataset: str, kind: Kind) -> Path:
    """Where the profiles of `item` or `user` lie."""
    return Path(folder) / f"{dataset}{PROFILES[kind]}"


def read_profiles(path: str | Path) -> Iterator[Profile]:
    """The lines of a file of profiles.

    Raises:
        UserError: absent, or a line that is not of this form (named).
    """
    return read_records(path, Profile)
