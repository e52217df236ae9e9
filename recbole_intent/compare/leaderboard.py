"""A leaderboard of all finished runs in some folders, one table per dataset and protocol."""

import logging
import shlex
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from recbole.utils import ModelType

from recbole_intent.config.given import Given, default_values
from recbole_intent.config.key_table import key_table
from recbole_intent.config.keys import MACHINE, PROTOCOL, in_fingerprint, with_role
from recbole_intent.config.presets import class_names
from recbole_intent.config.registry import get_spec
from recbole_intent.data.loading.training_interactions import Split
from recbole_intent.evaluation.definitions import METRICS
from recbole_intent.evaluation.metrics import user_values
from recbole_intent.evaluation.ranks import Ranks
from recbole_intent.evaluation.significance import bootstrap_both
from recbole_intent.plotting.page import Page, Section
from recbole_intent.plotting.tables import NOTHING, Cell, Table
from recbole_intent.runs.early import check_board
from recbole_intent.runs.result import read_result
from recbole_intent.utils.errors import UserError
from recbole_intent.utils.files import fingerprint, write_text
from recbole_intent.utils.own_files import NUMBER, checked, read_json, read_mapping
from recbole_intent.utils.parsing import read_yaml
from recbole_intent.utils.paths import properties_dir
from recbole_intent.utils.printable import markdown, printable

_LOGGER = logging.getLogger("recbole_intent")
_METRICS = ("recall@10", "recall@20", "ndcg@10", "ndcg@20")
_MOST_KEYS = 4  # in a row's label
_MACHINE = with_role(MACHINE)
_NOT_OF_LABEL = {*with_role(PROTOCOL), "seed", "data_path", "checkpoint_dir", "load_col"}
_NOT_OF_LABEL |= {"train_neg_sample_args"}  # follows from loss_type


@dataclass(frozen=True)
class _Tested:
    """The test of one run under one protocol."""

    folder: Path
    result: Mapping[str, Any]
    config: Mapping[str, Any]
    test: Mapping[str, float]
    ranks: Ranks
    masked: bool


def leaderboard(folders: Sequence[str | Path], output: str | Path) -> list[Table]:
    """Write a leaderboard as Markdown and as a page next to it, and return its tables.

    Args:
        folders: folders of runs, searched at any depth. Runs under noise are left out, and damaged
            ones with a warning.
        output: the Markdown file; the page has its name with the suffix `.html`.

    Raises:
        UserError: no such folder, no usable run, or a file that cannot be written.
    """
    check_board(folders, output)
    output = Path(output)
    groups: dict[tuple[str, ...], list[_Tested]] = defaultdict(list)
    for folder in folders:
        for tested in _read(Path(folder)):
            groups[_protocol(tested)].append(tested)
    if not groups:
        raise UserError(f"{', '.join(map(str, folders))}: no finished run there (no result.json)")
    published = read_yaml(properties_dir() / "published.yaml")
    tables = [_table(key, groups[key], published) for key in sorted(groups)]
    title = "Leaderboard"
    text = "\n".join(f"## {markdown(table.title)}\n\n{table.markdown()}" for table in tables)
    words = [f"--runs={','.join(map(str, folders))}", f"--output={output}"]
    command = printable(shlex.join(["recbole_intent", "leaderboard", *words]))
    write_text(output, f"# {title}\n\n```\n{command}\n```\n\n{text}")
    sections = [Section(f"table-{i}", t.title, t.html()) for i, t in enumerate(tables)]
    write_text(output.with_suffix(".html"), Page(title, sections=sections).html())
    return tables


def _read(folder: Path) -> Iterator[_Tested]:
    for path in sorted(folder.glob("**/result.json")):
        try:
            yield from _tests_of(path.parent)
        except UserError as error:
            _LOGGER.warning("%s; left out of the leaderboard", error)


