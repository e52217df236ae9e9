"""The `recommend` command: recommendations of a finished run, as a file or as text."""

import itertools
import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pandas as pd

from recbole_intent.config.command_keys import RECOMMEND, refuse
from recbole_intent.data.formats.asked import ids_of
from recbole_intent.data.formats.histories import read_histories, read_users
from recbole_intent.plotting.drawing import is_picture
from recbole_intent.plotting.intent_space import intent_space
from recbole_intent.recommend.asked_histories import Chunk
from recbole_intent.recommend.recommendations import (
    check_output,
    holds_explanations,
    holds_recommendations,
    refuse_foreign_file,
    write_json_line,
    write_recommendations,
)
from recbole_intent.recommend.recommender import Recommender
from recbole_intent.utils.errors import UserError
from recbole_intent.utils.files import atomic_write
from recbole_intent.utils.printable import printable
from recbole_intent.utils.progress import bar

# Number of histories shown if there is no output file.
SHOWN = 5


def recommend_run(
    run: str | Path,
    *,
    users: Any = None,
    histories: str | Path | None = None,
    output: str | Path | None = None,
    k: int = 10,
    include_history: bool = False,
    history: str = "all",
    index: str | None = None,
    explain: bool = False,
    picture: str | Path | None = None,
    **conditions: Any,
) -> str:
    """Recommend with a finished run, to a file or as text.

    Args:
        run: the run's folder.
        users: `all`, a file with one user id per line, or comma-separated ids (or a list).
        histories: a file of new histories (`data.histories.read_histories`); instead of `users`.
        output: a `.parquet`, `.csv` or `.jsonl` file; if None, the text shows the first histories.
        k: items per history, at least 1.
        include_history: also recommend items of the history.
        history: interactions that form a user's history: `train`, `valid` or `all`.
        index: `faiss` for an approximate search.
        explain: report the intents behind each list, in `<output>.explained.jsonl` or in the text.
        picture: with `explain`, a `.png` file of the intents and the first history.
        conditions: see `Recommender.load`.

    Returns:
        The text to print.

    Raises:
        UserError: an invalid argument; no file is created or changed.
    """
    if (users is None) == (histories is None):
        raise UserError("give either --users=FILE, --users=all or --histories=FILE")
    refuse(RECOMMEND, {"k": k, "history": history, "index": index})
    if output is not None:
        check_output(output)
        refuse_foreign_file(output, holds_recommendations)
        if explain:
            refuse_foreign_file(explained_path(output), holds_explanations)
    if picture is not None:
        refuse_foreign_file(picture, is_picture)
    if picture is not None and not explain:
        raise UserError("--picture: goes with --explain")
    if picture is not None and Path(picture).suffix.lower() != ".png":
        raise UserError(f"--picture={picture}: its name must end in .png")
    ids = None if users is None else _ids(users)
    if histories is not None and not os.path.lexists(histories):
        raise UserError(f"{histories}: no such file")

    recommender = Recommender.load(run, history=history, **conditions)
    if explain:
        recommender.check_explains()
    if index:
        recommender.use_index()
    if k >= recommender.n_items:
        most = recommender.n_items - 1
        logging.getLogger("recbole_intent").warning(
            "k: the catalogue has %d items; lists are cut to that", most
        )
    limit = SHOWN if output is None else None
    if histories is not None:
        chunks = recommender.chunks(
            itertools.islice(read_histories(histories, recommender.columns), limit)
        )
    else:
        users_asked = recommender.user_ids[1:] if ids is None else ids
        chunks = recommender.user_chunks(itertools.islice(users_asked, limit))
    if picture is not None:
        chunks = _drawn(recommender, chunks, picture)
    if output is None:
        text = _as_text(recommender, chunks, k, include_history, explain)
    else:
        text = _to_file(recommender, chunks, k, include_history, explain, Path(output))
    return text if picture is None else f"{text}\nthe first among all intents: {picture}"


