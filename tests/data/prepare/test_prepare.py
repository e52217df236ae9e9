"""`prepare` as a whole: what it writes, that RecBole reads it right, and what it refuses."""

import errno
import gzip
import hashlib
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recbole_intent.data.prepare.dataset_properties import paper_counts
from recbole_intent.data.prepare.prepare import prepare
from recbole_intent.utils import compat
from recbole_intent.utils.errors import UserError

compat.apply()

from recbole.data.dataset import Dataset  # noqa: E402

from recbole_intent.config.config import Config  # noqa: E402

HEAD = "user_id\titem_id\ttimestamp\n"
GOOD = HEAD + "u\ta\t5\nu\tb\t5\nv\tb\t1\nv\ta\t9\n"


def recbole_dataset(name: str, data_path: Path) -> Dataset:
    """Load a prepared dataset by RecBole's own class, up to its tensors."""
    given = {
        "data_path": str(data_path),
        "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
    }
    dataset = Dataset(Config("SASRec", name, config_dict=given))
    dataset._change_feat_format()
    return dataset


def sequences(dataset: Dataset) -> dict[str, list[str]]:
    """Give each user's items in RecBole's order of time."""
    dataset.sort(by=["user_id", "timestamp"])
    users = dataset.id2token("user_id", dataset.inter_feat["user_id"].numpy())
    items = dataset.id2token("item_id", dataset.inter_feat["item_id"].numpy())
    frame = pd.DataFrame({"user": users, "item": items})
    return frame.groupby("user")["item"].agg(list).to_dict()


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*")) if folder.exists() else []


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


class TestWhatIsWritten:
    def test_atomic_files_and_report(self, write, out):
        write("items.tsv", 'item_id\ttitle\tprice\na\t"Big" one\t4.5\nb\tTwo\t\nzz\tunseen\t1\n')
        statistics = prepare("toy", write("interactions.tsv", GOOD).parent, out)
        assert (statistics.users, statistics.items, statistics.interactions) == (2, 2, 4)
        assert (out / "toy.inter").read_text() == (
            "user_id:token\titem_id:token\ttimestamp:float\nu\ta\t5\nu\tb\t6\nv\tb\t1\nv\ta\t9\n"
        )
        assert (out / "toy.item").read_text() == (
            "item_id:token\ttitle:token_seq\tprice:float\na\t'Big' one\t4.5\nb\tTwo\t\n"
        )
        report = json.loads((out / "toy.prepared.json").read_text())
        assert report["counts"]["interactions"] == 4
        digest = hashlib.sha256((out / "toy.inter").read_bytes()).hexdigest()
        assert report["sha256"]["toy.inter"] == digest
        assert files(out) == ["toy.inter", "toy.item", "toy.prepared.json"]

    def test_default_folder_and_equal_fingerprints(self, write, tmp_path):
        source = write("interactions.tsv", GOOD)
        reports = []
        for data_path in (tmp_path / "one", tmp_path / "two"):
            prepare("toy", source, data_path=data_path)
            reports.append((data_path / "toy" / "toy.prepared.json").read_text())
        assert reports[0] == reports[1]

    def test_text_fits_one_field(self, write, out):
        meta = [{"asin": "a", "title": "two\nlines\tand a tab", "description": '"q" \u2028 z'}]
        write("meta.json", [*meta, {"asin": "b"}])
        rows = [("u", "a", 1), ("u", "b", 2)]
        reviews = [
            dict(zip(("reviewerID", "asin", "unixReviewTime"), row, strict=True)) for row in rows
        ]
        prepare("toy", write("reviews.json", reviews).parent, out)
        lines = (out / "toy.item").read_text().split("\n")
        assert lines[1] == "a\ttwo lines and a tab\t\t\t\t'q'   z"
        assert len(lines) == 4

    def test_a_second_run_takes_away_the_item_file_of_the_first(self, write, out):
        source = write("interactions.tsv", GOOD)
        write("items.tsv", "item_id\ttitle\na\tA\nb\tB\n")
        prepare("toy", source.parent, out)
        (out / "toy.link").write_text("not ours")
        prepare("toy", source, out)
        assert files(out) == ["toy.inter", "toy.link", "toy.prepared.json"]

    def test_ml_100k_of_recboles_wheel(self, tmp_path):
        statistics = prepare("ml-100k", data_path=tmp_path)
        assert "NOT" not in statistics.table(paper_counts("ml-100k"))
        header = (tmp_path / "ml-100k" / "ml-100k.user").read_text().split("\n")[0]
        assert header.startswith("user_id:token\tage:token\tgender:token")
        assert (tmp_path / "ml-100k" / "ml-100k.item").read_text().count("\n") == 1683


