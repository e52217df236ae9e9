"""The files of one run: checked once, hashed once, and passed on."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

from recbole.utils import ModelType

from recbole_intent.config.config import Config
from recbole_intent.data.formats.atomic_tables import read_header, require_columns
from recbole_intent.data.formats.item_vectors import start_file
from recbole_intent.data.formats.seals import hash_inputs
from recbole_intent.data.formats.session_files import read_split
from recbole_intent.data.loading.checked_dataset import needs_times
from recbole_intent.data.loading.pre_split import has_rows, list_field, part_paths
from recbole_intent.data.loading.session_split import split_path
from recbole_intent.data.prepare.download import unprepared_message
from recbole_intent.utils.errors import UserError
from recbole_intent.utils.files import file_sha256, fingerprint


@dataclass(frozen=True)
class Inputs:
    """The files that a run reads.

    Attributes:
        config: configuration of the run.
        files: the dataset's files, with checked headers.
    """

    config: Config
    files: tuple[Path, ...]

    @classmethod
    def of(cls, config: Config) -> Self:
        """Find and check the dataset's files; hashes are computed when first asked for.

        Raises:
            UserError: the dataset is not prepared, or a file is not usable.
        """
        return cls(config, tuple(check_files(config)))

    @cached_property
    def data_fingerprint(self) -> str:
        """SHA-256 of the dataset's files.

        Raises:
            UserError: a file is not the one that `prepare` wrote.
        """
        config = self.config
        return fingerprint(hash_inputs(config["data_path"], config["dataset"], self.files))

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of all files, with those that the model reads besides (`ModelSpec.inputs`).

        Raises:
            UserError: as `data_fingerprint`, or a file that the model reads is missing.
        """
        digest, others = self.data_fingerprint, self.config.spec.input_files(self.config)
        if start := start_file(self.config):
            if not start.is_file():
                raise UserError(f"{start}: no such file of item vectors; item_vectors names it")
            ids = start.with_suffix(".ids.txt")
            others = [*others, start, *([ids] if start.suffix == ".npy" and ids.is_file() else [])]
        return fingerprint([digest, *map(file_sha256, others)]) if others else digest


def check_files(config: Config) -> list[Path]:
    """Check the headers of the dataset's atomic files and return their paths.

    Raises:
        UserError: the dataset is not prepared, or a file lacks a column, is not UTF-8 ….
    """
    folder, name = Path(config["data_path"]), config["dataset"]
    inter = folder / f"{name}.inter"
    parts = part_paths(config)
    for path in parts:
        if not path.is_file():
            raise UserError(f"{path}: no such file, but benchmark_filename names it")
    if not parts and not inter.is_file():
        raise UserError(f"{inter}: no such file: {unprepared_message(name)}")
    is_sequential = config["MODEL_TYPE"] == ModelType.SEQUENTIAL
    ids, lists = [config[key] for key in ("USER_ID_FIELD", "ITEM_ID_FIELD")], []
    times = [config["TIME_FIELD"]] if needs_times(config) else []
    if parts and is_sequential:
        rows = has_rows(config)
        lists = [list_field(config)] * rows
        times = [] if rows else [config["TIME_FIELD"]]
    wanted = {".inter": [*ids, *lists, *times]}
    for kind, names in (config["load_col"] or {}).items():
        if names != "*":
            for field in wanted[".inter"] if kind == "inter" else ():
                if field not in names and field != list_field(config):
                    raise UserError(f"load_col: inter: lacks {field!r}, which this run reads")
            names = [field for field in names if kind != "inter" or field != config["TIME_FIELD"]]
            wanted[f".{kind}"] = list(dict.fromkeys([*wanted.get(f".{kind}", ()), *names]))
        else:
            wanted.setdefault(f".{kind}", [])
    for kind, names in (config["unload_col"] or {}).items():
        for field in wanted.get(f".{kind}", ()):
            if field in names:
                raise UserError(f"unload_col: {kind}: names {field!r}, which this run reads")
    first: dict[str, str] = {}
    for suffix, fields in wanted.items():
        for path in parts if parts and suffix == ".inter" else [folder / f"{name}{suffix}"]:
            if not path.is_file():
                what = f"wants {', '.join(fields)} of it" if fields else "names it"
                raise UserError(f"{path}: no such file, but load_col {what}")
            types = read_header(path, config["field_separator"], config["encoding"] or "utf-8")
            if suffix == ".inter":
                require_columns(path, types, ids, times, lists)
            for field in fields:
                if field not in types:
                    raise UserError(f"{path}: no column {field!r}; it has {', '.join(types)}")
                if suffix == ".inter" and types[field] != first.setdefault(field, types[field]):
                    raise UserError(
                        f"{path}:1: {field}:{types[field]}, but {parts[0]} has "
                        f"{field}:{first[field]}"
                    )
    others = dict.fromkeys([".user", ".item", *sorted(wanted)])
    paths = [folder / f"{name}{suffix}" for suffix in others if suffix != ".inter"]
    files = [*(parts or [inter]), *(path for path in paths if path.is_file())]
    split = split_path(config)
    if config["session_split"]:
        read_split(split, config["field_separator"])
        files.append(split)
    elif config["session_split"] is None and split.is_file() and not parts:
        # The properties written by `prepare` are lost: tested sessions would be trained on.
        raise UserError(
            f"{split}: shares out sessions, but no property says whether to follow it; give "
            "--session_split=True, or False to split each session itself"
        )
    return files
