"""Location of the files that ship with the package."""

from __future__ import annotations

from pathlib import Path

from recbole_intent.utils.errors import UserError

_PACKAGE = Path(__file__).resolve().parents[1]


def properties_dir(package: Path = _PACKAGE) -> Path:
    """Return the folder of the YAML properties (`overall.yaml`, `model/`, `dataset/`, `search/`).

    A wheel has it inside the package; a checkout, editable install or not, next to it.

    Args:
        package: the folder of the package itself.

    Raises:
        UserError: it is in neither place.
    """
    places = (package / "properties", package.parent / "properties")
    for place in places:
        # also require model/: other projects may have a folder of this name
        if (place / "model").is_dir():
            return place
    raise UserError(
        f"no properties folder in {places[0]} or {places[1]}: install recbole_intent again"
    )
