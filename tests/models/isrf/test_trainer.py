"""ISRF's loop: tasks in turn, losses of their own batches, kills, and that it learns."""

from pathlib import Path

import numpy as np
import pytest
import torch

from recbole_intent.models.generative.direct_batches import CANDIDATES
from recbole_intent.runs.experiment import build, inputs_fingerprint
from recbole_intent.utils.errors import UserError


@pytest.fixture
def trained(tiny, tmp_path):
    """A trainer of `tiny` and its data."""

    def make(folder: Path | None = None, **options):
        given = {"checkpoint_dir": str(tmp_path), "n_candidates": 9, **options}
        return build(tiny("ISRF", **given), folder)

    return make


def _tasks(trainer, data, monkeypatch) -> list[str]:
    """The tasks of an epoch's batches, in their order."""
    seen = []
    plain = trainer.model.calculate_loss

    def noted(batch):
        seen.append("direct" if CANDIDATES in batch.interaction else "sequential")
        return plain(batch)

    monkeypatch.setattr(trainer.model, "calculate_loss", noted)
    trainer._train_epoch(0, data.train, False)
    return seen


def test_tasks_take_turns(trained, monkeypatch):
    trainer, data = trained(train_batch_size=16)
    seen = _tasks(trainer, data, monkeypatch)
    assert seen.count("direct") == 4  # 60 users
    assert seen.count("sequential") == len(data.train)
    runs = "".join(task[0] for task in seen).split("d")
    assert max(map(len, runs)) <= 1.5 * len(data.train) / 4  # spread evenly


def test_or_follow_each_other(trained, monkeypatch):
    options = {"refine_every": "epoch", "tasks": ["direct", "sequential"]}
    trainer, data = trained(train_batch_size=16, **options)
    seen = _tasks(trainer, data, monkeypatch)
    assert seen == sorted(seen)
    assert set(seen) == {"direct", "sequential"}


@pytest.mark.parametrize("task", ["sequential", "direct"])
def test_one_task_alone(trained, monkeypatch, task):
    asked = {"sequential": "next-item", "direct": "direct"}[task]
    trainer, data = trained(tasks=[task], task=asked)
    assert set(_tasks(trainer, data, monkeypatch)) == {task}
    assert trainer.model.loss_names == (task, f"align_{task}")


def test_losses_are_means_over_the_batches_of_their_own_task(trained, monkeypatch):
    trainer, data = trained(train_batch_size=16)
    names = trainer.model.loss_names
    assert names == ("sequential", "direct", "align_sequential", "align_direct")
    plain, seen = trainer.model.calculate_loss, {name: [] for name in names}

    def noted(batch):
        task = "direct" if CANDIDATES in batch.interaction else "sequential"
        losses = plain(batch)
        for name, loss in zip(names, losses, strict=True):
            if name.endswith(task):
                seen[name].append(float(loss.detach()))
        return losses

    monkeypatch.setattr(trainer.model, "calculate_loss", noted)
    losses = trainer._train_epoch(0, data.train, False)
    assert losses == pytest.approx({name: np.mean(values) for name, values in seen.items()})


@pytest.mark.parametrize(("decay", "epochs"), [(4, 4), (0, 9)])
def test_the_learning_rate_sinks_with_the_epochs_and_ends_them(trained, decay, epochs):
    trainer, data = trained(epochs=9, decay_epochs=decay, learning_rate=0.01)
    assert trainer.epochs == epochs
    seen = []
    for epoch in range(4):
        trainer._train_epoch(epoch, data.train, False)
        seen.append(trainer.optimizer.param_groups[0]["lr"] / 0.01)
    assert seen == pytest.approx([1, 0.75, 0.5, 0.25] if decay else [1] * 4)


def test_stopping_on_the_loss_chooses_its_least_epoch(trained, tmp_path):
    trainer, data = trained(tmp_path / "run", stop_on="loss", epochs=3)
    best, valid = trainer.fit(data.train, data.valid)
    losses = [record["valid"]["loss"] for record in trainer.history]
    assert best == valid["loss"] == min(losses)
    assert trainer.best_epoch == int(np.argmin(losses))
    trainer.load_best()
    assert trainer.evaluate(data.valid)["loss"] == pytest.approx(best, abs=1e-5)
    assert trainer._held_out_loss(data.valid) == trainer._held_out_loss(data.valid)


