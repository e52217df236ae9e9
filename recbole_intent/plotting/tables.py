"""Result tables and their export as Markdown, CSV, LaTeX, HTML and text."""

import csv
import html
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recbole_intent.evaluation.report import terminal_table, text_table, wrapped
from recbole_intent.utils.files import write_text
from recbole_intent.utils.printable import markdown, printable

if TYPE_CHECKING:
    import pandas as pd

NOTHING = "–"  # placeholder for a missing number

_LATEX = str.maketrans(
    {
        **{sign: f"\\{sign}" for sign in "&%$#_{}"},
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "*": "$^{*}$",
        "…": r"\ldots{}",
        "±": r"$\pm$",
        "−": "$-$",
        "–": "--",
        "≤": r"$\le$",
        "<": "$<$",
        ">": "$>$",
    }
)


@dataclass(frozen=True)
class Cell:
    """A text of a table.

    Attributes:
        text: the text.
        bold: whether it is the best of its column.
        underlined: whether it is the second best.
        link: address, relative to the folder of the page, that the page links the text to.
    """

    text: str
    bold: bool = False
    underlined: bool = False
    link: str = ""


@dataclass(frozen=True)
class Table:
    """A formatted table, with the plain numbers behind it.

    Attributes:
        title: one line, without a full stop.
        header: C column names.
        rows: rows of C texts or cells each.
        records: the rows of the CSV file as `column: value`; None for a missing number.
        notes: sentences below the table.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str | Cell]]
    records: Sequence[Mapping[str, Any]]
    notes: Sequence[str] = field(default_factory=list)

    def text(self) -> str:
        """Title, table and notes for a terminal, without markup."""
        header, *rows = self._texts(printable, ("", ""), ("", ""))
        title, *notes = map(wrapped, (self.title, *self.notes))
        return "\n".join([f"{title}\n", terminal_table(header, rows), "", *notes]) + "\n"

    def markdown(self) -> str:
        """The aligned Markdown table and the notes."""
        header, *rows = self._texts(markdown, ("**", "**"), ("<u>", "</u>"))
        return "\n\n".join([text_table(header, rows), *map(markdown, self.notes)]) + "\n"

    @property
    def frame(self) -> "pd.DataFrame":
        """The records as a DataFrame."""
        import pandas as pd

        return pd.DataFrame.from_records(list(self.records))

    def csv(self) -> str:
        """The records in full precision, with unchanged texts; missing numbers are empty fields.

        Lone surrogates, which UTF-8 cannot encode, become question marks.
        """
        text = io.StringIO()
        names = list(dict.fromkeys(name for record in self.records for name in record))
        writer = csv.DictWriter(text, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.records)
        return text.getvalue().encode("utf-8", "replace").decode("utf-8")

    def html(self) -> str:
        """A `<table>` in a frame that scrolls, and the notes; its columns can be sorted."""
        header, *rows = self._texts(_html, ("<strong>", "</strong>"), ("<u>", "</u>"))
        for texts, row in zip(rows, self.rows, strict=True):
            for i, cell in enumerate(row):
                if isinstance(cell, Cell) and cell.link:
                    texts[i] = f'<a href="{_html(cell.link)}">{texts[i]}</a>'
        head = "".join(f'<th><button type="button">{name}</button></th>' for name in header)
        body = "\n".join(f"<tr><td>{'</td><td>'.join(row)}</td></tr>" for row in rows)
        notes = "\n".join(f"<p>{_html(note)}</p>" for note in self.notes)
        return (
            f'<div class="frame"><table><thead><tr>{head}</tr></thead>\n'
            f"<tbody>\n{body}\n</tbody></table></div>\n{notes}"
        )

    def latex(self) -> str:
        """A LaTeX `table` with booktabs rules."""
        texts = self._texts(_latex, (r"\textbf{", "}"), (r"\underline{", "}"))
        header, *rows = (" & ".join(cells) + r" \\" for cells in texts)
        caption = _latex(" ".join([self.title + ".", *self.notes]))
        lines = [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{caption}}}",
            rf"\begin{{tabular}}{{l{'r' * (len(self.header) - 1)}}}",
            r"\toprule",
            header,
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
        return "\n".join(lines) + "\n"

    def write(self, folder: Path, name: str) -> None:
        """Write `<name>.md`, `<name>.csv` and `<name>.tex` to a folder."""
        write_text(folder / f"{name}.md", f"# {markdown(self.title)}\n\n{self.markdown()}")
        write_text(folder / f"{name}.csv", self.csv())
        write_text(folder / f"{name}.tex", self.latex())

    def _texts(
        self, escape: Callable[[str], str], bold: tuple[str, str], underlined: tuple[str, str]
    ) -> list[list[str]]:
        """Header and rows, escaped, with best and second marked."""

        def text(cell: str | Cell) -> str:
            if isinstance(cell, str):
                return escape(cell)
            marks = bold if cell.bold else underlined if cell.underlined else ("", "")
            return escape(cell.text).join(marks)

        return [[text(cell) for cell in row] for row in (self.header, *self.rows)]


def _html(text: str) -> str:
    return html.escape(printable(text))


def _latex(text: str) -> str:
    return printable(text).translate(_LATEX)


def marked_best(
    values: Sequence[float | None], texts: Sequence[str], bigger: bool = True
) -> list[Cell]:
    """The cells of a column, with best and second marked; equal values get the same mark.

    Args:
        values: one per row; None if missing.
        texts: texts of the same rows.
        bigger: whether a larger value is better.
    """
    best, second, *_ = [
        *sorted({value for value in values if value is not None}, reverse=bigger),
        None,
        None,
    ]
    return [
        Cell(text, value is not None and value == best, value is not None and value == second)
        for value, text in zip(values, texts, strict=True)
    ]


def signed(value: float, digits: int = 4) -> str:
    """`+0.0031`, `−0.0031`, or `0.0000` without a sign."""
    text = f"{abs(value):.{digits}f}"
    if not text.strip("0."):
        return text
    return ("+" if value > 0 else "−") + text


def signed_percent(value: float) -> str:
    """Format a fraction as `+3.1 %`."""
    return f"{signed(100 * value, 1)} %"
