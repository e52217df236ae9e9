"""`prepare` of the forms that people's interactions have: each works at the first try."""

import json
import re
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recbole_intent.cli.main import main
from recbole_intent.data.prepare.prepare import prepare
from recbole_intent.utils.errors import UserError

TIMES = [1_700_000_000 + 3600 * n for n in range(4)]
ROWS = [("1", "20", "4.0"), ("1", "10", "3.5"), ("2", "10", "5.0"), ("2", "20", "1.0")]
EXPECTED = "".join(
    f"{user}\t{item}\t{time}\n" for (user, item, _), time in zip(ROWS, TIMES, strict=True)
)
MOVIES = [("10", "Heat (1995)", "Action|Crime"), ("20", "Amélie (2001)", "Comedy")]
ISO = [pd.Timestamp(time, unit="s").isoformat() for time in TIMES]


def table(header: str, separator: str = ",", times=TIMES) -> str:
    rows = [separator.join([*row, str(time)]) for row, time in zip(ROWS, times, strict=True)]
    head = [separator.join(header.split())] if header else []
    return "\n".join([*head, *rows]) + "\n"


def written(folder: Path, name: str = "mine") -> str:
    frame = pd.read_csv(folder / f"{name}.inter", sep="\t", dtype=str)
    frame = frame[["user_id:token", "item_id:token", "timestamp:float"]]
    return frame.to_csv(sep="\t", index=False, header=False)


MOVIELENS = "userId movieId rating timestamp"
FRAME = pd.DataFrame(
    {
        "user": [int(row[0]) for row in ROWS],
        "item": [int(row[1]) for row in ROWS],
        "rating": [float(row[2]) for row in ROWS],
        "time": pd.to_datetime(TIMES, unit="s"),
    }
)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ratings.csv", table(MOVIELENS)),
        ("ratings.csv", table(MOVIELENS).replace("\n", "\r\n")),
        ("ratings.csv", "\ufeff" + table(MOVIELENS)),
        ("ratings.csv", table(MOVIELENS, ";")),
        ("ratings.txt", table(MOVIELENS, "|")),
        ("ratings.tsv", table(MOVIELENS, "\t")),
        ("ratings.csv", table("user item score date", times=ISO)),
        ("ratings.csv", table("uid iid stars ts", times=[time * 1000 for time in TIMES])),
        ("ratings.csv", table("customer_id product_id rating t", times=TIMES)),
        ("ratings.csv", table("customer_id product_id rating datetime", times=ISO)),
        ("ratings.csv", table("reviewerID asin overall unixReviewTime")),
        ("ratings.csv", table("USER_ID ItemID Rating Event_Time", times=[f"{t}Z" for t in ISO])),
        ("ratings.dat", table("", "::")),
        ("u.data", table("", "\t").replace(".0", "").replace("3.5", "3")),
        ("ratings.csv.gz", table(MOVIELENS)),
        ("ratings.csv", FRAME.to_csv()),  # with the numbers of rows, without a name
    ],
    ids=range(16),
)
def test_one_file_of_text(write, tmp_path, name, text):
    columns = "timestamp=t" if ",t\n" in text else None
    prepare("mine", write(name, text), tmp_path / "out", columns=columns)
    assert written(tmp_path / "out") == EXPECTED


