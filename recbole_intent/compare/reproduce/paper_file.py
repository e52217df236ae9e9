"""Read the description of a table or figure of a paper, with its printed numbers.

A YAML file in `properties/reproduce/` is the whole description, so a new table needs no code:

    paper: title of the paper
    table: Table 2
    reference: label of the row that is tested against the others
    task: direct                          # task of all runs; default next-item
    settings: {n_candidates: 19}          # keys of all runs that define the comparison
    datasets: {amazon-toys: Toys}         # our name: the paper's name
    columns:
      - {name: Recall@10, metric: recall@10}
      - {name: noisy, metric: recall@10, noise: {kind: replace, ratio: 0.2}}
      - {name: direct, metric: recall@10, task: direct}  # same runs, tested on another task
      - {name: change, change: [Recall@10, noisy]}
      - {name: "time, s", time: inference}  # to rank all test targets; takes task, as above
      - {name: "train, s", time: epoch}     # including validation
      - {name: GiB, memory: peak}           # during training
    rows:
      - label: IGR-SR
        model: IGRSR                      # reported as missing if it is not registered
        params: {n_prefix: 8}
        defaults: {distiller_size: 64}    # like params, but --KEY=VALUE overrides them
        at: {n_prefix: 8}                 # position of this row's point in the figure
        printed: {amazon-toys: [0.0802, 0.0719, 0.5106, -0.104, 599, 307, 21.78]}  # ~: no number
    notes: [sentences]
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recbole_intent.compare.entries import refuse_protocol
from recbole_intent.compare.request import NEXT_ITEM, TASKS
from recbole_intent.utils.errors import UserError
from recbole_intent.utils.parsing import read_yaml
from recbole_intent.utils.paths import properties_dir

_PARTS = ("paper", "table", "reference", "datasets", "columns", "rows")
# The kinds of columns, with the keys that each may have in addition.
_KINDS = {"metric": ("noise", "task"), "change": (), "time": ("task",), "memory": ()}
_VALUES = {"time": ("inference", "epoch"), "memory": ("peak",), "task": TASKS}


def table_names() -> list[str]:
    """The names of the tables that `--reproduce` accepts."""
    return sorted(path.stem for path in (properties_dir() / "reproduce").glob("*.yaml"))


def read_paper_table(name: str, datasets: Sequence[str] = ()) -> dict[str, Any]:
    """Read the description of a paper's table, which must have these datasets.

    Raises:
        UserError: no such table, a dataset that it lacks, or a file with a malformed part.
    """
    if name not in table_names():
        raise UserError(f"--reproduce={name}: no such table; known are {', '.join(table_names())}")
    path = properties_dir() / "reproduce" / f"{name}.yaml"
    paper = read_yaml(path)
    for part in _PARTS:
        if part not in paper:
            raise UserError(f"{path}: {part} is missing")
    _check_values(paper, path)
    for column in paper["columns"]:
        _check_column(column, path)
    for row in paper["rows"]:
        for part in ("params", "defaults"):
            refuse_protocol(row.get(part) or {}, f"{path}: {row['label']}")
        for dataset, printed in (row.get("printed") or {}).items():
            if dataset not in paper["datasets"] or len(printed) != len(paper["columns"]):
                raise UserError(
                    f"{path}: {row['label']}: printed: {dataset}: expected a dataset of the file "
                    f"and {len(paper['columns'])} numbers"
                )
    for dataset in datasets:
        if dataset not in paper["datasets"]:
            known = ", ".join(paper["datasets"])
            raise UserError(f"--datasets: {dataset} is not in {paper['table']} (which has {known})")
    return paper


def _check_column(column: Mapping[str, Any], path: Path) -> None:
    kinds = [key for key in column if key in _KINDS]
    where = f"{path}: {column.get('name')}"
    if "name" not in column or len(kinds) != 1:
        raise UserError(f"{where}: a column has a name and one of {', '.join(_KINDS)}")
    extra = [key for key in column if key not in ("name", *kinds)]
    if len(extra) > 1 or not set(extra) <= set(_KINDS[kinds[0]]):
        raise UserError(f"{where}: {' and '.join(extra)} cannot stand beside {kinds[0]}")
    _check_values(column, where)


def _check_values(given: Mapping[str, Any], where: str | Path) -> None:
    for key, values in _VALUES.items():
        if key in given and given[key] not in values:
            raise UserError(f"{where}: {key}: {given[key]!r} is none of {', '.join(values)}")


def own_task(paper: Mapping[str, Any]) -> str:
    """The task that the runs of a table are trained and validated on."""
    return paper.get("task", NEXT_ITEM)


def other_tasks(paper: Mapping[str, Any]) -> list[str]:
    """The tasks of columns that differ from the runs' own task."""
    tasks = [column["task"] for column in paper["columns"] if "task" in column]
    return [task for task in dict.fromkeys(tasks) if task != own_task(paper)]


def printed(row: Mapping[str, Any], dataset: str, i: int) -> float | None:
    """The number printed in column `i` of a row; None if the paper has none."""
    numbers = (row.get("printed") or {}).get(dataset)
    return numbers[i] if numbers else None
