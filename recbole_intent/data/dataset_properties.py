"""What `properties/dataset/<dataset>.yaml` says about preparing a dataset."""

from typing import Any

from recbole_intent.parsing import parse_yaml, read_text
from recbole_intent.paths import properties_dir


def prepare_properties(dataset: str) -> dict[str, Any]:
    """Read the `prepare` part of a dataset's properties.

    Args:
        dataset: any name; one without a properties file has no such part.

    Returns:
        `options` (defaults of `prepare`), `papers` (their counts) and `download` (page, files),
        each as far as it is there.

    Raises:
        UserError: the file is no YAML.
    """
    file = properties_dir() / "dataset" / f"{dataset}.yaml"
    if not file.is_file():
        return {}
    properties = parse_yaml(read_text(file), f"{file}") or {}
    return properties.get("prepare") or {}


def paper_counts(dataset: str) -> list[dict[str, Any]]:
    """Give the counts of papers for `Statistics.table`; none for a dataset that we do not know."""
    return prepare_properties(dataset).get("papers") or []
