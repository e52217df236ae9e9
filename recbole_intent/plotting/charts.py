"""Interactive plotly versions of the pictures, with hover texts and models to switch on or off."""

import html
from collections.abc import Collection, Mapping
from typing import Any

from recbole_intent.plotting.plots import dodge, noise_groups, panel_columns, wants_log
from recbole_intent.plotting.series import Curve, Estimate, Grouped, Noisy, mean
from recbole_intent.plotting.style import Look, metric_name
from recbole_intent.utils.printable import printable

_BETWEEN_ROWS = 60  # pixels, for ticks and the next title


def metric_bars(bars: Mapping[str, Mapping[str, Estimate]], look: Mapping[str, Look]) -> Any:
    """As `plots.metric_bars`; returns a plotly figure."""
    columns = panel_columns(len(bars))
    labels = list(next(iter(bars.values())))
    titles = [metric_name(metric) for metric in bars]
    figure = _panels(titles, columns, 26 * len(labels), shared_yaxes=True)
    for i, (metric, by_label) in enumerate(bars.items()):
        place = {"row": i // columns + 1, "col": i % columns + 1}
        for label, found in by_label.items():
            seeds = ", ".join(f"{seed}: {value:.4f}" for seed, value in found.by_seed.items())
            text = f"{_name(label)}<br>{metric_name(metric)} {_told(found)}<br>seeds {seeds}"
            figure.add_bar(
                x=[found.mean],
                y=[_name(label)],
                orientation="h",
                marker_color=look[label].colour,
                error_x=_ends([found]),
                hovertext=[text],
                hoverinfo="text",
                showlegend=i == 0,
                **_in_legend(label),
                **place,
            )
            figure.add_scatter(
                x=list(found.by_seed.values()),
                y=[_name(label)] * len(found.by_seed),
                mode="markers",
                marker={"color": "white", "size": 6, "line": {"color": "black", "width": 1}},
                hoverinfo="skip",
                showlegend=False,
                **_in_legend(label),
                **place,
            )
    order = [_name(label) for label in labels][::-1]  # plotly counts from below
    figure.update_yaxes(automargin=True, categoryorder="array", categoryarray=order)
    figure.update_xaxes(rangemode="tozero", nticks=4)
    return _finished(figure, labels, barmode="overlay")


def learning_curves(
    curves: Mapping[tuple[str, int], Curve], metric: str, look: Mapping[str, Look]
) -> Any:
    """As `plots.learning_curves`, of runs (label, seed); returns a plotly figure."""
    titles = ["by epoch", "by minutes, pre-training included"]
    figure = _panels(titles, 2, 320, shared_yaxes=True)
    shown = set()
    for (label, seed), run in curves.items():
        style = look[label]
        sizes = [10 if i == run.best else 5 for i in range(len(run.values))]
        for column, x in enumerate((run.epochs, run.minutes), start=1):
            figure.add_scatter(
                x=x,
                y=run.values,
                mode="lines+markers",
                line={"color": style.colour, "dash": style.line, "width": 2},
                marker={"symbol": style.symbol, "size": sizes},
                hovertext=[
                    f"{_name(label)}, seed {seed}<br>epoch {epoch}, {minutes:.1f} min<br>"
                    f"{metric_name(metric)} {value:.4f}{' (best)' * (i == run.best)}"
                    for i, (epoch, minutes, value) in enumerate(
                        zip(run.epochs, run.minutes, run.values, strict=True)
                    )
                ],
                hoverinfo="text",
                showlegend=label not in shown,
                row=1,
                col=column,
                **_in_legend(label),
            )
            shown.add(label)
    figure.update_yaxes(title_text=f"validation {metric_name(metric)}", col=1)
    return _finished(figure, shown)


def cost(
    minutes: Mapping[str, float],
    estimates: Mapping[str, Estimate],
    notes: Mapping[str, str],
    metric: str,
    look: Mapping[str, Look],
) -> Any:
    """As `plots.cost`, with additional hover lines (`notes`); returns a plotly figure."""
    figure = _panels([""], 1, 320)
    for label, x in minutes.items():
        told = f"{metric_name(metric)} {_told(estimates[label])}<br>{x:.3g} min"
        figure.add_scatter(
            x=[x],
            y=[estimates[label].mean],
            mode="markers",
            marker={"color": look[label].colour, "symbol": look[label].symbol, "size": 13},
            hovertext=[f"{_name(label)}<br>{told}<br>{notes[label]}"],
            hoverinfo="text",
            **_in_legend(label),
        )
    figure.update_xaxes(title_text="minutes of training, pre-training included, mean over seeds")
    if wants_log(minutes.values()):
        figure.update_xaxes(type="log", dtick=1)
    figure.update_yaxes(title_text=f"test {metric_name(metric)}")
    return _finished(figure, minutes)


def by_group(found: Grouped, metric: str, look: Mapping[str, Look]) -> Any:
    """As `plots.by_group`; returns a plotly figure."""
    figure = _panels([""], 1, 320)
    shifts = dodge(len(found.estimates))
    for shift, (label, estimates) in zip(shifts, found.estimates.items(), strict=True):
        style = look[label]
        figure.add_scatter(
            x=[place + shift for place in range(len(estimates))],
            y=[each.mean for each in estimates],
            error_y=_ends(estimates),
            mode="lines+markers",
            line={"color": style.colour, "dash": style.line, "width": 1},
            marker={"symbol": style.symbol, "size": 8},
            hovertext=[
                f"{_name(label)}<br>{found.title}: {name} ({users:,} users)<br>"
                f"{metric_name(metric)} {_told(each)}"
                for name, users, each in zip(found.names, found.users, estimates, strict=True)
            ],
            hoverinfo="text",
            **_in_legend(label),
        )
    pairs = zip(found.names, found.users, strict=True)
    figure.update_xaxes(
        title_text=found.title,
        tickvals=list(range(len(found.names))),
        ticktext=[f"{name}<br>{users:,} users" for name, users in pairs],
        range=[-0.5, len(found.names) - 0.5],
    )
    figure.update_yaxes(title_text=f"test {metric_name(metric)}", rangemode="tozero")
    return _finished(figure, found.estimates)


def noise(found: Noisy, metric: str, look: Mapping[str, Look]) -> Any:
    """As `plots.noise`; returns a plotly figure."""
    labels = list(dict.fromkeys(label for label, _ in found.values))
    layout = {}
    if len(found.ratios) == 1:
        layout["barmode"] = "group"
        figure = _panels([""], 1, 320)
        places = ["no noise", *(f"{kind} {found.ratios[0]:.0%}" for kind in found.kinds)]
        for label in labels:
            values = noise_groups(found, label)
            figure.add_bar(
                x=places,
                y=[seeds and mean(seeds) for seeds in values],
                marker_color=look[label].colour,
                hovertext=[
                    f"{_name(label)}<br>{place}<br>{metric_name(metric)} {_by_seed(seeds)}"
                    for place, seeds in zip(places, values, strict=True)
                ],
                hoverinfo="text",
                **_in_legend(label),
            )
    else:
        columns = min(len(found.kinds), 4)
        figure = _panels(found.kinds, columns, 240, shared_yaxes=True)
        for (label, kind), by_ratio in found.values.items():
            i, style = found.kinds.index(kind), look[label]
            ratios = sorted(by_ratio)
            figure.add_scatter(
                x=ratios,
                y=[mean(by_ratio[ratio]) for ratio in ratios],
                mode="lines+markers",
                line={"color": style.colour, "dash": style.line, "width": 2},
                marker={"symbol": style.symbol, "size": 8},
                hovertext=[
                    f"{_name(label)}<br>{kind} {ratio:.0%}<br>"
                    f"{metric_name(metric)} {_by_seed(by_ratio[ratio])}"
                    for ratio in ratios
                ],
                hoverinfo="text",
                showlegend=kind == next(k for name, k in found.values if name == label),
                row=i // columns + 1,
                col=i % columns + 1,
                **_in_legend(label),
            )
        figure.update_xaxes(tickvals=[0.0, *found.ratios])
    figure.update_yaxes(title_text=f"test {metric_name(metric)}", col=1)
    return _finished(figure, labels, **layout)


def _panels(titles: list[str], columns: int, row_height: int, **options: Any) -> Any:
    """A figure with one panel per title, in rows of `row_height` pixels."""
    from plotly.subplots import make_subplots

    rows = -(-len(titles) // columns)
    height = rows * row_height + (rows - 1) * _BETWEEN_ROWS
    figure = make_subplots(
        rows,
        columns,
        subplot_titles=titles if any(titles) else None,
        vertical_spacing=_BETWEEN_ROWS / height if rows > 1 else 0.0,
        horizontal_spacing=0.1 / columns,
        **options,
    )
    return figure.update_layout(height=height)


def _finished(figure: Any, labels: Collection[str], **layout: Any) -> Any:
    """Apply the common layout; text and line colours come from the page, light or dark."""
    # Room for plotly's buttons above the panel titles and for a legend of at least two columns
    # below.
    above, below = 64, 90 + 22 * -(-len(labels) // 2)
    figure.update_layout(
        template="none",
        height=above + figure.layout.height + below,
        margin={"l": 70, "r": 20, "t": above, "b": below},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"size": 13},
        legend={"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom", "x": 0},
        showlegend=True,
        hoverlabel={"align": "left"},
        modebar={"bgcolor": "rgba(0,0,0,0)", "color": "#8a9099", "activecolor": "#5b8def"},
        **layout,
    )
    figure.update_annotations(font_size=13)
    return figure


def _in_legend(label: str) -> dict[str, str]:
    """Options that name a trace and toggle it together with the other traces of its label."""
    return {"name": _name(label), "legendgroup": _name(label)}


def _name(label: str) -> str:
    return html.escape(printable(label), quote=False)  # plotly parses tags but not &quot;


def _told(found: Estimate) -> str:
    return f"{found.mean:.4f} [{found.low:.4f}, {found.high:.4f}]"


def _ends(estimates: list[Estimate]) -> dict[str, Any]:
    return {
        "type": "data",
        "symmetric": False,
        "array": [each.high - each.mean for each in estimates],
        "arrayminus": [each.mean - each.low for each in estimates],
        "thickness": 1.2,
        "width": 3,
    }


def _by_seed(by_seed: Mapping[int, float] | None) -> str:
    if not by_seed:
        return "not tested"
    seeds = ", ".join(f"{seed}: {value:.4f}" for seed, value in by_seed.items())
    return f"{mean(by_seed):.4f}<br>seeds {seeds}"