class TestRecBoleReadsTheTrueOrder:
    def test_every_tie(self, write, tmp_path):
        """One user buys 300 items on one day, which float32 cannot tell apart."""
        order = np.random.default_rng(0).permutation(300)
        rows = "".join(f"u\ti{item}\t{place}\t1390867200\n" for place, item in enumerate(order))
        rows = "".join(sorted(rows.splitlines(keepends=True)))  # file order is not the order
        source = write("interactions.tsv", "user_id\titem_id\tposition\ttimestamp\n" + rows)
        prepare("toy", source, data_path=tmp_path)
        dataset = recbole_dataset("toy", tmp_path)
        assert sequences(dataset)["u"] == [f"i{item}" for item in order]

    @pytest.mark.parametrize(
        ("name", "counts"),
        [("amazon-toys", (19_412, 11_924, 167_597)), ("amazon-beauty", (22_363, 12_101, 198_502))],
    )
    def test_real_data(self, shared_datasets, tmp_path, name, counts):
        source = shared_datasets / name
        statistics = prepare(name, source, data_path=tmp_path)
        assert (statistics.users, statistics.items, statistics.interactions) == counts
        assert "NOT" not in statistics.table(paper_counts(name))
        raw = pd.read_csv(source / "interactions.tsv.gz", sep="\t", dtype={"item_id": str})
        expected = raw.sort_values("position").groupby("user_id")["item_id"].agg(list).to_dict()
        assert sequences(recbole_dataset(name, tmp_path)) == expected
        written = pd.read_csv(tmp_path / name / f"{name}.inter", sep="\t")
        steps = written.groupby("user_id:token")["timestamp:float"].diff().dropna()
        assert steps.min() >= 1
        # the days stay true: what is added for order is less than a day
        first = raw.sort_values(["user_id", "position"])["timestamp"].dropna().to_numpy()
        timed = written[written["timestamp:float"] > 86_400].sort_values(
            ["user_id:token", "timestamp:float"]
        )
        assert np.array_equal(timed["timestamp:float"] // 86_400, first // 86_400)


class TestOptions:
    def test_negative_k_core_is_refused(self, write, out):
        with pytest.raises(UserError, match="--k_core=-3"):
            prepare("d", write("x.tsv", ""), out, k_core=-3)

    def test_min_rating_and_k_core(self, write, out):
        rows = [
            ("u", "a", 1, 5),
            ("u", "b", 2, 4),
            ("v", "a", 1, 5),
            ("v", "b", 2, 5),
            ("w", "a", 3, 5),
            ("w", "c", 4, 1),
        ]
        text = "".join("\t".join(map(str, row)) + "\n" for row in rows)
        source = write("interactions.tsv", "user_id\titem_id\ttimestamp\trating\n" + text)
        statistics = prepare("toy", source, out, min_rating=4, k_core=2)
        assert (statistics.users, statistics.items, statistics.interactions) == (2, 2, 4)

    def test_drop_without_text_drops_unknown_and_untitled_items(self, write, out):
        write("items.tsv", "item_id\ttitle\na\tA\nb\tB\nc\t\n")
        rows = "u\ta\t1\nu\tb\t2\nu\tc\t3\nu\td\t4\n"
        source = write("interactions.tsv", HEAD + rows).parent
        assert prepare("toy", source, out, drop_without_text=True).items == 2

    def test_fill_items(self, write, out):
        write("items.tsv", "item_id\ttitle\tprice\na\tA\t1\n")
        prepare("toy", write("interactions.tsv", GOOD).parent, out, fill_items=True)
        assert (out / "toy.item").read_text().splitlines()[1:] == ["a\tA\t1", "b\t\t"]

    def test_drop_duplicates(self, write, out):
        source = write("interactions.tsv", GOOD + "u\ta\t5\nu\ta\t6\n")
        assert prepare("toy", source, out, drop_duplicates=True).interactions == 5


class TestBadInput:
    """Each mistake gives one line that names the place, and leaves nothing behind."""

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (GOOD + "w\ta\t5\n", r"line 6: user 'w' has only one item \(1 such users\).*--k_core"),
            (GOOD + "u\ta\t\n", r"line 6: the time of user 'u' is empty \(1 such lines\)"),
            (GOOD + "u\ta\t5\n", r"line 6: repeats an earlier line.*--drop_duplicates"),
            (GOOD + "u\t\t5\n", r"line 6: item_id is empty"),
            (GOOD + "[PAD]\ta\t5\n", r"line 6: user_id is '.PAD.'"),
            (HEAD, "no interactions below its header"),
        ],
    )
    def test_content(self, write, out, text, message):
        path = write("interactions.tsv", text)
        with pytest.raises(UserError, match=rf"interactions\.tsv.*{message}") as caught:
            prepare("toy", path, out)
        assert "\n" not in str(caught.value)
        assert files(out) == []

    def test_partly_empty_times_of_a_user(self, write, out):
        head = "user_id\titem_id\tposition\ttimestamp\n"
        good = "u\ta\t0\t\nu\tb\t1\t\n"
        assert prepare("toy", write("x.tsv", head + good), out).users_without_time == 1
        with pytest.raises(UserError, match="line 3: the time of user 'v'"):
            prepare("toy", write("y.tsv", head + "v\ta\t0\t9\nv\tb\t1\t\n"), out)

    def test_items_that_the_item_file_lacks(self, write, out):
        write("items.tsv", "item_id\ttitle\na\tA\n")
        with pytest.raises(UserError, match=r"items\.tsv: lacks 1 of 2 items.*'b'.*--fill_items"):
            prepare("toy", write("interactions.tsv", GOOD).parent, out)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"min_rating": 3}, "no ratings"),
            ({"k_core": 9}, "left after --k_core=9"),
            ({"drop_without_text": True}, "no title or description"),
        ],
    )
    def test_options_that_cannot_be(self, write, out, options, message):
        with pytest.raises(UserError, match=message):
            prepare("toy", write("interactions.tsv", GOOD), out, **options)

    def test_name_and_overwriting(self, write, tmp_path):
        with pytest.raises(UserError, match=r"--dataset=\.\./x"):
            prepare("../x", tmp_path)
        source = write("raw.inter", "user_id:token\titem_id:token\ttimestamp:float\nu\ta\t1\n")
        with pytest.raises(UserError, match="would be overwritten"):
            prepare("raw", source.parent, source.parent)

    def test_truncated_gzip_leaves_nothing(self, write, out):
        path = write("interactions.tsv.gz", GOOD)
        path.write_bytes(gzip.compress(GOOD.encode())[:-9])
        with pytest.raises(UserError, match="truncated"):
            prepare("toy", path, out)
        assert not out.exists()


