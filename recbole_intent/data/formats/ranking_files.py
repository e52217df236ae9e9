"""Rankings of candidates by a language model, written by `enrich` and read by PO4ISR.

    <name>.ranking                {"part", "session", "candidates", "ranking"}
    <name>.ranking.manifest.json  where they come from: source, prompts, the strategy, counts

The first is JSON lines, UTF-8.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from recbole_intent.data.formats.record_files import read_records
from recbole_intent.utils.errors import UserError

RANKING, MANIFEST, REPORT = ".ranking", ".ranking.manifest.json", ".ranking.report.md"


@dataclass(frozen=True)
class Ranking:
    """The ranking of one target's candidates.

    Attributes:
        part: `valid` or `test`.
        session: id of the session, as `user_id` in the .inter file.
        candidates: ids of the items, in the prompt's order.
        ranking: those of them that the model named, best first; empty without a usable answer.
    """

    part: str
    session: str
    candidates: tuple[str, ...]
    ranking: tuple[str, ...]


def read_rankings(path: Path) -> Iterator[Ranking]:
    """Read a .ranking file.

    Raises:
        UserError: missing, or a malformed line, which is named.
    """
    for number, entry in enumerate(read_records(path, Ranking), start=1):
        if len({*entry.ranking}) < len(entry.ranking) or not {*entry.ranking} <= {
            *entry.candidates
        }:
            raise UserError(f"{path}: line {number}: ranking: has to name each candidate once")
        yield entry
