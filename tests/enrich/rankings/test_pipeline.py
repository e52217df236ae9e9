"""PO4ISR: prompt optimisation at a server on loopback, and runs that read its rankings."""

import json
import shutil

import pytest

from recbole_intent.data.formats.ranking_files import MANIFEST, RANKING, read_rankings
from recbole_intent.enrich.options import RankingOptions, read_options
from recbole_intent.enrich.products import enrich
from recbole_intent.enrich.rankings.asking import gain
from recbole_intent.enrich.rankings.optimise import bandit
from recbole_intent.runs.experiment import build
from recbole_intent.utils.errors import UserError

SMALL = {"train_sessions": 8, "valid_sessions": 4, "depth": 1, "batch": 6, "rounds": 6}
SMALL |= {"round_sessions": 3, "tried": 4, "kept": 2, "good_rank": 3, "n_candidates": 9}
BETTER = "1. Prefer candidates of the session's own kind."


def _block(content, heading):
    return content.split(f"{heading}:\n")[1].split("\n\n")[0].splitlines()


def ranker(body):
    """A model that ranks well only if its instructions tell it to look at the kind of things."""
    system, asked = (message["content"] for message in body["messages"][:2])
    if "ranks candidates for the next item" in system:
        assert "Right item: " in asked
        if "Write better instructions" in asked:
            assert "- The kind is overlooked" in asked
            return {"strategy": BETTER}
        return {"texts": ["The kind is overlooked", "It is too vague"]}
    if system.startswith("You rewrite instructions"):
        return {"texts": ["1. Take the same kind of thing.", "1. As before."]}
    kind = _block(asked, "Session")[0].removeprefix("- ").split()[0]
    numbers = {line.split(". ")[0]: line.split(". ")[1] for line in _block(asked, "Candidates")}
    knows = "own kind" in system or "same kind" in system
    order = sorted(numbers, key=lambda n: knows != numbers[n].startswith(kind))
    return {"steps": "…", "ranking": [*order[:5], "77", order[0]]}


@pytest.fixture
def data(shop, tmp_path):
    """A copy of the dataset `shop`."""
    return shutil.copytree(shop, tmp_path / "data")


@pytest.fixture
def run(data):
    """Rank with a server: `run(server)`; answers are kept next to the dataset."""

    def make(server, **options):
        given = {"llm.model": "shop", "llm.base_url": server.url, **SMALL, **options}
        if not given.get("optimise", True):  # sizes of the optimisation have no effect then
            given = {key: given[key] for key in given if key not in SMALL or key == "n_candidates"}
        return enrich("PO4ISR", "shop", data_path=data, **given)

    return make


def test_a_better_prompt_is_learnt_from_training_sessions_and_ranks(
    run, data, serve, reply, config, tmp_path
):
    server = serve(lambda body, _: reply(json.dumps(ranker(body))))
    done = run(server)
    manifest = json.loads((done.folder / f"shop{MANIFEST}").read_text())
    assert manifest["strategy"] in (BETTER, "1. Take the same kind of thing.")
    compared = manifest["optimisation"][0]["compared"]
    assert sum(each["tries"] for each in compared) == 6 * 3
    assert done.share == 1

    # Test sessions are asked about by the final prompt alone, after all else.
    titles = {
        f"{row.split(chr(9))[0]}": row.split("\t")[1]
        for row in (data / "shop" / "shop.item").read_text().splitlines()[1:]
    }
    entries = list(read_rankings(done.folder / f"shop{RANKING}"))
    assert [e.part for e in entries] == ["valid"] * 6 + ["test"] * 6
    tested = {tuple(titles[i] for i in e.candidates) for e in entries if e.part == "test"}
    asked = [
        tuple(line.split(". ")[1] for line in _block(b["messages"][1]["content"], "Candidates"))
        for b in server.bodies()
        if "Candidates:" in b["messages"][1]["content"]
    ]
    at = [i for i, shown in enumerate(asked) if shown in tested]
    assert at == list(range(len(asked) - 6, len(asked)))

    # The same again asks nothing and gives the same file.
    before, n_asked = (done.folder / f"shop{RANKING}").read_bytes(), len(server.seen)
    again = run(server)
    assert (again.asked, len(server.seen)) == (0, n_asked)
    assert (done.folder / f"shop{RANKING}").read_bytes() == before

    # A run reads the rankings: what is not named shares the last places.
    options = {"data_path": str(data), "task": "direct", "n_candidates": 9}
    options |= {"checkpoint_dir": str(tmp_path / "saved"), "hidden_size": 8}
    trainer, loaded = build(config("PO4ISR", "shop", **options))
    ranks = trainer.rank(loaded.test)
    of = {e.session: e for e in entries if e.part == "test"}
    dataset = loaded.dataset
    for user, target, rank in zip(ranks.user, ranks.target, ranks.rank, strict=True):
        entry = of[dataset.field2id_token["user_id"][user]]
        item = dataset.field2id_token["item_id"][target]
        assert len(entry.ranking) == 5
        expected = entry.ranking.index(item) + 1 if item in entry.ranking else (6 + 10) / 2
        assert rank == expected
    assert trainer.approximations(loaded.train) == []
    mean = sum(map(gain, ranks.rank)) / len(ranks.rank)
    assert f"- test: 6 targets, mean NDCG {mean:.4f}" in done.report

    trainer, loaded = build(config("PO4ISR", "shop", **{**options, "n_candidates": 5}))
    with pytest.raises(UserError, match=r"no ranking of the 6 candidates of .* --n_candidates=5"):
        trainer.rank(loaded.test)
    trainer, loaded = build(config("PO4ISR", "shop", **{**options, "task": "next-item"}))
    assert "a SASRec ranks all items" in trainer.approximations(loaded.train)[0]


def test_without_optimisation_and_with_answers_that_cannot_be_used(run, serve, reply):
    def script(body, _):
        is_of_lamps = "lamp" in _block(body["messages"][1]["content"], "Session")[0]
        return reply('{"ranking": []}' if is_of_lamps else json.dumps(ranker(body)))

    server = serve(script)
    done = run(server, optimise=False, attempts=1)
    assert 0 < done.share < 1
    entries = list(read_rankings(done.folder / f"shop{RANKING}"))
    assert {len(e.ranking) for e in entries} == {0, 5}
    assert "without a usable answer: " in done.report


def test_missing_rankings_and_wrong_options_are_named(data, config, run, serve, reply):
    made = config("PO4ISR", "shop", data_path=str(data), task="direct", n_candidates=9)
    with pytest.raises(
        UserError,
        match=r"shop\.ranking: no such file of rankings; `recbole_intent enrich --for=PO4ISR "
        r"--dataset=shop --n_candidates=9 .*makes it",
    ):
        build(made)
    server = serve(lambda body, _: reply(json.dumps(ranker(body))))
    with pytest.raises(UserError, match="n_candidates: 47"):
        run(server, n_candidates=47)
    assert not server.seen


def test_the_bandit_prefers_what_pays():
    options = read_options(given={"rounds": 40, "exploration": 0.3}, kind=RankingOptions)
    worth = {"a": 0.2, "b": 0.9, "c": 0.4}
    rewards = bandit([*worth], lambda arm: [worth[arm]] * 2, options)
    assert sum(map(len, rewards)) == 80
    assert len(rewards[1]) > 2 * max(len(rewards[0]), len(rewards[2]))
    assert all(rewards)
