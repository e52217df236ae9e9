"""`make demo`: IGR-SR beside RecBole's SASRec on ml-100k, which RecBole's wheel carries."""

from recbole_intent.evaluation.report import metric_table
from recbole_intent.experiment import run

# Settings of the demo alone: ml-100k has few users with long histories, so nearly every target
# would need a window of its own; strided windows share them, an approximation that the table names.
_SHARED = {"passes": 2, "windows": "strided", "train_batch_size": 1024, "show_progress": True}
_RUNS = (
    ("SASRec", {"epochs": 20}),
    ("IGRSR", {"epochs": 12, "intent_scope": "causal"}),
)


def demo(fresh: bool = False) -> int:
    """Train both, print their metrics side by side and where the results lie; returns 0.

    Cut off, it continues; a second time, it only reports what is there.

    Args:
        fresh: train anew what was trained before.

    Raises:
        UserError: as `experiment.run`.
    """
    print(
        "ml-100k: 943 users, 1,682 films, 100,000 ratings in time order; leave-one-out, all films\n"
        "ranked, history not masked. The epoch is chosen on validation, test is read once.\n"
        "Trains SASRec, then IGRSR: some minutes on two cores.\n",
        flush=True,
    )
    runs = [run(name, "ml-100k", overrides={**_SHARED, **own}, fresh=fresh) for name, own in _RUNS]
    print()
    print(metric_table([done.result for done in runs]))
    for done in runs:
        again = " (finished before; demo --fresh trains anew)" if done.reported else ""
        print(f"results of {done.result['model']}: {done.folder}{again}")
    return 0