class TestFullDisk:
    def test_an_earlier_result_stays_as_it_was(self, write, out, monkeypatch):
        source = write("interactions.tsv", GOOD)
        prepare("toy", source, out)
        before = {name: (out / name).read_bytes() for name in files(out)}

        def full(_descriptor: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(UserError, match=r"No space left on device; nothing half-written"):
            prepare("toy", write("more.tsv", GOOD + "u\tc\t99\n"), out)
        assert {name: (out / name).read_bytes() for name in files(out)} == before

    def test_the_system_refuses_a_large_file(self, write, out):
        """A real refused write, in a process that may not write more than 64 KiB to a file."""
        rows = "".join(f"u\ti{n}\t{n}\n" for n in range(20_000))
        source = write("interactions.tsv", HEAD + rows)
        code = (
            "import sys; from recbole_intent.data.prepare.prepare import prepare; "
            "prepare(*sys.argv[1:])"
        )

        def limit() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))

        run = subprocess.run(
            [sys.executable, "-c", code, "toy", str(source), str(out)],
            preexec_fn=limit,
            capture_output=True,
            text=True,
            cwd=Path(__file__).resolve().parents[3],
            check=False,
        )
        assert "UserError" in run.stderr
        assert "toy.inter: cannot be written: File too large; nothing half-written" in run.stderr
        assert not out.exists()
