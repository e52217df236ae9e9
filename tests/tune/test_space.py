"""Search spaces: read, refused with the key, drawn within their bounds."""

import numpy as np
import pytest
import yaml

from recbole_intent.config.config import Config
from recbole_intent.tune.space import Choice, Range, check_space, read_space
from recbole_intent.utils.errors import UserError


@pytest.fixture
def space_file(tmp_path):
    def write(text: str):
        path = tmp_path / "space.yaml"
        path.write_text(text)
        return path

    return write


@pytest.mark.parametrize(
    "model", ["IGRSR", "SASRec", "GRU4Rec", "BERT4Rec", "LightGCN", "BPR", "NCL", "SimpleX"]
)
def test_the_shipped_spaces_fit_their_models(model, config):
    space, path = read_space(model)
    assert len(space) >= 4
    check_space(space, path, config(model))
    rng = np.random.default_rng(0)
    params = {key: domain.draw(rng) for key, domain in space.items()}
    assert params.keys() == space.keys()


def test_a_space_reads_back_as_it_was_written(space_file):
    text = (
        "a: [1, x, [2, 3]]\nb: {uniform: [0, 0.5]}\nc: {loguniform: [1e-4, 1e-1]}\nd: {int: [1, 3]}"
    )
    space, path = read_space("SASRec", space_file(text))
    assert space == {
        "a": Choice((1, "x", [2, 3])),
        "b": Range("uniform", 0, 0.5),
        "c": Range("loguniform", 1e-4, 1e-1),
        "d": Range("int", 1, 3),
    }
    plain = yaml.safe_dump({key: domain.plain() for key, domain in space.items()})
    assert read_space("SASRec", space_file(plain))[0] == space
    assert path.name == "space.yaml"


def test_draws_stay_within_and_reach_all():
    rng = np.random.default_rng(1)
    whole = [Range("int", 1, 3).draw(rng) for _ in range(100)]
    assert set(whole) == {1, 2, 3}
    assert all(type(value) is int for value in whole)
    log = [Range("loguniform", 1e-4, 1e-1).draw(rng) for _ in range(400)]
    assert 1e-4 <= min(log) <= max(log) <= 1e-1
    assert sum(value < 3.2e-3 for value in log) == pytest.approx(200, abs=50)  # the middle, in logs
    flat = [Range("uniform", 0, 0.5).draw(rng) for _ in range(100)]
    assert 0 <= min(flat) <= max(flat) <= 0.5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("learning_rte: [0.1]", r"space\.yaml: learning_rte: unknown key; did you mean learning_"),
        ("hidden_size: [16, -1]", r"space\.yaml: hidden_size: -1 is not a whole number from 1"),
        ("n_layers: {uniform: [1, 2.5]}", r"n_layers: 2\.5 is not a whole number"),
        ("hidden_size: []", "an empty list"),
        ("hidden_size: [8, 8]", "8 stands twice"),
        ("hidden_size: 8", "is none of"),
        ("hidden_size: {choice: [1, 2]}", "is none of"),
        ("hidden_size: {int: [1, 2.5]}", "not .* of two whole numbers"),
        ("learning_rate: {uniform: [2, 1]}", "a < b"),
        ("learning_rate: {uniform: 3}", "a < b"),
        ("learning_rate: {loguniform: [0, 1]}", "above 0"),
        ("epochs: [1, 2]", "epochs: cannot be searched"),
        ("", "nothing is left to search"),
    ],
)
def test_a_mistake_is_named(space_file, config, text, message):
    def read_and_check() -> None:
        space, path = read_space("SASRec", space_file(text))
        check_space(space, path, config("SASRec"))

    with pytest.raises(UserError, match=message):
        read_and_check()


def test_unknown_keys_pass_where_they_are_allowed(space_file, config):
    space, path = read_space("SASRec", space_file("my_own: [1, 2]"))
    check_space(space, path, config("SASRec"), allow_unknown=True)


def test_optional_keys_of_models_are_known(space_file):
    space, path = read_space("BPR", space_file("reg_weight: [0.1, 0.2]"))
    check_space(space, path, Config("BPR", "ml-100k", config_dict={"device": "cpu"}))


def test_a_model_without_a_space_asks_for_one():
    with pytest.raises(UserError, match="without a search space"):
        read_space("Pop")
