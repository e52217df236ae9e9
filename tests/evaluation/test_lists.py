"""Metrics that look at the lists equal RecBole's own classes; lower is better in some of them."""

import numpy as np
import pytest
import torch

from recbole_intent.compare.comparison_tables import gain_table, metric_table
from recbole_intent.compare.difference_tables import wins_table
from recbole_intent.evaluation import definitions
from recbole_intent.evaluation.metrics import evaluate, user_values
from recbole_intent.evaluation.ranks import Ranks
from recbole_intent.evaluation.significance import best_baselines, paired_tests
from recbole_intent.runs.evaluate import evaluate_run
from recbole_intent.runs.experiment import build, run
from recbole_intent.utils.errors import UserError
from tests.fixtures.pages import BLOCKS

BEYOND = (
    "ItemCoverage AveragePopularity GiniIndex ShannonEntropy TailPercentage GAUC Recall NDCG"
).split()
RATIO = {"eval_args": {"split": {"RS": [0.5, 0.2, 0.3]}}}
TWO_EPOCHS = {"epochs": 2, "learning_rate": 0.01}


def recboles(config, trainer, data):
    """What RecBole's collector and metric classes say of the same model, users one by one."""
    from recbole.evaluator import Collector, Evaluator

    collector, facts = Collector(config), Collector(config)
    dataset, is_sequential = data.test.dataset, hasattr(data.test.dataset, "rows")
    of_user: dict[int, list] = {}
    for row, user in enumerate(dataset.inter_feat[dataset.uid_field].tolist()):
        of_user.setdefault(row if is_sequential else user, []).append(row)
    history = data.test._history
    for rows in of_user.values():
        first = torch.tensor(rows[:1])
        interaction = dataset.rows(first) if is_sequential else dataset[first]
        scores = trainer.scores(interaction, dataset.item_num)
        scores[:, 0] = -np.inf  # as RecBole's trainer does
        targets = dataset.inter_feat[dataset.iid_field][torch.tensor(rows)]
        if history is not None:
            seen = history[int(interaction[dataset.uid_field])].toarray()[0] > 0
            scores[:, torch.from_numpy(seen)] = -np.inf
        collector.eval_batch_collect(scores, None, torch.zeros_like(targets), targets)
    found = collector.get_data_struct()  # of numbers it fails in RecBole 1.2.1
    facts.data_collect(data.train)
    for name, value in facts.data_struct._data_dict.items():
        found.set(name, value)
    return Evaluator(config).evaluate(found)


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("SASRec", {}),
        ("SASRec", {**RATIO, "mask_history": False, "tail_ratio": 8}),
        ("BPR", {**RATIO, "tail_ratio": 0.4}),
        ("BPR", {**RATIO, "mask_history": True}),
    ],
)
def test_equal_to_recbole_whatever_the_batches(tiny, model, options):
    options = {"metrics": BEYOND, "topk": [1, 5, 10], **TWO_EPOCHS, **options}
    found = []
    for batch in (3, 1000):
        config = tiny(model, eval_batch_size=batch, **options)
        trainer, data = build(config)
        trainer.fit(data.train, data.valid)
        found.append(trainer.metrics(trainer.rank(data.test)))
    assert found[0] == pytest.approx(found[1], abs=1e-12)
    config["metric_decimal_place"] = 10
    theirs = recboles(config, trainer, data)
    assert list(found[1]) == list(theirs)
    assert found[1] == pytest.approx({name: float(v) for name, v in theirs.items()}, abs=1e-6)


def test_ranks_keep_their_lists_in_files(tiny, tmp_path):
    """A finished run is evaluated on other metrics, and its values per user average to these."""
    quick = {**TWO_EPOCHS, "epochs": 1, "device": "cpu"}
    done = run("BPR", "tiny", overrides={**tiny("BPR").given.values, **quick}, output=tmp_path)
    again = evaluate_run(done.folder, {"metrics": BEYOND, "topk": [5]})
    kept = Ranks.load(again.path.with_suffix(".npz"))
    assert evaluate(kept, BEYOND, [5]) == again.test
    names = ["averagepopularity@5", "tailpercentage@5", "gauc"]
    means = user_values(kept, names, by_target=False).mean(axis=0)
    assert means == pytest.approx([again.test[name] for name in names])
    assert not (tmp_path / "ranks.npz").read_bytes().count(b"popularity")
    with pytest.raises(UserError, match="itemcoverage@5: needs the lists"):
        evaluate(Ranks.load(tmp_path / "ranks.npz"), ["ItemCoverage"], [5])


