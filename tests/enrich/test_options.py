"""Options come from the defaults, files and the command line, and mistakes name the key."""

import pytest

from recbole_intent.enrich.options import IntentOptions, ProfileOptions, read_options
from recbole_intent.utils.errors import UserError


def test_the_defaults_are_the_papers():
    options = read_options()
    assert (options.attempts, options.negatives, options.validate_by) == (3, 5, "generate")
    assert options.refine_features
    assert options.predict_and_correct
    assert options.llm.source == "openai"


def test_later_ones_win(tmp_path):
    (tmp_path / "a.yaml").write_text("window: 4\nllm: {model: a, temperature: 0.5}\n")
    (tmp_path / "b.yaml").write_text("llm: {model: b}\nseed: 7\n")
    options = read_options([tmp_path / "a.yaml", tmp_path / "b.yaml"], {"llm.model": "c"})
    assert (options.window, options.seed) == (4, 7)
    assert (options.llm.model, options.llm.temperature) == ("c", 0.5)
    assert read_options(given={"llm": {"model": "d"}}).llm.model == "d"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"windw": 3}, "--windw: unknown option of enrich; did you mean window?"),
        ({"llm.modl": 3}, "--llm.modl: unknown option of enrich; did you mean llm.model?"),
        ({"llm": "x"}, "--llm: unknown option"),
        ({"window": 0}, "--window: 0 is not a whole number from 1"),
        ({"sample": 1.5}, "--sample: 1.5 is not a number in 0 .. 1"),
        ({"attempts": "many"}, "--attempts: 'many' is not a whole number"),
        ({"validate": "guess"}, "--validate: 'guess' is not one of generate"),
        ({"llm.source": "cloud"}, "--llm.source: 'cloud' is not one of openai"),
        ({"attempts": True}, "--attempts: True is not a whole number"),
        ({"attempts": "3"}, "--attempts: '3' is not a whole number"),
        ({"window": 2.0}, "--window: 2.0 is not a whole number"),
        ({"refine_features": "yes"}, "--refine_features: 'yes' is neither True nor False"),
        ({"min_margin": 0.5}, "--min_margin: has no effect with validate: 'generate'"),
        ({"llm.dtype": "bfloat16"}, "--llm.dtype: has no effect with llm.source: 'openai'"),
        ({"workers": 3}, "--workers: has no effect with runner: 'local'"),
        ({"min_margin": float("nan")}, "--min_margin: nan is not a number from 0"),
    ],
)
def test_mistakes_name_the_key(given, message):
    with pytest.raises(UserError, match=message.replace("?", r"\?")):
        read_options(given=given)


def test_mistakes_in_a_file_name_it(tmp_path):
    (tmp_path / "a.yaml").write_text("windw: 4\n")
    with pytest.raises(UserError, match=r"a\.yaml: windw: unknown option"):
        read_options([tmp_path / "a.yaml"])


def test_each_purpose_has_options_of_its_own():
    options = read_options(given={"texts": ["fused", "negative"]}, kind=ProfileOptions)
    assert (options.semantics, options.users_sample, options.encoder) == ("llm", 20, "embedded")
    assert options.texts == ("fused", "negative")
    assert read_options(given={"texts": "positive"}, kind=ProfileOptions).texts == ("positive",)
    assert options.is_llm
    assert not options.needs_likelihood
    assert read_options(given={"validate": "likelihood"}, kind=IntentOptions).needs_likelihood
    with pytest.raises(UserError, match="--negatives: unknown option"):
        read_options(given={"negatives": 3}, kind=ProfileOptions)
    with pytest.raises(UserError, match="--users_sample: unknown option"):
        read_options(given={"users_sample": 3})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"users_sample": 21}, "--users_sample: 21 is not a whole number from 1 to 20"),
        ({"texts": []}, "texts: "),
        ({"texts": ["best"]}, "--texts: 'best' is not one of fused"),
        ({"semantics": "random"}, "--semantics: 'random' is not one of llm"),
        ({"llm.name_candidates": True}, "--llm.name_candidates: unknown option"),
    ],
)
def test_mistakes_about_profiles_name_the_key(given, message):
    with pytest.raises(UserError, match=message):
        read_options(given=given, kind=ProfileOptions)


@pytest.mark.parametrize(
    ("given", "asks"),
    [({}, True), ({"llm.source": "embedded"}, False), ({"llm.reason": False}, False)],
)
def test_small_models_give_no_reasons_unless_asked(given, asks):
    assert read_options(given=given, kind=ProfileOptions).llm.asks_reason is asks
