"""Models that are tested on different users are not trained first."""

import pytest

from recbole_intent.compare.same_tests import check_same_tests
from recbole_intent.utils.errors import UserError


def _write(folder, lengths):
    (folder / "x").mkdir()
    rows = "".join(f"u{n}\ti{k}\t{k}\n" for n, length in enumerate(lengths) for k in range(length))
    header = "user_id:token\titem_id:token\ttimestamp:float\n"
    (folder / "x/x.inter").write_text(header + rows)


@pytest.mark.parametrize(
    ("lengths", "options", "message"),
    [
        ([5, 5, 2, 5], {}, r"BPR would be tested on 1 users that SASRec .*'u2'.*\[3,inf\)"),
        ([5, 5, 2, 5], {"user_inter_num_interval": "[3,inf)"}, None),
        ([5, 3, 4, 6], {}, None),
        ([9, 9], {"eval_args": {"split": {"RS": [0.5, 0.2, 0.3]}}}, "several test targets"),
    ],
)
def test_general_and_sequential_models(tmp_path, config, lengths, options, message):
    _write(tmp_path, lengths)
    configs = {
        name: config(name, "x", data_path=str(tmp_path), **options) for name in ("SASRec", "BPR")
    }
    if message is None:
        check_same_tests(configs)
        return
    with pytest.raises(UserError, match=message):
        check_same_tests(configs)


def test_bad_data_stop_the_comparison(tmp_path, config):
    _write(tmp_path, [5, 5])
    with (tmp_path / "x/x.inter").open("a") as file:
        file.write("u9\n")
    with pytest.raises(UserError, match=r"x\.inter:12: 1 cells"):
        check_same_tests({"SASRec": config("SASRec", "x", data_path=str(tmp_path))})
