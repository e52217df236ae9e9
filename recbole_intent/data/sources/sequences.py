"""Plain lines `user item item ...`, chronological, with an optional `item2attributes.json`.

The form of S3-Rec (Zhou et al., CIKM 2020) and of many later public repositories. There are no
times: the position in the line is the order.
"""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd

from recbole_intent.data.sources.raw import RawData
from recbole_intent.data.sources.reading import files_in, first_line, head, lines_of, opened
from recbole_intent.utils.errors import UserError
from recbole_intent.utils.parsing import reason_of

FORM = "plain lines 'user item item ...' (with item2attributes.json beside them)"
COLUMNS: frozenset[str] = frozenset()  # this form has no named columns
# Every id contains a digit, which distinguishes a line of ids from a line of prose.
IDS = re.compile(r"(?=\S*\d)[\w-]+(?: +(?=\S*\d)[\w-]+)+ *")
ATTRIBUTES = re.compile(r'\s*\{\s*"[^"]+"\s*:\s*\[')


def recognises(path: Path, columns: dict[str, str]) -> bool:
    """Whether a file's first line is two or more ids separated by spaces."""
    return any(IDS.fullmatch(first_line(file)) for file in files_in(path))


def read(path: Path, columns: dict[str, str]) -> RawData:
    """Read the sequences of a file or folder, and the attributes next to them.

    Raises:
        UserError: a line has no items, a user appears twice, or several files are possible.
    """
    files = [file for file in files_in(path) if IDS.fullmatch(first_line(file))]
    if len(files) > 1:
        raise UserError(
            f"{path}: {files[0].name} and {files[1].name} both hold sequences; give the right "
            "one by --source=FILE"
        )
    file = files[0]
    users: dict[str, int] = {}
    items: dict[str, int] = {}
    item_codes, lengths, numbers = [], [], []
    for number, line in lines_of(file):
        if line.isspace():
            continue
        user, *sequence = line.split()
        if user in users:
            raise UserError(f"{file} line {number}: user {user!r} stands twice; join the lines")
        if not sequence:
            raise UserError(f"{file} line {number}: user {user!r} has no items; remove the line")
        users[user] = len(users)
        item_codes += [items.setdefault(item, len(items)) for item in sequence]
        lengths.append(len(sequence))
        numbers.append(number)
    interactions = pd.DataFrame(
        {
            "user_id": pd.Categorical.from_codes(
                np.repeat(np.arange(len(users)), lengths), list(users)
            ),
            "item_id": pd.Categorical.from_codes(item_codes, list(items)),
            "timestamp": float("nan"),
            "position": np.concatenate([np.arange(length) for length in lengths]),
            "file": 0,
        },
        index=np.repeat(numbers, lengths),
    )
    attributes = next((f for f in files_in(path) if ATTRIBUTES.match(head(f))), None)
    table = _read_attributes(attributes) if attributes is not None else None
    return RawData(interactions, table, [file], attributes)


def _read_attributes(file: Path) -> pd.DataFrame:
    try:
        with opened(file) as binary:
            attributes = json.loads(binary.read().decode("utf-8"))
    except json.JSONDecodeError as error:
        raise UserError(f"{file} line {error.lineno}: not JSON ({error.msg}); fix it") from error
    except RecursionError as error:
        raise UserError(f"{file}: not JSON ({reason_of(error)})") from error
    except ValueError as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{file}: not JSON ({reason_of(error)})") from error
    is_table = isinstance(attributes, dict)
    if not is_table or not all(isinstance(values, list) for values in attributes.values()):
        raise UserError(f"{file}: expected {{item: [attribute, …]}}")
    return pd.DataFrame(
        {
            "item_id": list(attributes),
            "attributes": [" ".join(map(str, values)) for values in attributes.values()],
        }
    )
