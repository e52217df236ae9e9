"""Where the files that come with the package are."""

from __future__ import annotations

from pathlib import Path

from recbole_intent.errors import UserError

_PACKAGE = Path(__file__).resolve().parent


def properties_dir(package: Path = _PACKAGE) -> Path:
    """Return the folder of the YAML properties (`overall.yaml`, `model/`, `dataset/`, `search/`).

    A wheel carries it inside the package; a checkout, editable install or not, has it beside.

    Args:
        package: the folder of the package itself.

    Raises:
        UserError: neither place has it.
    """
    places = (package / "properties", package.parent / "properties")
    for place in places:
        # asking for model/ too: a folder of this plain name may be anyone's
        if (place / "model").is_dir():
            return place
    raise UserError(
        f"no properties folder in {places[0]} or {places[1]}: install recbole_intent again"
    )
