"""An HTML page of charts and tables that stands alone: style and script are in the page."""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from recbole_intent.plotting.drawing import Drawing
from recbole_intent.plotting.style import Look
from recbole_intent.utils.printable import printable

_MOST_CHARTS = 1_200_000  # letters; leaves room for tables in a page of 1.5 MB


@dataclass(frozen=True)
class Chart:
    """A chart of a page, in one version per metric.

    Attributes:
        name: its id in the page.
        title: its heading.
        versions: metric -> drawing, with the same metrics in all charts of a page.
        is_wide: whether it takes the whole width of the page; a telephone scrolls it.
    """

    name: str
    title: str
    versions: Mapping[str, Drawing]
    is_wide: bool = False


@dataclass(frozen=True)
class Section:
    """A section of a page below the charts.

    Attributes:
        name: its id in the page.
        title: its heading.
        content: HTML.
        is_open: whether it is shown at once; otherwise the reader opens it.
    """

    name: str
    title: str
    content: str
    is_open: bool = True


@dataclass(frozen=True)
class Page:
    """The contents of a page: charts first, then the sections.

    Attributes:
        title: heading of the page.
        lead: HTML below the heading, such as a warning.
        charts: in their order.
        sections: in their order.
        metrics: metric -> its name, for the reader to choose; the first one is shown at first, and
            the last ones are left out if the page would become large.
        models: label -> look of the models that a reader shows or hides.
    """

    title: str
    lead: str = ""
    charts: Sequence[Chart] = ()
    sections: Sequence[Section] = ()
    metrics: Mapping[str, str] = field(default_factory=lambda: {"": ""})
    models: Mapping[str, Look] = field(default_factory=dict)

    def html(self) -> str:
        """The page as one HTML document, which loads nothing from elsewhere."""
        title = escaped(self.title)
        metrics, charts = self._charts()
        sections = "\n".join(_section(section) for section in self.sections)
        parts: list[Chart | Section] = [*self.charts, *self.sections]
        links = "\n".join(f'<a href="#{part.name}">{escaped(part.title)}</a>' for part in parts)
        return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{_STYLE}</style>
</head>
<body>
<header>
<h1>{title}</h1>
{self.lead}
</header>
<nav>
{links}
</nav>
{self._controls(metrics)}
<main>
<div class="charts">
{charts}
</div>
{sections}
</main>
<script>{_SCRIPT}</script>
</body>
</html>
"""

    def _charts(self) -> tuple[list[str], str]:
        """The metrics that the page has room for, and the charts as HTML."""
        metrics: list[str] = []
        versions: dict[str, list[str]] = {chart.name: [] for chart in self.charts}
        size = 0
        for i, metric in enumerate(self.metrics if self.charts else ()):
            svgs = {
                chart.name: chart.versions[metric].svg(f"{chart.name}-{i}") for chart in self.charts
            }
            size += sum(map(len, svgs.values()))
            if metrics and size > _MOST_CHARTS:
                break
            metrics.append(metric)
            for name, svg in svgs.items():
                attributes = f'data-metric="{escaped(metric)}"{" hidden" * (i > 0)}'
                versions[name].append(f'<div class="version" {attributes}>{svg}</div>')
        charts = [
            "\n".join(
                [
                    f'<section class="chart{" wide" * chart.is_wide}" id="{chart.name}">',
                    f"<h2>{escaped(chart.title)}</h2>",
                    *versions[chart.name],
                    "</section>",
                ]
            )
            for chart in self.charts
        ]
        return metrics, "\n".join(charts)

    def _controls(self, metrics: Sequence[str]) -> str:
        """The choice of the metric and of the models, where there is one."""
        radios = [
            f'<label><input type="radio" name="metric" value="{escaped(metric)}"'
            f"{' checked' * (metric == metrics[0])}>{escaped(self.metrics[metric])}</label>"
            for metric in metrics
        ]
        boxes = [
            f'<label><input type="checkbox" name="model" value="{escaped(label)}" checked>'
            f'<span style="color: {look.colour}">■</span> {escaped(label)}</label>'
            for label, look in self.models.items()
        ]
        choices = [
            "\n".join([f"<fieldset><legend>{name}</legend>", *inputs, "</fieldset>"])
            for name, inputs in (("Metric", radios), ("Models", boxes))
            if len(inputs) > 1
        ]
        return "\n".join(['<form class="controls">', *choices, "</form>"]) if choices else ""


def _section(section: Section) -> str:
    heading = f"<h2>{escaped(section.title)}</h2>"
    content = f"{heading}\n{section.content}"
    if not section.is_open:
        content = f"<details>\n<summary>{heading}</summary>\n{section.content}\n</details>"
    return f'<section id="{section.name}">\n{content}\n</section>'


def escaped(text: object) -> str:
    """Return the text as one line for use in HTML, also within quotes."""
    return html.escape(printable(text))


def facts(rows: Mapping[str, object]) -> str:
    """Return names and texts as an HTML description list."""
    lines = "\n".join(f"<dt>{escaped(k)}</dt><dd>{escaped(v)}</dd>" for k, v in rows.items())
    return f"<dl>\n{lines}\n</dl>"


# Matplotlib writes black and white into each element; the page gives them its own colours.
_STYLE = """
:root { color-scheme: light dark; --text: #1c1e21; --ground: #ffffff; --line: #d5d8dc;
  --soft: #f4f5f7; --link: #0b5cad; --warn: #a32100; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e4e6ea; --ground: #1b1e23; --line: #3f444c; --soft: #262a30; --link: #8ab8f0;
    --warn: #ff9d85; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 0 1rem 3rem; color: var(--text);
  background: var(--ground); font: 15px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.45rem; margin: 1rem 0 .4rem; }
