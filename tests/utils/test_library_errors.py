"""What RecBole raises for mistakes of the user is one line; other faults keep tracebacks."""

import re

import pytest

from recbole_intent.cli.main import main
from recbole_intent.utils import compat
from recbole_intent.utils.errors import UserError
from recbole_intent.utils.library_errors import library_mistakes

compat.apply()

import torch  # noqa: E402
from recbole.data.interaction import Interaction  # noqa: E402

RUN = ["--device=cpu", "--show_progress=False", "--tensorboard=False", "--epochs=1"]
ROWS = "".join(f"u{u}\ti{(u + t) % 7}\t{t}\n" for u in range(9) for t in range(5))


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (lambda row: row["b"], r"KeyError: 'b' \(RecBole's interaction\.py:\d+: "),
        (lambda row: row.repeat("x"), r"TypeError: .* \(RecBole's interaction\.py:\d+: "),
    ],
    ids=range(2),
)
def test_what_recbole_raises_is_one_line(fault, message):
    row = Interaction({"a": torch.zeros(2)})
    with pytest.raises(UserError, match=message) as caught, library_mistakes("thing x"):
        fault(row)
    assert str(caught.value).startswith("thing x: ")
    assert "\n" not in str(caught.value)


class _Broken(dict):
    """Of a user, and called by RecBole."""

    def items(self):
        return {}["key of the user"]


@pytest.mark.parametrize(
    "fault",
    [lambda: {}["key"], lambda: compat.plain({}["key"]), lambda: Interaction(_Broken())],
    ids=range(3),
)
def test_faults_of_other_code_keep_their_class(fault):
    with pytest.raises(KeyError, match="key"), library_mistakes("thing x"):
        fault()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model=BPR", "--alias_of_item_id=[nope]"], "no column .nope."),
        (["--model=BPR", "--numerical_features=[nope]"], r"dataset mine: Field \[nope\]"),
        (["--model=BPR", "--threshold={rating: 3}"], r"Field \[rating\] not in inter_feat"),
        (["--model=SASRecF", "--selected_features=[size]"], "also give --numerical_features=.size"),
        (["--model=FDSA", "--selected_features=[size]"], "also give --numerical_features=.size"),
        (["--model=GRU4RecF", "--selected_features=[brand,size]"], "selected_features: size"),
        (
            ["--model=SASRec", "--eval_args={split: {RS: [1,1,1], LS: test_only}}"],
            "exactly one of RS, ",
        ),
    ],
    ids=range(7),
)
def test_mistakes_that_recbole_meets(tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "dataset/mine"
    folder.mkdir(parents=True)
    header = "user_id:token\titem_id:token\ttimestamp:float\n"
    (folder / "mine.inter").write_text(header + ROWS)
    items = "".join(f"i{n}\tb{n % 2}\t0.{n}\n" for n in range(7))
    (folder / "mine.item").write_text(f"item_id:token\tbrand:token\tsize:float\n{items}")
    assert main(["--dataset=mine", *RUN, *words]) == 2
    out, err = capsys.readouterr()
    lines = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert re.search(message, lines[0]), err
    assert out == ""
    assert not (tmp_path / "saved").exists()
