"""Checks of a command before torch, which takes seconds, is imported.

They answer mistakes in names, files and keys at once. The command itself makes the same checks and
more, so a mistake that they miss is reported later, not accepted.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recbole_intent.config import keys
from recbole_intent.config.given import Given, check_given
from recbole_intent.config.keys import with_role
from recbole_intent.data.prepare.download import unprepared_message
from recbole_intent.runs.result import read_result
from recbole_intent.utils.errors import UserError

CONDITIONS = with_role(keys.CONDITION)  # may change without training again


def check_run(
    model: str,
    dataset: str,
    config_files: Sequence[str | Path] = (),
    overrides: Mapping[str, Any] | None = None,
    allow_unknown: bool = False,
) -> None:
    """Check the arguments of `experiment.run`.

    Raises:
        UserError: no such model, an unreadable file, an unknown key, an invalid value, or a dataset
            that is not prepared.
    """
    values = check_given(model, dataset, Given(config_files, overrides), allow_unknown)
    # RecBole's wheel contains ml-100k.
    if values is None or values.get("benchmark_filename") or dataset == "ml-100k":
        return
    path = Path(str(values["data_path"])) / dataset / f"{dataset}.inter"
    if not path.is_file():
        raise UserError(f"{path}: no such file: {unprepared_message(dataset)}")


def check_finished(
    folder: str | Path, conditions: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Check that a run is finished and that it can be evaluated under other conditions.

    Args:
        folder: the run's folder.
        conditions: key -> value; each must be one of `CONDITIONS`.

    Returns:
        The contents of its `result.json`.

    Raises:
        UserError: a key that requires training again, or no finished run.
    """
    for key in conditions or ():
        if key not in CONDITIONS:
            raise UserError(
                f"--{key}: would need another training; evaluate takes "
                f"{', '.join(sorted(CONDITIONS))}"
            )
    return read_result(folder)


def check_board(folders: Sequence[str | Path], output: str | Path) -> None:
    """Check the arguments of `leaderboard`.

    Raises:
        UserError: no such folder, or an output that is no Markdown file.
    """
    output = Path(output)
    if not output.name or output.suffix.lower() == ".html":
        raise UserError(
            f"--output={output}: name the Markdown file, such as leaderboard.md; the page is next "
            "to it, as .html"
        )
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder of runs")