def test_a_lower_value_chooses_the_epoch(tiny):
    config = tiny(
        "BPR", metrics=["AveragePopularity", "GAUC"], topk=[5], epochs=4, learning_rate=0.05,
        valid_metric="AveragePopularity@5",
    )  # fmt: skip
    trainer, data = build(config)
    score, _ = trainer.fit(data.train, data.valid)
    assert score == min(each["valid"]["averagepopularity@5"] for each in trainer.history)
    assert tiny("BPR", metrics=["GAUC"], valid_metric="gauc")["valid_metric_bigger"]
    with pytest.raises(UserError, match="tail_ratio: has no effect with metrics"):
        tiny("BPR", tail_ratio=0.5).refuse_idle()


def test_the_metrics_of_the_page(tiny, monkeypatch):
    for name in ("first", "familiarity"):
        monkeypatch.setitem(definitions.METRICS, name, None)  # restored at the end
    for block in BLOCKS:
        if block.page == "docs/metrics.md" and block.kind == "python":
            exec(compile(block.text, block.page, "exec"), {})
    config = tiny(
        "Pop", metrics=["Familiarity", "First"], topk=[5, 10], valid_metric="Familiarity@10"
    )
    assert not config["valid_metric_bigger"]
    trainer, data = build(config)
    trainer.fit(data.train, data.valid)
    found = trainer.metrics(trainer.rank(data.test))
    assert found["familiarity@5"] > found["familiarity@10"]  # Pop lists the most popular first


def test_tables_know_that_lower_is_better(make_comparison):
    """Of two models with equal ranks, the one that lists rarer items wins by popularity."""
    comparison = make_comparison(["ours", "A"], metrics=("recall@10",))
    low, high = "averagepopularity@10", "itemcoverage@10"
    comparison.metrics[:] = ["recall@10", low, high]
    for (label, seed), result in comparison.results.items():
        values = {low: 4.0 if label == "ours" else 5.0, high: 0.5 if label == "ours" else 0.4}
        result["test"].update({name: v + 0.01 * (seed - 2020) for name, v in values.items()})
    means = {
        label: {m: comparison.results[label, 2020]["test"][m] for m in comparison.metrics}
        for label in comparison.labels
    }
    assert comparison.tested == ["recall@10", low]
    best = best_baselines(
        {**means, "B": dict.fromkeys(means["A"], 9.0)}, comparison.metrics, "ours"
    )
    assert best[low] == "A"
    best = dict.fromkeys(comparison.metrics, "A")
    rng = np.random.default_rng(1)
    values = {
        key: np.stack([np.ones(99), (4.0 if key[0] == "ours" else 5.0) + rng.random(99)], axis=1)
        for key in comparison.results
    }
    tests = paired_tests(values, comparison.tested, dict.fromkeys(comparison.tested, "A"))
    assert [t.is_better for t in tests if t.metric == low and t.unit == "users"] == [True]
    table = metric_table(comparison, best, tests)
    ours = next(row for row in table.rows if row[0] == "ours")
    assert ours[3].bold
    assert ours[3].text.endswith("*")
    assert ours[4].bold
    assert any("Lower is better, and a gain is a fall: averagep" in note for note in table.notes)
    assert any("not tested over users: itemcoverage@10" in note for note in table.notes)
    gains = {r["model"]: r for r in gain_table(comparison, best, tests).records}
    assert gains["ours"][low] > 0
    assert gains["ours"][high] > 0
    averaged = {label: values[label, 2020] for label in comparison.labels}
    wins = {r["metric"]: r for r in wins_table(comparison, averaged, "ours").records}
    assert wins[low]["wins"] > wins[low]["losses"]
