"""Check before training that all models of a comparison are tested on the same targets."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from recbole.utils import ModelType

from recbole_intent.config.config import Config
from recbole_intent.data.loading.split import read_parts
from recbole_intent.data.loading.split_data import Parts
from recbole_intent.utils.errors import UserError


def check_same_tests(configs: Mapping[str, Config]) -> None:
    """Read the data once for each kind of model and compare their test users and targets.

    A leave-one-out split tests a general model on users with at least two interactions, but a
    sequential one, which needs an item before each target, only on users with at least three.

    Args:
        configs: label -> configuration, for one seed.

    Raises:
        UserError: the data are unusable, or the test targets differ.
    """
    firsts: dict[bool, tuple[str, Config]] = {}
    for label, config in configs.items():
        firsts.setdefault(config["MODEL_TYPE"] == ModelType.SEQUENTIAL, (label, config))
    tests, failures = {}, []
    for label, config in firsts.values():
        try:
            tests[label] = (config, _targets(read_parts(config)))
        except UserError as error:  # of one kind only: its rows will show the failure
            failures.append(error)
    if not tests:
        raise failures[0]
    if len(tests) < 2:
        return
    (first, (config, mine)), (second, (_, theirs)) = tests.items()
    more = {
        label: set(of) - set(other)
        for label, of, other in ((first, mine, theirs), (second, theirs, mine))
    }
    for label, users in more.items():
        if users:
            other = second if label == first else first
            raise UserError(
                f"{label} would be tested on {len(users):,} users that {other} is not tested on, "
                f"such as {min(users)!r} with too few interactions; {_remedy(config)}"
            )
    for user, targets in mine.items():
        if len(targets) > 1 or len(theirs[user]) > 1:
            raise UserError(
                f"eval_args: split: user {user!r} has several test targets, which {first} and "
                f"{second} rank differently (general models in one list, sequential ones each in "
                "its own); compare them on leave-one-out"
            )
        if targets != theirs[user]:
            raise UserError(
                f"{first} and {second} would be tested on different targets of user {user!r}; "
                "compare them apart"
            )


def _remedy(config: Config) -> str:
    if config["benchmark_filename"]:
        return "give each of them an earlier item in training, or compare the models apart"
    return (
        "leave users with fewer than 3 interactions out: "
        "--user_inter_num_interval='[3,inf)', or prepare --k_core=3"
    )


def _targets(parts: Parts) -> dict[str, list[str]]:
    """Map the raw id of each test user to the sorted raw ids of its targets."""
    dataset, rows = parts.dataset, parts.test.inter_feat
    ids: list[Any] = [
        np.asarray(dataset.field2id_token[field])[rows[field].numpy()].astype(str).tolist()
        for field in (dataset.uid_field, dataset.iid_field)
    ]
    targets: dict[str, list[str]] = {}
    for user, item in zip(*ids, strict=True):
        targets.setdefault(user, []).append(item)
    return {user: sorted(items) for user, items in targets.items()}
