"""Write the pictures of a comparison as PNG files and a self-contained HTML page."""

import html
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recbole_intent.compare.comparison_tables import deviation_notes
from recbole_intent.evaluation.comparison import Comparison
from recbole_intent.plotting import charts, plots, series
from recbole_intent.plotting.style import Look, looks, metric_name
from recbole_intent.utils.errors import UserError
from recbole_intent.utils.files import write_text
from recbole_intent.utils.printable import printable

PAGE = "page.html"


def write(comparison: Comparison, folder: Path, tables: Mapping[str, str]) -> list[Path]:
    """Draw the pictures of a comparison and write its page.

    Empty pictures (no successful run, no noise requested) are left out.

    Args:
        comparison: results to show.
        folder: folder of the PNG files and `page.html`.
        tables: title -> Markdown; `<u>` underlines, other tags are not interpreted.

    Returns:
        The files written, the page last.

    Raises:
        UserError: plotly or markdown-it-py is not installed, or a file cannot be written.
    """
    _need_libraries()
    folder, look = Path(folder), looks(comparison.labels)
    written, figures = [], {}
    if comparison.results:
        for name, (title, figure) in _draw(comparison, folder, look).items():
            written.append(folder / f"{name}.png")
            figures[name] = (title, figure)
    write_text(folder / PAGE, _page(comparison, figures, tables))
    return [*written, folder / PAGE]


def _need_libraries() -> None:
    # Before the first file, so that a missing library leaves nothing behind.
    try:
        import markdown_it  # noqa: F401
        import plotly  # noqa: F401
    except ModuleNotFoundError as error:
        raise UserError(
            f"the page of a comparison needs {error.name}: pip install plotly markdown-it-py"
        ) from error


def _draw(
    comparison: Comparison, folder: Path, look: Mapping[str, Look]
) -> dict[str, tuple[str, Any]]:
    """Write the PNG files; returns name -> title and the plotly figure of the same numbers."""
    metric = series.main_metric(comparison)
    labels = series.done_labels(comparison)
    # A picture may be copied without its page, so its title says what was measured.
    among = comparison.titled(comparison.dataset) if comparison.candidates else ""
    drawn = {}

    bars = series.estimates(comparison, comparison.metrics)
    plots.metric_bars(bars, look, folder / "metrics.png", among)
    drawn["metrics"] = ("Test metrics", charts.metric_bars(bars, look))

    runs = {
        label: [comparison.results[label, seed] for seed in series.seeds_of(comparison, label)]
        for label in labels
    }
    plots.learning_curves(runs, metric, folder / "curves.png", look, among)
    curves = {key: series.curve(run, metric) for key, run in comparison.results.items()}
    drawn["curves"] = ("Learning curves", charts.learning_curves(curves, metric, look))

    minutes = {label: series.minutes(comparison, label) for label in labels}
    values = {label: bars[metric][label].mean for label in labels}
    plots.cost(minutes, values, metric, look, folder / "cost.png", among)
    notes = {label: _notes(comparison, label) for label in labels}
    figure = charts.cost(minutes, bars[metric], notes, metric, look)
    drawn["cost"] = (f"{metric_name(metric)} and the cost of training", figure)

    for name, numbers, title in (
        ("history_length", comparison.history_length, "training interactions of the user"),
        ("item_popularity", comparison.item_popularity, "training interactions of the target"),
    ):
        found = series.grouped(comparison, metric, numbers, title)
        plots.by_group(found, metric, look, folder / f"{name}.png", among)
        heading = f"{metric_name(metric)} by {name.replace('_', ' ')}"
        drawn[name] = (heading, charts.by_group(found, metric, look))

    told = series.noisy(comparison, metric)
    if told.values and told.ratios:
        plots.noise(told, metric, look, folder / "noise.png", among)
        heading = f"{metric_name(metric)} under noise in the test histories"
        drawn["noise"] = (heading, charts.noise(told, metric, look))
    return {name: (comparison.titled(title), figure) for name, (title, figure) in drawn.items()}


def _notes(comparison: Comparison, label: str) -> str:
    """Additional hover lines of a model's point in the cost picture."""
    runs = [comparison.results[label, seed] for seed in series.seeds_of(comparison, label)]
    lines = [
        f"pre-training {max(run['pretraining_seconds'] for run in runs) / 60:.2f} min",
        f"peak memory {max(run['peak_memory_mib'] for run in runs):,.0f} MiB",
        f"{runs[0]['parameters']:,} parameters",
    ]
    if label in comparison.inference_seconds:
        lines.append(f"{comparison.inference_seconds[label]:.3g} s to rank for 1,000 users")
    return "<br>".join(lines)


