"""Converts raw files to RecBole's atomic files: read, filter, check, order, write."""

import hashlib
import json
import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, BinaryIO

import pandas as pd

from recbole_intent.config.command_keys import PREPARE, refuse
from recbole_intent.data.formats.seals import prepared_path, read_seal, refuse_unsealed
from recbole_intent.data.formats.session_files import (
    cut_into_sessions,
    properties_text,
    split_table,
)
from recbole_intent.data.prepare import checks, filters
from recbole_intent.data.prepare.atomic_files import write_all, write_table
from recbole_intent.data.prepare.dataset_properties import prepare_properties
from recbole_intent.data.prepare.download import download
from recbole_intent.data.prepare.order import in_order
from recbole_intent.data.prepare.session_counts import count_parts
from recbole_intent.data.prepare.sessions import SessionOptions
from recbole_intent.data.prepare.statistics import Statistics
from recbole_intent.data.sources import detect, files_in, tabular
from recbole_intent.data.sources.columns import MissingColumns
from recbole_intent.data.sources.raw import RawData
from recbole_intent.utils.errors import UserError
from recbole_intent.utils.files import fingerprint, remove_dead_temporaries

NAME = re.compile(r"[\w][\w.-]*")
SUFFIXES = (".inter", ".item", ".user", ".split", ".yaml")  # files that prepare writes
OUR_COLUMNS = ("user_id", "item_id", "rating", "timestamp")


def prepare(
    dataset: str,
    source: Path | str | None = None,
    output: Path | str | None = None,
    *,
    interactions: pd.DataFrame | None = None,
    items: pd.DataFrame | None = None,
    k_core: int | None = None,
    min_rating: float | None = None,
    columns: Mapping[str, str] | str | None = None,
    drop_without_text: bool | None = None,
    drop_duplicates: bool | None = None,
    fill_items: bool | None = None,
    sessions: SessionOptions | Mapping[str, Any] | str | None = None,
    data_path: Path | str = "dataset",
) -> Statistics:
    """Convert raw files to `<dataset>.inter`, `.item` and `.user` in one folder.

    With `sessions` each user in these files is a session `<user>#<number>`, there is no `.user`,
    `<dataset>.split` gives the split of each session, and `<dataset>.yaml` has the properties that
    make a run follow it.

    An option left at None takes the value of `prepare: options:` in the dataset's properties,
    otherwise it is off.

    Args:
        dataset: any name; a known dataset has a download and counts of papers.
        source: raw file or folder; None downloads the public raw files, if `interactions` is None.
        output: folder for the atomic files; None: `data_path/dataset`.
        interactions: a table with one row per interaction, instead of `source`.
        items: with `interactions`, a table of the items' texts.
        k_core: minimum number of interactions per user and item, applied until nothing changes.
        min_rating: minimum rating; lower ones are not interactions.
        columns: our column name → its name in the raw files, if they differ and the name is not
            one of `sources.columns.ALIASES`; also as text, `user_id=theirs,item_id=theirs`.
        drop_without_text: drop items with neither title nor description.
        drop_duplicates: keep the first of rows with equal user, item, time and position.
        fill_items: give empty text to items missing from the items file.
        sessions: cut histories into sessions, after the filters; also as a mapping or as text,
            `max_session_length=20,min_session_length=3`.
        data_path: parent folder of datasets.

    Returns:
        The counts; `<dataset>.prepared.json` has them too, with options and fingerprints.

    Raises:
        UserError: the source or its content is invalid, or the files could not be written.
    """
    if not NAME.fullmatch(dataset):
        raise UserError(f"--dataset={dataset}: a name of letters, digits, '-', '_', '.' is needed")
    source = _table_or_path(source)
    if isinstance(source, pd.DataFrame):
        source, interactions = None, source
    if interactions is not None and source is not None:
        raise UserError("prepare: give either source or interactions")
    if items is not None and interactions is None:
        raise UserError("prepare: items go with interactions, or lie in the folder of the source")
    if isinstance(columns, str):
        columns = parse_columns(columns)
    _refuse_repeated("--columns", list((columns or {}).values()))
    if sessions is not None and not isinstance(sessions, SessionOptions):
        sessions = (
            SessionOptions.parse(sessions)
            if isinstance(sessions, str)
            else SessionOptions.of(sessions)
        )
    given = {
        "k_core": k_core,
        "min_rating": min_rating,
        "drop_without_text": drop_without_text,
        "drop_duplicates": drop_duplicates,
        "fill_items": fill_items,
        "columns": None if columns is None else dict(columns),
    }
    refuse(PREPARE, {name: value for name, value in given.items() if name != "columns"})
    defaults = prepare_properties(dataset).get("options") or {}
    options: dict[str, Any] = {k: defaults.get(k) if v is None else v for k, v in given.items()}
    if sessions is None and defaults.get("sessions"):
        sessions = SessionOptions.of(defaults["sessions"])
    if sessions:
        options["sessions"] = asdict(sessions)
    folder = Path(output) if output is not None else Path(data_path) / dataset
    try:
        if interactions is not None:
            form, raw = "tables", tabular.read_frames(interactions, items, options["columns"] or {})
        else:
            path = Path(source) if source is not None else download(dataset, folder / "raw")
            form, raw = _read(path, options["columns"], folder, dataset)
    except MissingColumns as error:
        if source is None:
            raise
        words = ["prepare", f"--dataset={dataset}", f"--source={source}"]
        words.append(f"--columns={error.option}")
        raise UserError(f"{error}: recbole_intent {shlex.join(words)}") from error
    _clean(raw, options)
    raw.interactions = in_order(raw.interactions)
    timeless = raw.interactions.loc[raw.interactions["timeless"], "user_id"].nunique()
    if sessions:
        cut, timeless = cut_into_sessions(raw, sessions)
    users, items = (raw.interactions[key].cat.codes.to_numpy() for key in OUR_COLUMNS[:2])
    statistics = Statistics.of(dataset, users, items, timeless)
    if sessions:
        statistics = replace(statistics, parts=tuple(count_parts(cut, items)))
    about = {
        "dataset": dataset,
        "form": form,
        "source": [file.name for file in raw.files],
        "options": options,
        "counts": statistics.as_dict(),
    }
    tables = _tables(raw, bool(options["fill_items"]))
    properties = None
    if sessions:
        tables[".split"] = split_table(raw, cut)
        properties = properties_text(dataset, sessions)
    _write(folder, dataset, tables, raw, about, properties)
    return statistics


