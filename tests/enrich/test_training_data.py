"""`enrich` sees what the runs that it is for train on, and a run refuses what it does not."""

import shlex
import shutil

import numpy as np
import pytest

from recbole_intent.cli.main import _dispatch
from recbole_intent.data.formats.intent_files import read_intents
from recbole_intent.data.formats.profile_files import profile_path, read_profiles
from recbole_intent.data.loading.split import load_data
from recbole_intent.enrich.training_data import read_training_data
from recbole_intent.models.isrf.semantics import users_alike
from recbole_intent.models.veli4sbr.session_intents import read_labels
from recbole_intent.runs.experiment import build
from recbole_intent.utils.errors import UserError

HEADER = "user_id:token\titem_id:token\ttimestamp:float\n"
PURPOSES = {"ISRF": {"semantics": "metadata"}, "VELI4SBR": {"intents": "metadata"}}
RATIO = "{split: {RS: [0.6, 0.2, 0.2]}}"


@pytest.fixture
def data(tiny_path, tmp_path):
    """`data_path` of a copy of `tiny` without enriched files."""
    folder = tmp_path / "data/tiny"
    folder.mkdir(parents=True)
    for suffix in (".inter", ".item"):
        shutil.copy(tiny_path / f"tiny/tiny{suffix}", folder)
    return folder.parent


def enrich(data, purpose, **options):
    given = {"for": purpose, "dataset": "tiny", "data_path": str(data), **PURPOSES[purpose]}
    assert _command({**given, "min_coverage": "0", **options}) == 0


def _command(words):
    """As the command line, with its errors."""
    return _dispatch(["enrich", *(f"--{key}={value}" for key, value in words.items())])


def read(tiny, data, purpose, **options):
    """What a run reads of enriched files, where it reads them."""
    semantics = {"semantics": "metadata"} if purpose == "ISRF" else {}
    config = tiny(purpose, data_path=str(data), **semantics, **options)
    train = load_data(config).train._dataset
    return {"ISRF": users_alike, "VELI4SBR": read_labels}[purpose](config, train)


@pytest.mark.parametrize("purpose", PURPOSES)
def test_a_run_refuses_another_split_and_says_how_to_make_its_own(tiny, data, purpose):
    enrich(data, purpose)
    assert read(tiny, data, purpose) is not None
    ratio = {"eval_args": {"split": {"RS": [0.6, 0.2, 0.2]}}}
    with pytest.raises(UserError) as error:
        read(tiny, data, purpose, **ratio)
    message = str(error.value)
    assert str(data / "tiny/tiny.") in message
    assert "LS: valid_and_test" in message.partition(", and this run")[0]
    assert "RS: [0.6" in message.partition(", and this run")[2]
    command = message.partition("`recbole_intent enrich ")[2].partition("`")[0]
    words = dict(word.removeprefix("--").split("=", 1) for word in shlex.split(command))
    assert _command({**words, "min_coverage": "0"}) == 0
    assert read(tiny, data, purpose, **ratio) is not None
    assert read(tiny, data, purpose) is not None  # neither took the other's place


@pytest.mark.parametrize("purpose", PURPOSES)
def test_a_folder_of_another_split_is_not_written_over(tiny, data, purpose, tmp_path):
    where = {"output": str(tmp_path / "mine")}
    enrich(data, purpose, **where)
    before = {path: path.read_bytes() for path in (tmp_path / "mine").iterdir()}
    with pytest.raises(
        UserError, match=r"manifest\.json: .*give another --output, or move them away"
    ):
        enrich(data, purpose, **where, eval_args=RATIO)
    assert {path: path.read_bytes() for path in (tmp_path / "mine").iterdir()} == before
    key = {"ISRF": "texts_folder", "VELI4SBR": "intents"}[purpose]
    value = str(tmp_path / "mine") + ("" if purpose == "ISRF" else "/tiny.intent")
    assert read(tiny, data, purpose, **{key: value}) is not None
    with pytest.raises(UserError, match=rf"--output={tmp_path}/mine-[0-9a-f]+.*--{key}="):
        read(tiny, data, purpose, **{key: value}, eval_args={"split": {"RS": [0.6, 0.2, 0.2]}})


@pytest.mark.parametrize("purpose", PURPOSES)
def test_other_data_of_the_same_split_are_refused_and_written_anew(tiny, data, purpose):
    enrich(data, purpose)
    path = data / "tiny/tiny.inter"
    lines = path.read_text().splitlines()
    lines[1] = lines[1].replace(lines[1].split("\t")[1], "i39" if "i39" not in lines[1] else "i38")
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(UserError, match="was made from the training interactions of"):
        read(tiny, data, purpose)
    enrich(data, purpose)
    assert read(tiny, data, purpose) is not None


