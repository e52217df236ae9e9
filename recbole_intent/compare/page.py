"""Write the figures of a comparison as files and as a self-contained HTML page."""

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from recbole_intent.compare.comparison_tables import deviation_notes
from recbole_intent.evaluation.comparison import Comparison
from recbole_intent.plotting import plots, series
from recbole_intent.plotting.drawing import Drawing
from recbole_intent.plotting.page import Chart, Page, Section, escaped, facts
from recbole_intent.plotting.style import looks, metric_name
from recbole_intent.plotting.tables import Table
from recbole_intent.utils.files import write_text

PAGE = "page.html"
_MOST_ROWS = 30  # of a table that is shown at once
_TITLES = {
    "metrics": "Test metrics",
    "curves": "Learning curves",
    "cost": "Quality and the cost of training",
    "history_length": "By history length",
    "item_popularity": "By item popularity",
    "noise": "Under noise in the test histories",
}


def write(
    comparison: Comparison,
    folder: Path,
    tables: Sequence[Table],
    command: Sequence[str] = (),
    runs: Mapping[tuple[str, int], Path] | None = None,
    figures: str = "png",
) -> list[Path]:
    """Draw the figures of a comparison and write its page.

    Empty figures (no successful run, no noise requested) are left out.

    Args:
        comparison: results to show.
        folder: folder of the figures and of `page.html`.
        tables: in their order.
        command: words of the command line; empty if called from Python.
        runs: (label, seed) -> the run's folder, which the page links to.
        figures: format of the files: `png`, `svg` or `pdf`.

    Returns:
        The files written, the page last.

    Raises:
        UserError: a file cannot be written.
    """
    folder = Path(folder)
    look = looks(comparison.labels)
    written, charts = [], []
    families = series.families(comparison) if comparison.tested else {}
    if comparison.results and families:
        for name, drawing in draw(comparison, next(iter(families)), comparison.tested).items():
            written.append(folder / f"{name}.{figures}")
            drawing.save(written[-1])
        versions = {
            metric: draw(comparison, metric, family, plots.NARROW)
            for metric, family in families.items()
        }
        charts = [
            Chart(
                name,
                _TITLES[name],
                {metric: drawings[name] for metric, drawings in versions.items()},
            )
            for name in next(iter(versions.values()))
        ]
    page = Page(
        comparison.titled(f"Comparison on {comparison.dataset}"),
        _lead(comparison),
        charts,
        [
            *(
                Section(f"table-{i}", table.title, table.html(), len(table.rows) <= _MOST_ROWS)
                for i, table in enumerate(tables)
            ),
            *_sections(comparison, folder, command, runs or {}),
        ],
        {metric: metric_name(metric) for metric in families},
        {label: look[label] for label in series.done_labels(comparison)},
    )
    write_text(folder / PAGE, page.html())
    return [*written, folder / PAGE]


def draw(
    comparison: Comparison, metric: str, metrics: Sequence[str], width: float | None = None
) -> dict[str, Drawing]:
    """Draw all figures of a comparison that has a run.

    Args:
        comparison: results to draw.
        metric: the metric of the figures that show one.
        metrics: the metrics of the bars.
        width: inches; None: as wide as files are.

    Returns:
        Name -> figure, with the dataset and the seeds in its title.
    """
    look, labels = looks(comparison.labels), series.done_labels(comparison)
    seeds = comparison.seeds
    shown = ", ".join(map(str, seeds if len(seeds) < 6 else [*seeds[:2], "…", seeds[-1]]))
    title = comparison.titled(f"{comparison.dataset}, seed{'s' * (len(seeds) > 1)} {shown}")
    how: dict[str, Any] = {"look": look, "title": title, "width": width or plots.WIDTH}

    bars = series.estimates(comparison, list(dict.fromkeys([*metrics, metric])))
    curves = {
        (label, seed): series.curve(comparison.results[label, seed], metric)
        for label in labels
        for seed in series.seeds_of(comparison, label)
    }
    minutes = {label: series.minutes(comparison, label) for label in labels}
    notes = {label: _notes(comparison, label) for label in labels}
    drawn = {
        "metrics": plots.metric_bars({each: bars[each] for each in metrics}, look, title, width),
        "cost": plots.cost(minutes, bars[metric], notes, metric, **how),
        "curves": plots.learning_curves(curves, metric, **how),
    }
    noisy = series.noisy(comparison, metric)
    if noisy.ratios:
        drawn["noise"] = plots.noise(noisy, metric, **how)
    for name, numbers, text in (
        ("history_length", comparison.history_length, "training interactions of the user"),
        ("item_popularity", comparison.item_popularity, "training interactions of the target"),
    ):
        grouped = series.grouped(comparison, metric, numbers, text)
        drawn[name] = plots.by_group(grouped, metric, **how)
    return drawn


def _notes(comparison: Comparison, label: str) -> str:
    """Additional hover lines of a model's point in the cost figure."""
    runs = [comparison.results[label, seed] for seed in series.seeds_of(comparison, label)]
    lines = [
        f"pre-training {max(run['pretraining_seconds'] for run in runs) / 60:.2f} min",
        f"peak memory {max(run['peak_memory_mib'] for run in runs):,.0f} MiB",
        f"{runs[0]['parameters']:,} parameters",
    ]
    if label in comparison.inference_seconds:
        lines.append(f"{comparison.inference_seconds[label]:.3g} s to rank for 1,000 users")
    return "\n".join(lines)


def _lead(comparison: Comparison) -> str:
    """The failed runs, which a reader must not overlook."""
    items = "\n".join(
        f"<li><strong>{escaped(label)}</strong>, seed {seed}: {escaped(reason)}</li>"
        for (label, seed), reason in comparison.failures.items()
    )
    return f'<p class="warning">Runs that failed:</p>\n<ul>\n{items}\n</ul>' if items else ""


def _sections(
    comparison: Comparison,
    folder: Path,
    command: Sequence[str],
    runs: Mapping[tuple[str, int], Path],
) -> list[Section]:
    """The protocol, the command, and links to the runs and their configurations."""
    sections = [Section("protocol", "Protocol", facts(_protocol(comparison)))]
    if command:
        words = f"recbole_intent {shlex.join(command)}"
        sections.append(Section("command", "Command", f"<pre>{escaped(words)}</pre>"))
    rows = []
    for label, seed in comparison.results:
        if (label, seed) in runs:
            at = quote(Path(os.path.relpath(runs[label, seed], folder)).as_posix())
            links = ", ".join(
                f'<a href="{at}/{name}">{text}</a>'
                for text, name in (
                    ("folder", ""), ("configuration", "config.yaml"), ("result", "result.json")
                )
            )  # fmt: skip
            rows.append(f"<li>{escaped(label)}, seed {seed}: {links}</li>")
    if rows:
        content = "<ul>\n" + "\n".join(rows) + "\n</ul>"
        sections.append(Section("configurations", "Runs and configurations", content))
    return sections


def _protocol(comparison: Comparison) -> dict[str, str]:
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
    return lines
