"""Suggestions: the same after a restart, none twice, none that the configuration refuses."""

import pytest

from recbole_intent.tune.ledger import FAILED, FINISHED, RUNNING, STOPPED, Trial
from recbole_intent.tune.space import Choice, Range
from recbole_intent.tune.suggest import OptunaSuggester, RandomSuggester
from recbole_intent.utils.errors import UserError

SPACE = {
    "a": Choice((1, [2, 3], "x")),
    "b": Range("loguniform", 1e-3, 1.0),
    "c": Range("int", 1, 4),
    "d": Range("uniform", 0.0, 1.0),
}
SMALL = {"a": Choice((1, 2, 3)), "b": Choice((1, 2))}


def _accept(params):
    pass


def _make(kind: str, space=SPACE, seed: int = 7, check=_accept):
    if kind == "random":
        return RandomSuggester(space, seed, check)
    return OptunaSuggester(space, seed, check, "ndcg@10", bigger=True)


def _over(index: int, params: dict, status: str = FINISHED) -> Trial:
    value = -abs(params["d"] - 0.7) + params["c"] / 10
    epochs = [{"epoch": e, "valid": {"ndcg@10": value * e / 2}, "seconds": 1.0} for e in (1, 2)]
    return Trial(index, params, status, [] if status == FAILED else epochs)


def _statuses(index: int) -> str:
    return (FINISHED, STOPPED, FINISHED, FAILED)[index % 4]


@pytest.mark.parametrize("kind", ["random", "optuna"])
def test_a_restart_suggests_as_if_it_had_not_been(kind):
    """After 15 of 18 trials, one of them still running: beyond Optuna's random beginning."""
    whole, trials = _make(kind), []
    for index in range(15):
        trials.append(_over(index, whole.suggest(index), _statuses(index)))
        if index != 12:
            whole.learn(trials[-1])
    trials[12].status = RUNNING
    again = _make(kind)
    for trial in trials:
        again.recall(trial)
    for index in range(15, 18):
        params = whole.suggest(index)
        assert params == again.suggest(index)
        assert params.keys() == SPACE.keys()
        assert params["a"] in (1, [2, 3], "x")
        for suggester in (whole, again):
            suggester.learn(_over(index, params))


@pytest.mark.parametrize("kind", ["random", "optuna"])
def test_the_seed_decides(kind):
    first, same, other = _make(kind), _make(kind), _make(kind, seed=8)
    assert first.suggest(0) == same.suggest(0) != other.suggest(0)


@pytest.mark.parametrize("kind", ["random", "optuna"])
def test_a_space_that_is_used_up_gives_each_choice_once(kind):
    suggester = _make(kind, SMALL)
    found = []
    while (params := suggester.suggest(len(found))) is not None:
        found.append(params)
    assert sorted((p["a"], p["b"]) for p in found) == [(a, b) for a in (1, 2, 3) for b in (1, 2)]


@pytest.mark.parametrize("kind", ["random", "optuna"])
def test_what_is_refused_is_drawn_anew(kind):
    def check(params):
        if params["a"] != 2:
            raise UserError(f"a: {params['a']} is refused")

    suggester = _make(kind, SMALL, check=check)
    found = [suggester.suggest(0), suggester.suggest(1)]
    assert sorted(p["b"] for p in found) == [1, 2]
    assert {p["a"] for p in found} == {2}
    assert suggester.suggest(2) is None


@pytest.mark.parametrize("kind", ["random", "optuna"])
def test_a_space_of_mistakes_alone_raises_the_mistake(kind):
    def check(params):
        raise UserError("n_heads: 3 is not a divisor")

    with pytest.raises(UserError, match="not a divisor"):
        _make(kind, SMALL, check=check).suggest(0)


def test_optuna_learns_where_it_is_good():
    """After 40 trials, most of the next are in the better half of `d`, whose best is 0.7."""
    suggester = _make("optuna")
    for index in range(40):
        suggester.learn(_over(index, suggester.suggest(index)))
    later = []
    for index in range(40, 50):
        later.append(suggester.suggest(index))
        suggester.learn(_over(index, later[-1]))
    assert sum(params["c"] >= 3 for params in later) >= 7
    assert sum(0.45 <= params["d"] <= 0.95 for params in later) >= 7
