"""The `prepare` section of `properties/dataset/<dataset>.yaml`."""

from typing import Any

from recbole_intent.utils.parsing import parse_yaml, read_text
from recbole_intent.utils.paths import properties_dir


def prepare_properties(dataset: str) -> dict[str, Any]:
    """Read the `prepare` section of a dataset's properties.

    Args:
        dataset: any name; without a properties file, the section is empty.

    Returns:
        `options` (defaults of `prepare`), `papers` (their counts) and `download` (page, files),
        as far as they exist.

    Raises:
        UserError: the file is not valid YAML.
    """
    file = properties_dir() / "dataset" / f"{dataset}.yaml"
    if not file.is_file():
        return {}
    properties = parse_yaml(read_text(file), f"{file}") or {}
    return properties.get("prepare") or {}


def paper_counts(dataset: str) -> list[dict[str, Any]]:
    """Counts printed in papers, for `Statistics.table`; empty for an unknown dataset."""
    return prepare_properties(dataset).get("papers") or []
