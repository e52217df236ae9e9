"""Pictures of results."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recbole_intent.files import atomic_write


def learning_curves(runs: Mapping[str, Mapping[str, Any]], metric: str, path: str | Path) -> None:
    """Validation metric by epoch and by training time, a line a run, the best epoch marked.

    Args:
        runs: label -> contents of `result.json`.
        metric: such as `ndcg@10`.
        path: PNG file to write.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (by_epoch, by_time) = pyplot.subplots(
        1, 2, figsize=(8, 3.2), sharey=True, layout="constrained"
    )
    for label, run in runs.items():
        records = [record for record in run["history"] if "valid" in record]
        epochs = [record["epoch"] + 1 for record in records]
        values = [record["valid"][metric] for record in records]
        spent, minutes = run["pretraining_seconds"] / 60, {}
        for record in run["history"]:
            spent += record["seconds"] / 60
            minutes[record["epoch"] + 1] = spent
        for axes, x in ((by_epoch, epochs), (by_time, [minutes[epoch] for epoch in epochs])):
            (line,) = axes.plot(x, values, label=label)
            best = epochs.index(run["best_epoch"])
            axes.plot(x[best], values[best], "o", color=line.get_color())
    by_epoch.set_xlabel("epoch")
    by_time.set_xlabel("minutes, pre-training included")
    by_epoch.set_ylabel(f"validation {metric.replace('ndcg', 'NDCG').replace('recall', 'Recall')}")
    for axes in (by_epoch, by_time):
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    by_epoch.legend(frameon=False, loc="lower right")
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=120, format="png")
    pyplot.close(figure)