def parse_columns(text: str) -> dict[str, str]:
    """Parse `user_id=theirs,item_id=theirs` to our column name → theirs.

    Raises:
        UserError: a text in another form.
    """
    pairs = [pair.partition("=") for pair in text.split(",")]
    if not all(ours and theirs for ours, _, theirs in pairs):
        raise UserError(f"--columns={text}: expected user_id=theirs,item_id=theirs,…")
    _refuse_repeated(f"--columns={text}", [ours for ours, _, _ in pairs])
    return {ours: theirs for ours, _, theirs in pairs}


def _refuse_repeated(where: str, names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"{where}: {name!r} is named twice")


def _table_or_path(source: Any) -> Any:
    """A table of any library as one of pandas; a path as it is.

    Raises:
        UserError: it is neither.
    """
    if hasattr(source, "to_pandas"):  # polars, pyarrow
        source = source.to_pandas()
    is_empty = isinstance(source, str) and not source
    if isinstance(source, str | os.PathLike | pd.DataFrame | None) and not is_empty:
        return source
    given = "an empty text" if is_empty else type(source).__name__
    raise UserError(f"source: a path or a table is needed, such as pandas.DataFrame, found {given}")


def _read(
    path: Path, columns: dict[str, str] | None, folder: Path, dataset: str
) -> tuple[str, RawData]:
    """The name of the raw files' form, and their content."""
    form = detect(path, columns)
    _refuse_overwriting(path, folder, dataset)
    return form.FORM, form.read(path, columns or {})


