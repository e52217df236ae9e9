"""The table of all models."""

import pandas as pd

from recbole_intent.config.registry import get_spec, model_names


def models() -> pd.DataFrame:
    """Return a table with one row per model that a run can train.

    Returns:
        Indexed by name: `paper` (its title; `RecBole` for RecBole's own), `link`, `family`,
        `tasks`, `needs` (files and optional packages), `fast_path` (what trains faster than
        RecBole's way), `torchrun` (several processes can share a training).
    """
    specs = map(get_spec, model_names())
    rows = [
        (s.name, s.title, s.url, s.family, ", ".join(s.tasks), s.needs, s.fast_path, s.splits)
        for s in specs
    ]
    names = ["model", "paper", "link", "family", "tasks", "needs", "fast_path", "torchrun"]
    return pd.DataFrame(rows, columns=names).set_index("model")