def test_its_inputs_are_the_files_that_it_reads(trained, tiny, tmp_path):
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights/config.json").write_text("{}")
    no_texts = {
        "semantics": "random",
        "use_alignment_direct": False,
        "use_alignment_sequential": False,
    }
    plain = inputs_fingerprint(tiny("SASRec"))
    assert inputs_fingerprint(tiny("ISRF", **no_texts)) == plain
    pretrained = tiny("ISRF", t5=str(tmp_path / "weights"), **no_texts)
    found = {plain, inputs_fingerprint(tiny("ISRF")), inputs_fingerprint(pretrained)}
    (tmp_path / "weights/config.json").write_text("{ }")
    assert len(found | {inputs_fingerprint(pretrained)}) == 4


USERS = {"learn_users": True, "sequential_user": True}
AS_PRINTED = {"id_tokens": "digits", "decode": "exact", "training_prompts": "all", **USERS}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            {"align_every": 8, "semantics": "metadata"},
            ["protocol: clean", "align_every: 8"],
        ),
        ({"tasks": ["sequential"], **USERS}, ["protocol: clean"]),
        (AS_PRINTED, ["protocol: clean"]),
        ({**AS_PRINTED, "decode": "beam"}, ["protocol: clean", "num_beams: 20"]),
        (
            {**AS_PRINTED, "item_ids": "sequential_p5"},
            ["protocol: clean", "item_ids: sequential_p5"],
        ),
        (
            {"protocol": "published", "graph_edges": "train"},
            ["protocol: published", "item_ids: sequential_p5", "hide_edges: none"],
        ),
    ],
    ids=str,
)
def test_a_result_says_what_tells_the_answer(trained, options, told):
    trainer, data = trained(**options)
    assert trainer.approximations(data.train) == told


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (
            {"semantics": "metadata"},
            "t5 semantics user_semantics id_tokens user_tokens training_prompts sequential_user "
            "decoder_whole_words direct_loss hide_edges learn_users",
        ),
        (
            {"tasks": ["sequential"], "sequential_whole_word": "position", **USERS},
            "t5 tasks id_tokens training_prompts sequential_whole_word hide_edges",
        ),
        (AS_PRINTED, "t5 hide_edges decode"),
        ({**AS_PRINTED, "user_graph": "symmetric"}, "t5 hide_edges user_graph decode"),
        (
            {"protocol": "published", "graph_edges": "train"},
            "t5 id_tokens item_ids training_prompts",
        ),
    ],
    ids=str,
)
def test_a_result_says_what_is_not_the_papers(trained, options, names):
    sizes = {"n_negatives": 9, "n_similar_users": 5, "train_batch_size": 64}  # of tests
    rest = {"decay_epochs", "learning_rate", "sigma", "stop_on", *sizes}
    trainer, data = trained(**{"semantics": "llm", **options})
    found = [line.partition(":")[0] for line in trainer.deviations(data.train)]
    assert "reviews" in found[-1]
    assert [name for name in found[:-1] if name not in rest] == names.split()


@pytest.mark.parametrize(
    ("beams", "mask"), [(5, False), (5, True), (38, False), (38, True), (99, False)]
)
def test_it_is_said_how_many_targets_the_beams_reached(trained, caplog, beams, mask):
    """Few beams and nearly as many as there are items, with and without the history in them."""
    options = {"id_tokens": "digits", "initializer_range": 3.0}
    trainer, data = trained(**options, num_beams=beams, mask_history=mask)
    with caplog.at_level("INFO", "recbole_intent"):
        ranks = trainer.rank(data.test)
    reached, used = 0, []
    for batch in data.test:
        rows, items = batch.excluded or (torch.zeros(0).long(),) * 2
        others = rows[items != batch.target[rows]], items[items != batch.target[rows]]
        scores = trainer.scores(batch.interaction, 41, others)
        reached += int((scores.gather(1, batch.target[:, None]) > float("-inf")).sum())
        used += (scores > float("-inf")).sum(1).tolist()
        assert (scores[others] == float("-inf")).all()
    assert f"{beams} beams reached {reached} of 60 targets" in caplog.text
    assert reached == len(ranks) if beams == 99 else 0 < reached <= len(ranks)
    if beams == 5:
        assert reached < len(ranks)
        assert set(used) == {5}  # the history takes none of them


def test_a_masked_history_takes_no_beam(trained):
    """Ranks by beams are those of exact scores as far as the beams reach."""
    options = {"id_tokens": "digits", "initializer_range": 3.0, "mask_history": True}
    trainer, data = trained(**options, decode="exact")
    exact = trainer.rank(data.test).rank
    trainer.config["decode"], trainer.config["num_beams"] = "beam", 39
    np.testing.assert_array_equal(trainer.rank(data.test).rank, exact)


