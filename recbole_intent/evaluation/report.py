"""Text tables of results."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from recbole_intent.utils.printable import printable

WIDTH = 80  # columns of a terminal


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """An aligned Markdown table: first column left-aligned, the others right-aligned."""
    header, *rows = ([printable(cell) for cell in row] for row in (header, *rows))
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        first = cells[0].ljust(widths[0])
        rest = [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
        return "| " + " | ".join([first, *rest]) + " |"

    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join([line(header), line(rule), *(line(row) for row in rows)])


def terminal_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Tables of at most `WIDTH` columns: what does not fit goes below, with the first column again.

    A column that is too wide alone keeps its width.
    """
    if len(header) < 3:
        return text_table(header, rows)
    for last in range(len(header), 1, -1):
        table = text_table(header[:last], [row[:last] for row in rows])
        if last == 2 or len(table.partition("\n")[0]) <= WIDTH:
            break
    if last == len(header):
        return table
    rest = terminal_table([header[0], *header[last:]], [[row[0], *row[last:]] for row in rows])
    return f"{table}\n\n{rest}"


def wrapped(text: str) -> str:
    """A sentence in lines of at most `WIDTH` columns; long words, such as paths, stay whole."""
    return textwrap.fill(printable(text), WIDTH, break_long_words=False, break_on_hyphens=False)


def metric_table(results: Sequence[Mapping[str, Any]]) -> str:
    """Validation and test metrics of runs (`result.json`) and their cost, one column per run."""
    names = list(results[0]["test"])
    header = ["metric"]
    for result in results:
        header += [f"{result['model']} valid", "test"]
    rows = []
    for name in names:
        row = [name]
        for result in results:
            row += [f"{result['valid'][name]:.4f}", f"{result['test'][name]:.4f}"]
        rows.append(row)
    for label, value in (
        ("best epoch", lambda r: f"{r['best_epoch']}/{r['epochs']}"),
        ("minutes", lambda r: f"{r['seconds'] / 60:.1f}"),
        ("pre-training", lambda r: f"{r['pretraining_seconds'] / 60:.1f}"),
        ("peak MiB", lambda r: f"{r['peak_memory_mib']:.0f}"),
    ):
        row = [label]
        for result in results:
            row += [value(result), ""]
        rows.append(row)
    notes = sorted({f"approximation: {n}" for r in results for n in r["approximations"]})
    # Runs older than this list lack it: their deviations are unknown and not reported.
    others = {"; ".join(r.get("deviations") or ()) for r in results} - {""}
    notes += [f"not as in the paper: {lines}" for lines in sorted(others)]
    among = sorted({among_candidates(result.get("candidates")) for result in results} - {""})
    return "\n".join([terminal_table(header, rows), *map(wrapped, (*among, *notes))])


def among_candidates(drawn: Mapping[str, Any] | None) -> str:
    """Describe the candidates of the direct task; "" if all items were ranked."""
    if not drawn:
        return ""
    return f"ranked among 1 + {drawn['negatives']} candidates (hash {drawn['hash'][:10]})"