def _clean(raw: RawData, options: dict[str, Any]) -> None:
    """Filter and check in place; filters come first if they may drop what a check rejects."""
    checks.check_ids(raw)
    if options["min_rating"] is not None:
        filters.keep(
            raw, filters.rated(raw, options["min_rating"]), f"--min_rating={options['min_rating']}"
        )
    checks.check_times(raw)
    repeated = checks.duplicates(raw)
    if options["drop_duplicates"]:
        filters.keep(raw, ~repeated, "--drop_duplicates")
    else:
        checks.check_no_duplicates(raw, repeated)
    if options["drop_without_text"]:
        filters.keep(raw, filters.with_text(raw), "--drop_without_text")
    if options["k_core"]:
        users, items = (raw.interactions[key].cat.codes.to_numpy() for key in OUR_COLUMNS[:2])
        mask = filters.k_core(users, items, options["k_core"])
        filters.keep(raw, mask, f"--k_core={options['k_core']}")
    if raw.items is not None and not options["fill_items"]:
        checks.check_items_known(raw)
    checks.check_lengths(raw)
    raw.interactions["timeless"] = raw.interactions["timestamp"].isna()


def _tables(raw: RawData, fill_items: bool) -> dict[str, pd.DataFrame]:
    """The frames to write by suffix, without users and items that never occur.

    RecBole would count them as users and items of the dataset.
    """
    inner = {"file", "position", "timeless"}
    first = [name for name in OUR_COLUMNS if name in raw.interactions]
    others = [name for name in raw.interactions if name not in {*first, *inner}]
    tables = {".inter": raw.interactions[[*first, *others]]}
    for suffix, frame, key in ((".item", raw.items, "item_id"), (".user", raw.users, "user_id")):
        if frame is None:
            continue
        seen = raw.interactions[key].cat.remove_unused_categories().cat.categories
        frame = frame[frame[key].isin(seen)]
        if fill_items and key == "item_id":
            lacking = pd.DataFrame({key: seen[~seen.isin(frame[key])].astype(str)})
            frame = pd.concat([frame, lacking], ignore_index=True)
            text = [name for name in frame if not pd.api.types.is_float_dtype(frame[name])]
            frame[text] = frame[text].fillna("")
        tables[suffix] = frame[[key, *(name for name in frame if name != key)]]
    return tables


def _write(
    folder: Path,
    dataset: str,
    tables: dict[str, pd.DataFrame],
    raw: RawData,
    about: dict[str, Any],
    properties: str | None,
) -> None:
    """Write the tables, the dataset's properties and, last, the report."""
    hashes: dict[str, str] = {}

    def table_writer(suffix: str, frame: pd.DataFrame):
        types = {name: raw.type_of(name) for name in frame}

        def write(file: BinaryIO) -> None:
            hashes[suffix] = write_table(frame, types, file)

        return write

    def write_about(file: BinaryIO) -> None:
        about["sha256"] = {dataset + suffix: value for suffix, value in hashes.items()}
        about["fingerprint"] = fingerprint(about["sha256"])
        file.write((json.dumps(about, indent=2) + "\n").encode())

    def write_properties(file: BinaryIO) -> None:
        text = (properties or "").encode()
        hashes[".yaml"] = hashlib.sha256(text).hexdigest()
        file.write(text)

    writers = {dataset + suffix: table_writer(suffix, frame) for suffix, frame in tables.items()}
    if properties is not None:
        writers[f"{dataset}.yaml"] = write_properties
    report = prepared_path(folder, dataset)
    refuse_unsealed([folder / name for name in writers], report, "prepare")
    ours = {dataset + suffix for suffix in SUFFIXES}
    remove_dead_temporaries(folder, {*ours, report.name}.__contains__)
    stale = (_written_before(report) & ours) - set(writers)
    write_all(folder, {report.name: write_about, **writers}, stale)


def _written_before(report: Path) -> set[str]:
    """Names of the files written by an earlier `prepare`, from its report."""
    if not report.exists():
        return set()
    try:
        return set(read_seal(report, ""))
    except UserError:  # damaged: assume all files that prepare may write
        return {report.name.removesuffix(".prepared.json") + suffix for suffix in SUFFIXES}


def _refuse_overwriting(path: Path, folder: Path, dataset: str) -> None:
    targets = {(folder / f"{dataset}{suffix}").resolve() for suffix in (".inter", ".item", ".user")}
    for file in files_in(path):
        if file.resolve() in targets:
            raise UserError(f"{file}: is the source and would be overwritten; give --output=DIR")
