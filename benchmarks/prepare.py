"""Time and memory of `prepare` on a dataset of the size of Amazon CDs_and_Vinyl.

The raw files are made by a seeded generator: 2014 reviews as JSON lines and item text as Python
literals, both compressed, and also as a plain table. Limits: one minute and 2 GiB.

Run: python -m benchmarks.prepare
"""

import argparse
import gzip
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

USERS, ITEMS, INTERACTIONS = 75_258, 64_443, 1_097_592  # IGR-SR, Table 1
LEAST = 5  # a 5-core
SECONDS_LIMIT, MIB_LIMIT = 60, 2048
FORMS = ("amazon-2014", "table")
START, DAYS, DAY = 1_000_000_000, 4_000, 86_400

MEASURED = """
import json, sys, time
begin = time.perf_counter()
from recbole_intent.data.prepare.prepare import prepare
from recbole_intent.utils.memory import peak_mib
counts = prepare("cds", sys.argv[1], sys.argv[2], k_core=5)
print(json.dumps({
    "seconds": time.perf_counter() - begin,
    "peak_mib": peak_mib(),
    "counts": [counts.users, counts.items, counts.interactions],
}))
"""


def interactions(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw a 5-core of exactly CDs' size with few heavy users and popular items.

    Returns:
        User, item (int64) and time (seconds of a day's start), each (INTERACTIONS,), shuffled.
    """
    rng = np.random.default_rng(seed)
    # each user gets five neighbours of a permutation, so every item occurs at least five times
    base_users = np.repeat(np.arange(USERS), LEAST)
    base_items = np.resize(rng.permutation(ITEMS), USERS * LEAST)
    base = np.unique(base_users * ITEMS + base_items)
    weight = rng.lognormal(0, 1.2, USERS)
    more_users = rng.choice(USERS, INTERACTIONS * 2, p=weight / weight.sum())
    more_items = (ITEMS * rng.random(INTERACTIONS * 2) ** 2.5).astype(np.int64)
    more = np.setdiff1d(more_users * ITEMS + more_items, base)
    pairs = np.concatenate([base, rng.permutation(more)[: INTERACTIONS - len(base)]])
    pairs = rng.permutation(pairs)
    return pairs // ITEMS, pairs % ITEMS, START + DAY * rng.integers(0, DAYS, len(pairs))


def write_raw(folder: Path, form: str, seed: int) -> None:
    """Write raw files of a form into `folder`."""
    users, items, times = interactions(seed)
    rows = zip(users.tolist(), items.tolist(), times.tolist(), strict=True)
    folder.mkdir(parents=True)
    if form == "table":
        with gzip.open(folder / "interactions.tsv.gz", "wt", compresslevel=1) as file:
            file.write("user_id\titem_id\ttimestamp\n")
            file.writelines(f"A{user:013d}\tB{item:09d}\t{time}\n" for user, item, time in rows)
        return
    text = "a review of the usual length, which is some five hundred letters or more " * 8
    with gzip.open(folder / "reviews_CDs_and_Vinyl_5.json.gz", "wt", compresslevel=1) as file:
        for user, item, time in rows:
            record = {
                "reviewerID": f"A{user:013d}",
                "asin": f"B{item:09d}",
                "reviewText": text,
                "overall": 5.0,
                "unixReviewTime": time,
            }
            file.write(json.dumps(record) + "\n")
    with gzip.open(folder / "meta_CDs_and_Vinyl.json.gz", "wt", compresslevel=1) as file:
        # the real file describes about eight times more items than the 5-core holds
        for item in range(8 * ITEMS):
            record = {
                "asin": f"B{item:09d}",
                "title": f"Album {item}",
                "price": 9.99,
                "categories": [["CDs & Vinyl", "Rock"]],
                "related": {"also_bought": [f"B{other:09d}" for other in range(item, item + 40)]},
            }
            file.write(f"{record!r}\n")


def measure(form: str, seed: int) -> dict:
    """Make the raw files of a form and prepare them, each in its own process.

    A child starts with the peak memory of its parent, so this one must stay small.

    Returns:
        `seconds` (imports included), `peak_mib` and `counts` (users, items, interactions).
    """
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "raw"
        make = [sys.executable, "-m", "benchmarks.prepare", "--write", str(raw)]
        subprocess.run([*make, "--form", form, "--seed", str(seed)], check=True)
        command = [sys.executable, "-c", MEASURED, str(raw), str(Path(folder) / "out")]
        run = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(run.stdout)


def main(arguments: list[str] | None = None) -> int:
    """Print a line per form; return 1 if a limit is exceeded, else 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=2014)
    parser.add_argument("--form", choices=FORMS, help="only this one")
    parser.add_argument("--write", type=Path, help="only write the raw files into a new folder")
    given = parser.parse_args(arguments)
    if given.write:
        write_raw(given.write, given.form or FORMS[0], given.seed)
        return 0
    failed = 0
    print(f"prepare, {INTERACTIONS:,} interactions (limits {SECONDS_LIMIT} s, {MIB_LIMIT} MiB)")
    for form in [given.form] if given.form else FORMS:
        result = measure(form, given.seed)
        good = (
            result["seconds"] < SECONDS_LIMIT
            and result["peak_mib"] < MIB_LIMIT
            and result["counts"] == [USERS, ITEMS, INTERACTIONS]
        )
        failed += not good
        print(
            f"{form:12} {result['seconds']:6.1f} s  {result['peak_mib']:6.0f} MiB  "
            f"{result['counts']}  {'good' if good else 'NOT within the limits'}"
        )
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
