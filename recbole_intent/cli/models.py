"""Command `models`: a list of all models."""

import textwrap

from recbole_intent.cli.options import Asked
from recbole_intent.config.registry import get_spec, model_names
from recbole_intent.utils.printable import say

_COLUMNS = "{:<15}{:<12}{:<19}{:<15}{}"


def command(asked: Asked) -> int:
    """Print each model in lines of at most 80 columns: properties, paper, link, needs."""
    lines = [_COLUMNS.format("model", "family", "tasks", "fast path", "torchrun")]
    for spec in map(get_spec, model_names()):
        if asked.options.get("family", spec.family) != spec.family:
            continue
        torchrun = "yes" if spec.splits else "no"
        tasks = ", ".join(spec.tasks)
        lines += [_COLUMNS.format(spec.name, spec.family, tasks, spec.fast_path or "–", torchrun)]
        needs = spec.needs and f"needs {spec.needs}"
        lines += [
            f"    {text}" for text in (*textwrap.wrap(spec.title, 76), spec.url, needs) if text
        ]
    say("\n".join(lines), lines=True)
    return 0