def test_a_runs_files_will_do(data, tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text(f"epochs: 3\neval_args: {RATIO}\nsemantics: metadata\n")
    enrich(data, "ISRF", config_files=str(file))
    (folder,) = (data / "tiny").glob("split-*")
    assert profile_path(folder, "tiny", "user").is_file()
    file.write_text("epoch: 3\n")
    with pytest.raises(UserError, match=r"run\.yaml: epoch: unknown option"):
        enrich(data, "ISRF", config_files=str(file))


def test_a_mistake_in_the_split_is_that_of_a_run(data):
    with pytest.raises(UserError, match="order: 'RO'; a sequential model needs TO"):
        enrich(data, "ISRF", eval_args="{order: RO}")
    with pytest.raises(UserError, match="epochs: unknown option of enrich"):
        enrich(data, "ISRF", epochs="3")
    assert {path.name for path in (data / "tiny").iterdir()} == {"tiny.inter", "tiny.item"}


def test_users_of_a_ratio_split_are_told_by_their_training_items(data):
    enrich(data, "ISRF", eval_args=RATIO)
    (folder,) = (data / "tiny").glob("split-*")
    texts = {p.id: p.fused for p in read_profiles(profile_path(folder, "tiny", "user"))}
    histories = {}
    for line in (data / "tiny/tiny.inter").read_text().splitlines()[1:]:
        user, item, _ = line.split("\t")
        histories.setdefault(user, []).append(int(item[1:]))
    for user, items in histories.items():
        n = len(items) - 1  # samples
        held = [max(1, int(0.2 * n)) if n > 2 else 0] * 2
        train = items[: len(items) - sum(held)]
        found = texts[user].partition("Items: ")[2].split("; ")
        names = {f"c{item % 3} c{item % 5}" for item in train}
        assert set(found) <= names or len(train) > 20


def write(folder, inter: str, split: str | None = None):
    folder.mkdir(exist_ok=True)
    (folder / "d.inter").write_text(HEADER + inter)
    if split is not None:
        (folder / "d.split").write_text("user_id:token\tpart:token\n" + split)
        (folder / "d.yaml").write_text("session_split: True\n")


def test_order_is_that_of_the_file_and_of_time(tmp_path):
    rows = "b\t2\t9\na\t1\t5\nv\t7\t1\nb\t1\t3\na\t3\t5\nv\t8\t2\nt\t7\t1\nt\t1\t2\n"
    write(tmp_path / "d", rows, "a\ttrain\nb\ttrain\nv\tvalid\nt\ttest\n")
    found = read_training_data("VELI4SBR", "d", tmp_path).histories.at_least(2)
    assert list(found.ids) == ["b", "a"]
    assert [list(found.item_ids[found.of(i)]) for i in (0, 1)] == [["1", "2"], ["1", "3"]]
    assert list(found.item_ids) == ["1", "2", "3"]  # 7 and 8 are of validation


@pytest.mark.parametrize(
    ("inter", "split", "message"),
    [
        ("a\t1\t5\na\t2\t6\n", "b\ttrain\n", "d.split: lacks 1 of 1 sessions .* 'a'"),
        ("a\t1\t5\na\t2\t6\n", "a\ttest\n", "training split is empty"),
        ("a\t1\t5\n", "a\ttrain\n", "no user has two interactions"),
        ("a\t1\tlate\n", "a\ttrain\n", "d.inter:2: timestamp"),
        ("a\t1\t5\n", "a\ttraining\n", "d.split:2: 'training' is none of"),
    ],
)
def test_bad_files_are_named(tmp_path, inter, split, message):
    write(tmp_path / "d", inter, split)
    with pytest.raises(UserError, match=message):
        read_training_data("VELI4SBR", "d", tmp_path)


def test_absent_files_are_named(tmp_path):
    with pytest.raises(UserError, match=r"d\.inter: no such file"):
        read_training_data("ISRF", "d", tmp_path)
    with pytest.raises(UserError, match=r"ml-100k\.inter: no such file"):
        read_training_data("ISRF", "ml-100k", tmp_path)  # that of RecBole's wheel is no place
    write(tmp_path / "d", "a\t1\t5\n")
    (tmp_path / "d/d.yaml").write_text("session_split: True\n")
    with pytest.raises(UserError, match=r"d\.split: no such file"):
        read_training_data("VELI4SBR", "d", tmp_path)


def test_sessions_are_no_users_of_isrf(shop):
    given = {"for": "ISRF", "dataset": "shop", "data_path": str(shop), "semantics": "metadata"}
    with pytest.raises(UserError, match="use a dataset prepared without --sessions"):
        _command(given)


def test_intents_of_histories_are_of_training_alone(data):
    enrich(data, "VELI4SBR")
    histories = read_training_data("VELI4SBR", "tiny", data).histories
    named = [line.session for line in read_intents(data / "tiny/tiny.intent")]
    assert named == list(histories.at_least(2).ids)
    assert np.all(histories.at_least(2).lengths >= 2)


@pytest.mark.parametrize("purpose", PURPOSES)
def test_a_run_is_refused_before_its_folder_is_made(tiny, data, purpose, tmp_path):
    enrich(data, purpose)
    if purpose == "ISRF":
        kinds = ("item", "user")
        assert all((data / f"tiny/tiny.{kind}_text.metadata.fused.npz").is_file() for kind in kinds)
    given = {"semantics": "metadata"} if purpose == "ISRF" else {}
    config = tiny(
        purpose, data_path=str(data), eval_args={"split": {"RS": [0.6, 0.2, 0.2]}}, **given
    )
    with pytest.raises(UserError, match="was made from the training interactions of"):
        build(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()