@pytest.mark.parametrize(
    "frame",
    [
        FRAME,
        FRAME.astype({"user": float, "item": "category"}),
        FRAME.assign(time=TIMES),
        FRAME.assign(time=ISO),
        FRAME.assign(time=FRAME["time"].dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo")),
        FRAME.rename(columns={"user": "user_id", "time": "timestamp"}),
        FRAME.set_index("user"),
        FRAME.set_axis([9, 7, 7, 1]).astype({"user": "str", "item": "string"}),
    ],
    ids=range(8),
)
@pytest.mark.parametrize("form", ["frame", "source", "parquet"])
def test_tables_of_pandas_and_parquet(tmp_path, frame, form):
    if form == "parquet":
        frame.to_parquet(tmp_path / "mine.parquet")
        prepare("mine", tmp_path / "mine.parquet", tmp_path / "out")
    elif form == "source":
        prepare("mine", frame, tmp_path / "out")
    else:
        prepare("mine", interactions=frame, output=tmp_path / "out")
    assert written(tmp_path / "out") == EXPECTED


N = range(19)  # genres of u.item
ITEMS = "item_id:token\ttitle:token_seq\tcategories:token_seq\n" + "".join(
    f"{item}\t{title}\t{genres.replace('|', ' ; ')}\n" for item, title, genres in MOVIES
)


def small(folder: Path) -> None:
    (folder / "ratings.csv").write_text(table(MOVIELENS))
    movies = "".join(f'{item},"{title}",{genres}\n' for item, title, genres in MOVIES)
    (folder / "movies.csv").write_text(f"movieId,title,genres\n{movies}")
    (folder / "tags.csv").write_text("userId,movieId,tag,timestamp\n1,10,noir,1700000000\n")
    (folder / "links.csv").write_text("movieId,imdbId,tmdbId\n10,0113277,949\n20,0211915,194\n")
    (folder / "genome-scores.csv").write_text("movieId,tagId,relevance\n10,1,0.5\n")
    (folder / "README.txt").write_text("Summary\n=======\n\nThis dataset, of users and items, …\n")
    (folder / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0")


def of_dat_files(folder: Path) -> None:
    (folder / "ratings.dat").write_text(table("", "::"))
    movies = "".join(f"{item}::{title}::{genres}\n" for item, title, genres in MOVIES)
    (folder / "movies.dat").write_bytes(movies.encode("latin-1"))
    (folder / "users.dat").write_text("1::F::1::10::48067\n2::M::56::16::70072\n")
    (folder / "README").write_text("SUMMARY\n\nThese files contain 4 ratings\n")


def of_100k(folder: Path) -> None:
    (folder / "u.data").write_text(table("", "\t").replace(".0", "").replace("3.5", "3"))
    (folder / "u1.base").write_text(table("", "\t").replace(".0", "").replace("3.5", "3"))
    flags = {"Action|Crime": {1, 6}, "Comedy": {5}}
    lines = [
        "|".join(
            [
                item,
                title,
                "01-Jan-1995",
                "",
                "http://x",
                *(str(int(n in flags[g])) for n in range(19)),
            ]
        )
        for item, title, g in MOVIES
    ]
    (folder / "u.item").write_bytes(("\n".join(lines) + "\n").encode("latin-1"))
    (folder / "u.genre").write_text("unknown|0\nAction|1\n")
    (folder / "u.user").write_text("1|24|M|technician|85711\n2|53|F|other|94043\n")


@pytest.mark.parametrize("fill", [small, of_dat_files, of_100k])
def test_folders_of_movielens(tmp_path, fill):
    (tmp_path / "raw").mkdir()
    fill(tmp_path / "raw")
    prepare("mine", tmp_path / "raw", tmp_path / "out")
    assert written(tmp_path / "out") == EXPECTED
    assert (tmp_path / "out/mine.item").read_text() == ITEMS


def test_items_of_pandas(tmp_path):
    items = pd.DataFrame(MOVIES, columns=["movieId", "title", "genres"])
    items = items.astype({"movieId": int}).assign(year=[1995, np.nan], tags=[["a", "b"], []])
    prepare("mine", interactions=FRAME, items=items, output=tmp_path)
    lines = (tmp_path / "mine.item").read_text().splitlines()
    assert lines[0].split("\t")[0] == "item_id:token"
    assert lines[1].split("\t") == ["10", "Heat (1995)", "Action ; Crime", "1995.0", "a ; b"]
    assert lines[2].split("\t") == ["20", "Amélie (2001)", "Comedy", "", ""]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.bin", b"\x7fELF\x02\0\0\t\0" * 40, "no text and no table"),
        ("x.parquet", b"PAR1" + b"\0" * 40, "not a readable Parquet file"),
        ("x.pkl", b"\x80\x04\x95\0\0user_id,item_id,timestamp", "no text and no table"),
        ("x.csv", table("a b c d"), "no column 'user_id' and no 'item_id' and no 'timestamp'"),
        ("x.tsv", table("a b c d", "\t"), "no column 'user_id' and no 'item_id'"),
        ("x.csv", table("user customer_id item ts"), "'user' and 'customer_id' could both be"),
        ("x.csv", table("user item date time"), "'date' and 'time' could both be timestamp"),
        ("x.csv", table(MOVIELENS, times=[*ISO[:3], "soon"]), "line 5: timestamp 'soon' is not a"),
        ("x.csv", table(MOVIELENS, times=["soon", *ISO[:3]]), "line 2: timestamp 'soon' is not a"),
        ("x.csv", table(MOVIELENS, times=[*TIMES[:3], ISO[3]]), "line 5: timestamp '2023-11-1"),
        ("x.csv", table(MOVIELENS, times=[*TIMES[:3], TIMES[3] * 1000]), "line 5: .*another unit"),
        (
            "x.csv",
            table(MOVIELENS, times=[TIMES[0], *(t * 1000 for t in TIMES[1:])]),
            "line 2: .*an",
        ),
        ("x.csv", table(MOVIELENS, times=[*(t * 10**9 for t in TIMES[:3]), TIMES[3]]), "line 5: "),
        ("x.csv", table(""), "not a known form|no column"),
        ("x.csv", table("userId movieId timestamp"), "more fields than the 3 columns"),
        ("x.csv", "user\nId,movieId,rating\n", "no table of two columns|not a known form"),
    ],
    ids=range(16),
)
def test_what_is_refused_takes_one_line(write, tmp_path, capsys, name, content, message):
    path = write(name, "")
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert main(["prepare", "--dataset=mine", f"--source={path}", f"--output={tmp_path}/o"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.rstrip("\n").isprintable()
    assert re.search(message, err), err
    assert not (tmp_path / "o").exists()
    if "no column" in err:
        assert "prepare --dataset=mine --source=" in err
        assert "--columns=user_id=NAME,item_id=NAME,timestamp=NAME" in err


def test_a_zip_archive_is_named(tmp_path, capsys):
    with zipfile.ZipFile(tmp_path / "ml.zip", "w") as file:
        file.writestr("ratings.csv", table(MOVIELENS))
    with pytest.raises(UserError, match=r"ml\.zip: is a zip archive; unpack it"):
        prepare("mine", tmp_path / "ml.zip", tmp_path / "out")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"interactions": [1]}, "interactions: a table is needed, found list"),
        ({"interactions": FRAME, "source": "x"}, "either source or interactions"),
        ({"items": FRAME}, "items go with interactions"),
        ({"interactions": FRAME, "k_core": "5"}, "--k_core=5: not a whole number from 0"),
        ({"interactions": FRAME, "min_rating": float("nan")}, "--min_rating=nan"),
        ({"interactions": FRAME, "columns": "user_id"}, "--columns=user_id: expected"),
        ({"interactions": FRAME, "sessions": {"a": 1}}, "sessions: unknown part 'a'"),
        ({"interactions": FRAME.assign(item=[1, 2, 3, None])}, "line 4: item_id .*is empty"),
        ({"interactions": FRAME.assign(item=[1, 2, 3, 4.5])}, "item_id: value 4.5 is not an id"),
        ({"interactions": FRAME.assign(time=[1, 2, 3, None])}, "the time of user '2' is empty"),
        ({"interactions": FRAME.drop(columns="time")}, "no column 'timestamp'"),
        ({"interactions": FRAME.assign(item=[[1]] * 4)}, r"item_id: value '\[1\]' is not an id"),
        ({"source": FRAME["item"]}, "source: a path or a table is needed.*found Series"),
        ({"source": FRAME.to_numpy()}, "source: a path or a table is needed.*found ndarray"),
        ({"source": {"user_id": [1]}}, "source: a path or a table is needed.*found dict"),
        ({"source": ""}, "source: a path or a table is needed.*found an empty text"),
        ({"source": FRAME, "columns": "user_id=user,item_id=user"}, "'user' is named twice"),
        ({"source": FRAME, "columns": {"user_id": "x", "item_id": "x"}}, "'x' is named twice"),
        ({"source": FRAME, "columns": "user_id=user,user_id=item"}, "'user_id' is named twice"),
    ],
    ids=range(19),
)
def test_mistakes_of_python_are_named(tmp_path, options, message):
    with pytest.raises(UserError, match=message) as caught:
        prepare("mine", output=tmp_path / "out", **options)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_the_report_names_the_form(tmp_path):
    prepare("mine", FRAME, tmp_path)
    report = json.loads((tmp_path / "mine.prepared.json").read_text())
    assert report["form"] == "tables"