def _tests_of(run: Path) -> Iterator[_Tested]:
    result = read_result(run)
    if result.get("noise"):
        return
    config = read_mapping(run / "config.yaml", {"model": str, "dataset": str}, "train it again")
    masked = bool(result.get("mask_history"))
    yield _Tested(run, result, config, result["test"], Ranks.load(run / "ranks.npz"), masked)
    for other in sorted((run / "evaluations").glob("*.json")):
        conditions = read_json(other, {"conditions": dict})["conditions"]
        if {k: v for k, v in conditions.items() if k not in _MACHINE} == {
            "mask_history": not masked
        }:
            test = read_json(other, {"test": dict})["test"]
            checked(other, test, dict.fromkeys(test, NUMBER))
            again = Ranks.load(other.with_suffix(".npz"))
            yield _Tested(run, result, config, test, again, not masked)


def _protocol(tested: _Tested) -> tuple[str, ...]:
    """Dataset, split, ranking and the fingerprint of the data: rows of a table share them."""
    result, split = tested.result, Split.of_plain(tested.result.get("split"))
    mask = "history masked" if tested.masked else "history not masked"
    candidates = result.get("candidates")
    ranked = f"1 + {candidates['negatives']} candidates" if candidates else "all items"
    # Older runs have no split in their results, but its keys are in their configuration.
    name = _split_name(split.definition if split else tested.config)
    data = str(split.fingerprint if split else result.get("data_fingerprint", ""))[:10]
    if candidates:
        data += f", candidates {candidates['hash'][:10]}"
    return str(result["dataset"]), name, f"{ranked}, {mask}", data


def _split_name(split: Mapping[str, Any]) -> str:
    if split.get("benchmark_filename"):
        return "given parts"
    if split.get("session_split"):
        return "sessions by time"
    how = split.get("eval_args") or {}
    parts = how.get("split") or {}
    if "LS" in parts:
        return "leave-one-out"
    by_time = how.get("order") == "TO" and how.get("group_by") in (None, "none")
    shares = ":".join(f"{share:g}" for share in parts.get("RS", ()))
    return f"{'global time' if by_time else 'ratio'} split {shares}".strip()


def _table(key: Sequence[str], tests: Sequence[_Tested], published: Mapping[str, Any]) -> Table:
    dataset, split, ranked, data = key
    tested_by = dict.fromkeys(name for tested in tests for name in tested.test)
    metrics = [name for name in _METRICS if name in tested_by] or [*tested_by][:4]
    rows = [_row(label, of, metrics) for label, of in _labelled(tests).items()]
    is_published = split == "leave-one-out" and ranked == "all items, history masked"
    for label, values in (published.get(dataset) or {}).items() if is_published else ():
        rows.append({"model": f"{label}, {values['source']}", "is printed": True, **values})
    main = "ndcg@10" if "ndcg@10" in metrics else metrics[0]
    rows.sort(key=lambda row: -(row.get(main) or 0))
    cells = [[*_cells(row, metrics)] for row in rows]
    header = ["model", *metrics, "seeds", "minutes", "parameters", "epochs", "chosen by"]
    notes = [
        "±: half of the 95 % interval that resamples seeds and users together (few seeds: too "
        "short); minutes: of training with its evaluations and pre-training, mean over seeds; "
        "printed: by the authors, not by us.",
        f"Data {data or 'unknown'}.",
    ]
    return Table(f"{dataset}, {split}, {ranked}", header, cells, rows, notes)


def _labelled(tests: Sequence[_Tested]) -> dict[str, list[_Tested]]:
    """Map a label, the model and its values that are not defaults, to runs that differ in seed."""
    groups: dict[str, tuple[str, list[_Tested]]] = {}
    for tested in tests:
        model, values = str(tested.config["model"]), _own_values(tested.config)
        shown = [f"{name}: {value}" for name, value in values.items()]
        more = ["…"] * (len(shown) > _MOST_KEYS)
        label = f"{model} ({', '.join([*shown[:_MOST_KEYS], *more])})" if shown else model
        groups.setdefault(f"{model} {values!r}", (label, []))[1].append(tested)
    labelled: dict[str, list[_Tested]] = {}
    for label, of in groups.values():
        while label in labelled:  # they differ in keys beyond those shown
            label += "'"
        labelled[label] = of
    return labelled