def _ids(users: Any) -> Iterator[str] | None:
    """Return the requested users; None for all of them."""
    if not isinstance(users, str | Path):
        return ids_of(users)
    if str(users) == "all":
        return None
    if os.path.lexists(users):
        return read_users(users)
    text = str(users)
    if "," not in text and (os.sep in text or Path(text).suffix):
        raise UserError(f"{text}: no such file")
    return ids_of([user.strip() for user in text.split(",") if user.strip()])


def explained_path(output: str | Path) -> Path:
    """Return the path of the intents behind the recommendations in a file."""
    return Path(output).with_name(f"{Path(output).name}.explained.jsonl")


def _drawn(
    recommender: Recommender, chunks: Iterator[Chunk], picture: str | Path
) -> Iterator[Chunk]:
    """Yield the chunks; after the last has succeeded, draw the figure of the first."""
    space = None
    for chunk in chunks:
        space = space or recommender.intent_space(chunk)
        yield chunk
    if space:
        intent_space(*space, picture)


def _to_file(
    recommender: Recommender,
    chunks: Iterator[Chunk],
    k: int,
    include_history: bool,
    explain: bool,
    output: Path,
) -> str:
    count = 0
    with ExitStack() as stack:
        explained = None
        if explain:
            path = explained_path(output)
            temporary = stack.enter_context(atomic_write(path))
            explained = stack.enter_context(temporary.open("w", encoding="utf-8"))

        def frames() -> Iterator[pd.DataFrame]:
            nonlocal count
            histories = bar(
                desc="recommending",
                unit=" histories",
                leave=False,
                delay=2,
                shows=recommender.config["show_progress"],
            )
            with histories:
                for chunk in chunks:
                    yield recommender.table(chunk, k, include_history)
                    if explained:
                        for line in recommender.explanations(chunk):
                            write_json_line(line, explained)
                    count += len(chunk.names)
                    histories.update(len(chunk.names))
            if not count:
                raise UserError("there is no user or history to recommend to")

        rows = write_recommendations(output, frames())
    text = f"{rows} recommendations for {count} histories: {output}"
    return f"{text}\nintents: {output}.explained.jsonl" if explain else text


def _as_text(
    recommender: Recommender,
    chunks: Iterator[Chunk],
    k: int,
    include_history: bool,
    explain: bool,
) -> str:
    lines = []
    for chunk in chunks:
        table = recommender.table(chunk, k, include_history)
        explanations = recommender.explanations(chunk) if explain else [None] * len(chunk.names)
        for row, name in enumerate(chunk.names):
            number, known = chunk.first + row + 1, int(chunk.length[row])
            who = f"user {printable(name)}" if name is not None else f"history {number}"
            mine = table[table["history"] == number]
            popular = ", so the popular ones" if (mine["source"] == "popular").any() else ""
            lines.append(f"{who}, {known} known items{popular}:")
            lines += _list_lines(mine)
            lines += _intent_lines(explanations[row])
    if not lines:
        raise UserError("there is no user or history to recommend to")
    if chunk.first + len(chunk.names) == SHOWN:
        lines.append(f"(no more than {SHOWN} are shown; --output=FILE writes all)")
    return "\n".join(lines)


def _list_lines(table: pd.DataFrame) -> list[str]:
    titles = table["title"] if "title" in table else [""] * len(table)
    ids, titles = list(map(printable, table["item_id"])), map(printable, titles)
    width = max(map(len, ids), default=0)
    columns = zip(table["rank"], table["score"], ids, titles, strict=True)
    return [f"{r:4d}  {s:9.4f}  {i:{width}}  {t}".rstrip() for r, s, i, t in columns]


def _intent_lines(explanation: dict[str, Any] | None) -> list[str]:
    lines = []
    for number, intent in enumerate(explanation["intents"] if explanation else [], start=1):
        near = "; ".join(
            f"{item.get('title') or item['item_id']} ({item['cosine']:.2f})"
            for item in intent["items"]
        )
        words = [intent.get("text"), f"near {near}" if near else None]
        lines.append(
            f"  intent {number}, weight {intent['weight']:.2f}: "
            + printable(", ".join(filter(None, words)))
        )
    return lines
