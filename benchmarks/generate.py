"""Seeded logs of any size with popularity, sessions and drift, written as a stream.

A user's interactions form sessions of a topic, days apart. Within a session, an item is one of the
topic's popular items or one of its recent items, and what is recent moves through the catalogue.
Every item occurs. Memory does not depend on the size.

    python -m benchmarks.generate FILE.parquet|FILE.csv [--shape=ml-20m|million] [--interactions=N]
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

DAY = 86_400
START, DAYS = 1_100_000_000, 4_000
BLOCK = 2_000  # users who are drawn at once
TOPICS, IN_TOPIC, POPULAR = 50, 0.7, 0.6
SESSION = 8  # mean interactions of a session
NAMES = ("userId", "movieId", "rating", "timestamp")


@dataclass(frozen=True)
class Shape:
    """Size of a log; `least` and `spread` (σ of a log-normal) shape the users' lengths."""

    users: int
    items: int
    interactions: int
    least: int
    spread: float

    def of(self, interactions: int) -> "Shape":
        """The same with another number of interactions, and users in proportion."""
        users = max(2, round(self.users * interactions / self.interactions))
        return replace(self, users=users, interactions=interactions)


SHAPES = {
    "ml-20m": Shape(138_493, 26_744, 20_000_263, 20, 1.25),
    "million": Shape(500_000, 1_000_000, 10_000_000, 5, 0.9),
}


def blocks(shape: Shape, seed: int = 0) -> Iterator[pa.Table]:
    """Yield the log, user by user in order of time, as tables of some thousand users."""
    rng = np.random.default_rng(seed)
    weight = rng.lognormal(0, shape.spread, shape.users)
    spare = shape.interactions - shape.least * shape.users
    if spare < 0:
        raise SystemExit(f"{shape.users} users need {shape.least * shape.users} interactions")
    ends = np.floor(spare * np.cumsum(weight) / weight.sum() + 0.5).astype(np.int64)
    ends[-1] = spare
    length = shape.least + np.diff(ends, prepend=0)
    names = rng.permutation(shape.items)  # popularity and age do not follow from the item's id
    every = max(1, shape.interactions // shape.items)  # each item is due once
    first_row = 0
    for first in range(0, shape.users, BLOCK):
        count = length[first : first + BLOCK]
        n = int(count.sum())
        user = np.repeat(np.arange(first, first + len(count)), count)
        begins = np.r_[0, np.cumsum(count)[:-1]]
        starts = rng.random(n) < 1 / SESSION
        starts[begins] = True
        session = np.cumsum(starts) - 1
        gap = np.where(starts, rng.lognormal(11, 1.2, n), rng.lognormal(4, 1, n)).astype(np.int64)
        since = np.cumsum(gap + 1)
        time = since - np.repeat(since[begins], count)
        joined = DAY * rng.integers(0, DAYS, len(count))
        time = START + np.repeat(joined, count) + time
        taste = rng.integers(0, TOPICS, len(count))[user - first]  # a user's usual topic
        other = rng.integers(0, TOPICS, session[-1] + 1)[session]
        topic = np.where((rng.random(session[-1] + 1) < 0.5)[session], taste, other)
        rank = shape.items * rng.random(n) ** 3
        now = shape.items * np.minimum((time - START) / (DAY * DAYS), 1)
        item = np.where(rng.random(n) < POPULAR, rank, now - 0.1 * rank).astype(np.int64)
        item = np.where(rng.random(n) < IN_TOPIC, item - item % TOPICS + topic, item)
        item = names[item % shape.items]
        rows = np.arange(first_row, first_row + n)
        due = (rows % every == 0) & (rows // every < shape.items)
        item[due] = names[rows[due] // every]
        rating = (1 + rng.binomial(9, 0.65, n)) / 2
        first_row += n
        yield pa.table(dict(zip(NAMES, (user + 1, item + 1, rating, time), strict=True)))


def write(file: Path, shape: Shape, seed: int = 0) -> None:
    """Write a log to `file`, as CSV or Parquet by its name."""
    parts = blocks(shape, seed)
    first = next(parts)
    if file.suffix == ".parquet":
        made = pyarrow.parquet.ParquetWriter(file, first.schema)
    else:
        output = file.open("wb")
        output.write((",".join(NAMES) + "\n").encode())
        plain = pyarrow.csv.WriteOptions(include_header=False, quoting_style="none")
        made = pyarrow.csv.CSVWriter(output, first.schema, write_options=plain)
    with made:
        made.write_table(first)
        for part in parts:
            made.write_table(part)


def main(arguments: list[str] | None = None) -> None:
    """Write one log."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--shape", choices=SHAPES, default="ml-20m")
    parser.add_argument("--interactions", type=int, help="other than the shape's")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    shape = SHAPES[given.shape]
    write(given.file, shape.of(given.interactions) if given.interactions else shape, given.seed)


if __name__ == "__main__":
    main()