h2 { font-size: 1.1rem; margin: 1.6rem 0 .5rem; }
a { color: var(--link); }
nav { display: flex; flex-wrap: wrap; gap: .2rem 1rem; font-size: .87rem; }
.warning { color: var(--warn); }
.controls { position: sticky; top: 0; z-index: 1; padding: .4rem 0; max-height: 40vh;
  overflow-y: auto; background: var(--ground); border-bottom: 1px solid var(--line); }
fieldset { border: 0; margin: 0; padding: .1rem 0; display: flex; flex-wrap: wrap;
  gap: .1rem .9rem; }
legend { float: left; font-weight: 600; padding: 0; margin-right: .9rem; }
.charts { columns: 26rem 2; column-gap: 2rem; }
.chart { break-inside: avoid; }
.wide { column-span: all; }
.wide svg { min-width: 40rem; }
.chart h2 { margin-top: .8rem; }
.version { overflow-x: auto; }
svg { display: block; width: 100%; height: auto; max-height: 60rem; }
svg * { stroke-linejoin: round; stroke-linecap: butt; }
svg text { fill: var(--text); font-family: system-ui, sans-serif; }
svg [style*="stroke: #000000"] { stroke: var(--text) !important; }
svg [style*="fill: #000000"] { fill: var(--text) !important; }
svg [style*="fill: #ffffff"] { fill: var(--ground) !important; }
@media (max-width: 40rem) { nav { flex-wrap: nowrap; overflow-x: auto; white-space: nowrap; } }
[hidden] { display: none !important; }
dl { display: grid; grid-template-columns: minmax(6rem, max-content) minmax(0, 1fr);
  gap: .15rem 1rem; }
dt { font-weight: 600; }
dd { margin: 0; }
pre { background: var(--soft); padding: .6rem; overflow-x: auto; overflow-wrap: normal; }
summary h2 { display: inline-block; margin: .6rem 0; }
.frame { overflow-x: auto; max-height: 70vh; border: 1px solid var(--line); }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; width: 100%; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap;
  text-align: right; overflow-wrap: normal; }
th { background: var(--soft); position: sticky; top: 0; }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0;
  background: var(--ground); max-width: 14rem; white-space: normal; min-width: 7rem; }
th:first-child { background: var(--soft); z-index: 1; }
th button { all: unset; cursor: pointer; }
th button:focus-visible { outline: 2px solid var(--link); }
th[aria-sort="ascending"] button::after { content: " ↑"; }
th[aria-sort="descending"] button::after { content: " ↓"; }
"""

_SCRIPT = """
const all = (what, from = document) => [...from.querySelectorAll(what)];
function show() {
  const metric = document.querySelector("[name=metric]:checked")?.value;
  for (const version of all("[data-metric]"))
    version.hidden = metric !== undefined && !["", metric].includes(version.dataset.metric);
  const off = new Set(all("[name=model]:not(:checked)").map((box) => box.value));
  for (const mark of all("[data-model]"))
    mark.style.display = off.has(mark.dataset.model) ? "none" : "";
}
document.querySelector(".controls")?.addEventListener("change", show);
show();
// Sorting: numbers by value, other texts by letters, a dash for a missing number last.
function key(row, column) {
  const text = row.cells[column].textContent.trim();
  const number = parseFloat(text.replace(/,/g, "").replace("−", "-").replace(/^[<+]/, ""));
  return text === "–" ? null : Number.isNaN(number) ? text : number;
}
function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b));
}
for (const head of all("th")) {
  head.firstChild.addEventListener("click", () => {
    const sign = head.getAttribute("aria-sort") === "descending" ? 1 : -1;
    const body = head.closest("table").tBodies[0];
    const rows = [...body.rows].map((row) => [key(row, head.cellIndex), row]);
    rows.sort(([a], [b]) =>
      a === null || b === null ? (a === null) - (b === null) : sign * compare(a, b));
    body.append(...rows.map(([, row]) => row));
    for (const other of all("th", head.parentNode)) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
  });
}
"""
