"""The words of `compare`: what is refused, and what a request says of them."""

import pytest

from recbole_intent.cli.main import main
from recbole_intent.compare import compare as comparison
from recbole_intent.compare.entries import Entry

WORDS = ["--models=SASRec,BPR", "--dataset=ml-100k"]


@pytest.fixture
def asked(monkeypatch, capsys):
    """Run a command that is to reach `compare`, and return the request that it makes."""

    class Reached(Exception):
        pass

    def reach(request):
        raise Reached(request)

    def run(*words: str):
        monkeypatch.setattr(comparison, "compare", reach)
        with pytest.raises(Reached) as found:
            main(["compare", *words])
        return found.value.args[0]

    return run


def test_a_request(asked, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text("epochs: 3\n")
    request = asked(
        *WORDS,
        "--seeds=1,2",
        "--workers=3",
        "--reference=BPR",
        "--noise=0.1,0.2",
        "--noise_kinds=delete,insert",
        "--learning_rate=1e-3",
        "--topk=[5, 10]",
        "--output=here",
        "--config_files=a.yaml, b.yaml",
        "--fresh",
    )
    assert request.entries == [Entry("SASRec", "SASRec"), Entry("BPR", "BPR")]
    assert request.seeds == [1, 2]
    assert (request.workers, request.reference, request.output) == (3, "BPR", "here")
    assert request.noise == [("delete", 0.1), ("delete", 0.2), ("insert", 0.1), ("insert", 0.2)]
    assert request.overrides == {"learning_rate": 0.001, "topk": [5, 10]}
    assert request.config_files == ["a.yaml", "b.yaml"]
    assert (request.fresh, request.allow_unknown) == (True, False)
    assert "--seeds=1,2" in request.command


def test_keys_of_one_model_and_keys_that_one_lacks(asked, tmp_path, caplog):
    words = ["--models=IGRSR,Pop", "--dataset=ml-100k", "--hidden_size=8", "--IGRSR.n_prefix=2"]
    request = asked(*words, "--learning_rate=1e-3")
    ours, pop = request.entries
    assert ours == Entry("IGRSR", "IGRSR", {"n_prefix": 2})
    assert request.overrides_of(ours, 1)["hidden_size"] == 8
    assert "hidden_size" not in request.overrides_of(pop, 1)
    assert request.overrides_of(pop, 1)["learning_rate"] == 1e-3
    assert request.notes() == ["Pop has no hidden_size: trained without."]
    assert request.notes()[0] in caplog.text
    path = tmp_path / "own.yaml"
    path.write_text("hidden_size: 8\nepochs: 2\n")
    request = asked(*words[:2], f"--config_files={path}", "--epochs=1")
    assert request.overrides == {"hidden_size": 8, "epochs": 1}
    assert request.overrides_of(pop, 1)["epochs"] == 1
    assert "hidden_size" not in request.overrides_of(pop, 1)


def test_the_task_is_a_key_of_all_models(asked):
    assert asked(*WORDS, "--task=direct").overrides == {"task": "direct"}


def test_the_same_runs_on_another_task_too(asked):
    request = asked(*WORDS, "--also=direct")
    assert request.tasks == ["direct"]
    assert request.overrides == {}
    assert asked(*WORDS, "--task=direct", "--also=next-item").tasks == ["next-item"]


def test_defaults(asked):
    request = asked(*WORDS)
    assert (request.seeds, request.workers, request.noise) == ([2020], 1, [])
    assert request.reference is request.output is None


def test_a_mapping_of_noise_is_a_key_of_all_models(asked):
    request = asked(*WORDS, "--noise={ratio: 0.2, where: train}")
    assert request.noise == []
    assert request.overrides == {"noise": {"ratio": 0.2, "where": "train"}}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--dataset=ml-100k"], "--models=A,B,… is missing"),
        (["--models=SASRec"], "--dataset=… is missing"),
        ([*WORDS, "--seeds=one"], "--seeds=one: expected numbers"),
        ([*WORDS, "--seeds=2,2"], "--seeds: give each seed once"),
        ([*WORDS, "--workers=,"], "--workers=,: not a whole number from 1"),
        ([*WORDS, "--noise=much"], "--noise=much: expected numbers"),
        ([*WORDS, "--noise=1.5"], "--noise: 1.5 is not a number in 0 .. 1, 0 excluded"),
        ([*WORDS, "--noise=0.1", "--noise_kinds=swap"], "--noise_kinds: 'swap' is not one of"),
        ([*WORDS, "--noise_kinds=delete"], "--noise_kinds: goes with ratios"),
        ([*WORDS, "--also=rating"], "--also=rating: none of next-item, direct"),
        ([*WORDS, "--also=next-item"], "--also=next-item: the runs are made for it"),
        ([*WORDS, "--datasets=a"], "--datasets: goes with --reproduce"),
        ([*WORDS, "--reference=Pop"], "--reference=Pop: not among SASRec, BPR"),
        (["--reproduce=igrsr-table9"], "no such table; known are igrsr-figure2"),
        (["--reproduce=igrsr-table2", "--datasets=toys"], "--datasets: toys is not in Table 2"),
        (["--reproduce=igrsr-table2", "--dataset=toys"], "--datasets=… restricts it"),
        (["--reproduce=igrsr-table2", "--also=direct"], "--also: the paper's table says it"),
        (["--reproduce=igrsr-table2", "--noise=0.1"], "--noise: the paper's table says it"),
        ([*WORDS, "--SASRek.hidden_size=8"], "--SASRek.hidden_size: SASRek is not among"),
        ([*WORDS, "--BPR.topk=8"], "--BPR.: topk is a part of the protocol"),
        ([*WORDS, "--hiden_size=8"], "--hiden_size: unknown key; did you mean hidden_size?"),
        (["SASRec"], "SASRec: not of the form --key=value"),
    ],
    ids=str,
)
def test_mistakes_are_one_line(words, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["compare", *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert message in err
    assert len(err.splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("words", [[], ["--help"], [*WORDS, "-h"]], ids=str)
def test_help(words, capsys):
    assert main(["compare", *words]) == 0
    assert "--reproduce=NAME" in capsys.readouterr().out