def _page(
    comparison: Comparison, figures: Mapping[str, tuple[str, Any]], tables: Mapping[str, str]
) -> str:
    sections = {
        f"table-{i}": (title, _table(text)) for i, (title, text) in enumerate(tables.items())
    }
    sections |= {name: (title, _chart(name, figure)) for name, (title, figure) in figures.items()}
    if comparison.failures:
        sections = {"failures": ("Runs that failed", _failures(comparison)), **sections}
    links = "\n".join(f'<a href="#{i}">{_html(title)}</a>' for i, (title, _) in sections.items())
    body = "\n".join(
        f'<section id="{i}">\n<h2>{_html(title)}</h2>\n{content}\n</section>'
        for i, (title, content) in sections.items()
    )
    script = ""
    if figures:
        from plotly.offline import get_plotlyjs

        script = f"<script>{get_plotlyjs()}</script>\n<script>{_SCRIPT}</script>"
    title = _html(comparison.titled(f"Comparison on {comparison.dataset}"))
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
{_header(comparison)}
</header>
<nav>
{links}
</nav>
<main>
{body}
</main>
{script}
</body>
</html>
"""


def _html(text: object) -> str:
    return html.escape(printable(text))


def _header(comparison: Comparison) -> str:
    """Models, seeds and the protocol that all runs share."""
    lines = {
        "Models": ", ".join(comparison.labels),
        "Seeds": ", ".join(str(seed) for seed in comparison.seeds),
        "Metrics": ", ".join(metric_name(metric) for metric in comparison.metrics),
    }
    if comparison.reference:
        lines["Tested against"] = comparison.reference
    if comparison.results:
        ranks = next(iter(comparison.ranks.values()))
        users = len(set(ranks.user.tolist()))
        run = next(iter(comparison.results.values()))
        mask = "masked" if run["mask_history"] else "not masked"
        among = f"all items ranked, items of the history {mask}"
        if comparison.candidates:
            drawn = comparison.candidates
            among = (
                f"each target ranked among {comparison.ranked}, items outside the user's full "
                f"history (in validation: outside training and validation), the same for "
                f"every model (seed {drawn['seed']}, hash {drawn['hash'][:10]})"
            )
        lines["Protocol"] = (
            f"{among}; epoch chosen on validation, "
            f"{len(ranks):,} test targets of {users:,} users ranked once"
        )
        lines["Intervals"] = "95 %, bootstrap over users, whose values are means over seeds"
        lines["Made with"] = ", ".join(f"{k} {v}" for k, v in run["versions"].items())
        notes = sorted({n for r in comparison.results.values() for n in r["approximations"]})
        if notes:
            lines["Approximations"] = ", ".join(notes)
        if others := deviation_notes(comparison):
            lines["Not as in the papers"] = " ".join(others)
    rows = "\n".join(
        f"<dt>{_html(name)}</dt><dd>{_html(text)}</dd>" for name, text in lines.items()
    )
    return f"<dl>\n{rows}\n</dl>"


def _failures(comparison: Comparison) -> str:
    items = "\n".join(
        f"<li><strong>{_html(label)}</strong>, seed {seed}: {_html(reason)}</li>"
        for (label, seed), reason in comparison.failures.items()
    )
    return f"<ul>\n{items}\n</ul>"


def _table(text: str) -> str:
    """Convert Markdown to HTML; tags other than `<u>` are shown literally."""
    from markdown_it import MarkdownIt

    # No images and no links: a label or message must not point to the network.
    reader = MarkdownIt("commonmark", {"html": False}).enable("table")
    reader.disable(["image", "link", "autolink", "reference"])
    # `<u>` is passed through as two private-use characters, since all other tags are escaped.
    marked = re.sub(r"<u>([^|\n]*?)</u>", "\ue000\\1\ue001", text)
    found = reader.render(marked).replace("\ue000", "<u>").replace("\ue001", "</u>")
    return f'<div class="wide">{found}</div>'


def _chart(name: str, figure: Any) -> str:
    # A literal `<` could end the script block; \u003c cannot.
    data = figure.to_json().replace("<", "\\u003c")
    return (
        f'<div class="wide"><div class="chart" id="chart-{name}"></div></div>\n'
        f'<script type="application/json" class="figure" data-chart="chart-{name}">{data}</script>'
    )


_STYLE = """
:root { color-scheme: light dark; --text: #1c1e21; --ground: #ffffff; --line: #d5d8dc;
  --soft: #f4f5f7; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e4e6ea; --ground: #16181c; --line: #3a3e45; --soft: #22252b; }
}
body { margin: 0 auto; max-width: 72rem; padding: 1rem; color: var(--text);
  background: var(--ground); font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin-top: 2rem; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; }
dt { font-weight: 600; }
dd { margin: 0; overflow-wrap: anywhere; }
nav { display: flex; flex-wrap: wrap; gap: .3rem 1rem; }
a { color: inherit; }
.wide { overflow-x: auto; }
.chart { min-width: 44rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { background: var(--soft); }
"""

_SCRIPT = """
const dark = window.matchMedia("(prefers-color-scheme: dark)");
function colours(layout) {
  const [text, line] = dark.matches ? ["#e4e6ea", "#3a3e45"] : ["#1c1e21", "#d5d8dc"];
  const change = {"font.color": text};
  for (const name of Object.keys(layout).filter((key) => /^[xy]axis/.test(key))) {
    change[name + ".gridcolor"] = line;
    change[name + ".zerolinecolor"] = line;
    change[name + ".linecolor"] = line;
  }
  return change;
}
for (const block of document.querySelectorAll("script.figure")) {
  const figure = JSON.parse(block.textContent);
  const chart = document.getElementById(block.dataset.chart);
  const options = {responsive: true, displaylogo: false};
  const paint = () => Plotly.relayout(chart, colours(figure.layout));
  Plotly.newPlot(chart, figure.data, figure.layout, options).then(paint);
  dark.addEventListener("change", paint);
}
"""