def test_recboles_own_rows_do_as_well(trained):
    trainer, data = trained(fast_sequences=False, epochs=1)
    trainer.fit(data.train, data.valid)
    assert trainer.history[0]["loss"]["sequential"] > 0


def test_mistakes_show_before_the_first_epoch(trained):
    trainer, data = trained(n_negatives=39)
    with pytest.raises(UserError, match="n_negatives: 39: a user has only"):
        trainer.fit(data.train, data.valid)
    assert not trainer.history
    for options in ({"noise": {"where": "both", "ratio": 0.2}}, {"task": "direct"}):
        with pytest.raises(UserError, match=r"noise: .*tasks: \[sequential\]"):
            trained(**{"noise": {"ratio": 0.2}, **options})


def test_noise_of_a_test_reaches_the_prompts_of_that_test_alone(trained):
    (trainer, plain), (_, noisy) = trained(), trained(noise={"ratio": 0.9})
    clean, valid = trainer.rank(plain.test), trainer.rank(plain.valid)
    np.testing.assert_array_equal(trainer.rank(noisy.valid).rank, valid.rank)
    assert (trainer.rank(noisy.test).rank != clean.rank).any()
    np.testing.assert_array_equal(trainer.rank(plain.test).rank, clean.rank)


def test_a_killed_run_ends_as_an_undisturbed_one(
    tiny_path, tmp_path, killed_run, ends_as_undisturbed
):
    options = {
        "data_path": str(tiny_path),
        "checkpoint_dir": str(tmp_path),
        "device": "cpu",
        "threads": 1,
        "tensorboard": False,
        "show_progress": False,
        "epochs": 14,
        "stopping_step": 30,
        "hidden_size": 16,
        "inner_size": 16,
        "n_layers": 1,
        "n_heads": 2,
        "semantic_size": 8,
        "n_negatives": 9,
        "n_similar_users": 5,
        "align_every": 2,
        "learning_rate": 0.01,
        "MAX_ITEM_LIST_LENGTH": 8,
        "train_batch_size": 64,
    }
    killed = killed_run("ISRF", options, "valid ndcg@10", 3)
    ends_as_undisturbed("ISRF", options, killed)


def test_it_learns_walks_along_a_ring(trained, tmp_path):
    """Chance is .11; all items are ranked after histories of a few."""
    options = {
        "tasks": ["sequential"],
        "epochs": 30,
        "decay_epochs": 30,
        "stopping_step": 30,
        "learning_rate": 0.01,
    }
    trainer, data = trained(tmp_path / "run", **options)
    trainer.fit(data.train, data.valid)
    trainer.load_best()
    assert trainer.evaluate(data.test)["ndcg@10"] > 0.3


@pytest.fixture(scope="module")
def tastes(tmp_path_factory) -> Path:
    """`data_path` of 80 users who choose 7 of the 15 items of their taste, one of four."""
    rng = np.random.default_rng(3)
    folder = tmp_path_factory.mktemp("data") / "tastes"
    folder.mkdir()
    lines = ["user_id:token\titem_id:token\ttimestamp:float"]
    for user in range(80):
        items = rng.permutation(15)[:7] + 15 * (user % 4)
        lines += [f"u{user}\ti{item}\t{time_}" for time_, item in enumerate(items)]
    (folder / "tastes.inter").write_text("\n".join(lines) + "\n")
    return folder.parent


def test_it_learns_tastes_for_the_direct_task(config, tastes, tmp_path):
    """Among ten candidates, of which some two have the user's taste: NDCG by chance is .45."""
    options = {
        "data_path": str(tastes),
        "checkpoint_dir": str(tmp_path),
        "task": "direct",
        "n_candidates": 9,
        "n_negatives": 9,
        "direct_targets": 5,
        "semantics": "random",
        "use_alignment_direct": False,
        "use_alignment_sequential": False,
        "hidden_size": 16,
        "inner_size": 32,
        "n_layers": 1,
        "n_heads": 2,
        "train_batch_size": 64,
        "learning_rate": 0.01,
        "epochs": 25,
        "decay_epochs": 25,
        "stopping_step": 25,
    }
    trainer, data = build(config("ISRF", "tastes", **options))
    trainer.fit(data.train, data.valid)
    trainer.load_best()
    assert trainer.evaluate(data.test)["ndcg@10"] > 0.65