def _own_values(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a run that are not its model's defaults and not of the protocol.

    Of a class that cannot be imported, whose defaults are unknown: a digest of all values.
    """
    try:
        spec = get_spec(str(config["model"]))
    except UserError:
        values = in_fingerprint(config, key_table(None).rows)
        own = {name: value for name, value in values.items() if name not in _NOT_OF_LABEL}
        return {"configuration": fingerprint(own)[:10]}
    table = key_table(spec.keys)
    sequential = _is_sequential(config)
    names, dataset = class_names(spec.model_class()), str(config["dataset"])
    defaults = default_values(names, dataset, Given(), table, sequential=sequential)
    usual = in_fingerprint(defaults, table.rows)
    return {
        name: value
        for name, value in sorted(in_fingerprint(config, table.rows).items())
        if name in defaults and name not in _NOT_OF_LABEL and value != usual.get(name)
    }


def _is_sequential(config: Mapping[str, Any]) -> bool:
    try:
        spec = get_spec(str(config["model"]))
    except UserError:
        return "loss_type" in config  # of RecBole's sequential models
    if spec.family:
        return spec.family != "general"
    return getattr(spec.model_class(), "type", None) == ModelType.SEQUENTIAL


def _row(label: str, tests: Sequence[_Tested], metrics: Sequence[str]) -> dict[str, Any]:
    # Of two tests of a seed, the one whose ranking also chose the epoch.
    tests = sorted(tests, key=lambda one: one.masked == bool(one.result.get("mask_history")))
    by_seed = {tested.result["seed"]: tested for tested in tests}
    tests = [by_seed[seed] for seed in sorted(by_seed)]
    results = [tested.result for tested in tests]
    row: dict[str, Any] = {"model": label, "is printed": False}
    for metric in metrics:
        if all(metric in tested.test for tested in tests):
            row[metric] = float(np.mean([tested.test[metric] for tested in tests]))
    shown = [metric for metric in metrics if metric in row and _has_users(metric, tests)]
    by_target = _is_sequential(tests[0].config)
    values = [user_values(tested.ranks, shown, by_target) for tested in tests]
    if shown and len({len(each) for each in values}) == 1:
        for metric, (low, high) in zip(
            shown, bootstrap_both(np.stack(values, axis=1).transpose(2, 1, 0)), strict=True
        ):
            row[f"{metric} half interval"] = float(high - low) / 2
    seconds = [result["seconds"] + result["pretraining_seconds"] for result in results]
    tuned = results[0].get("tuned")
    row |= {
        "seeds": len(tests),
        "minutes": float(np.mean(seconds)) / 60,
        "parameters": results[0].get("parameters"),
        "epochs": float(np.mean([result["best_epoch"] for result in results])),
        "chosen by": str(results[0].get("preset") or "") or ("tuned" if tuned else "defaults"),
    }
    return row


def _has_users(name: str, tests: Sequence[_Tested]) -> bool:
    """Whether a metric has a value per user in all tests."""
    metric = METRICS.get(name.partition("@")[0])  # None: of a user's module, not imported
    if metric is None or not metric.per_user:
        return False
    return not metric.needs_lists or all(tested.ranks.top is not None for tested in tests)


def _cells(row: Mapping[str, Any], metrics: Sequence[str]) -> Iterator[str | Cell]:
    yield row["model"]
    for metric in metrics:
        value, half = row.get(metric), row.get(f"{metric} half interval")
        text = NOTHING if value is None else f"{value:.4f}"
        yield text if half is None else f"{text} ± {half:.4f}"
    if row["is printed"]:
        yield from ("printed", *[NOTHING] * 4)
        return
    yield f"{row['seeds']}"
    yield f"{row['minutes']:.0f}"
    yield f"{row['parameters']:,}" if row["parameters"] else NOTHING
    yield f"{row['epochs']:.0f}"
    yield row["chosen by"]
