"""The folder of a run is its own and clean; files of a batch go with an endpoint."""

from pathlib import Path

import pytest

from recbole_intent.enrich.options import ProfileOptions, read_options
from recbole_intent.enrich.workplace import Batches, own_folder
from recbole_intent.utils.errors import UserError


def test_half_written_files_of_a_killed_run_go_and_no_others(tmp_path):
    for name in (".d.intent.77.tmp", ".d.other.77.tmp", ".e.intent.77.tmp", "d.intent"):
        (tmp_path / name).write_text("half")
    with own_folder(tmp_path, "d", (".intent",)):
        left = {path.name for path in tmp_path.iterdir()} - {"lock"}
        assert left == {".d.other.77.tmp", ".e.intent.77.tmp", "d.intent"}
        with (
            pytest.raises(UserError, match="another process"),
            own_folder(tmp_path, "d", (".intent",)),
        ):
            pass
    assert not (tmp_path / "lock").exists()


@pytest.mark.parametrize("given", [{"semantics": "metadata"}, {"llm.source": "embedded"}])
def test_batches_need_an_endpoint(given):
    options = read_options(given=given, kind=ProfileOptions)
    Batches().check(options)
    with pytest.raises(UserError, match=r"go with --llm\.source=openai"):
        Batches(exported=Path("requests")).check(options)
    Batches(exported=Path("requests")).check(read_options(kind=ProfileOptions))
