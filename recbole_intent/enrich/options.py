"""What can be chosen for the intents of VELI4SBR: properties/enrich/VELI4SBR.yaml has the defaults.

A later source wins: the file of defaults, files of the user, the command line.
"""

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from recbole_intent.config import read_yaml
from recbole_intent.errors import UserError
from recbole_intent.paths import properties_dir


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class LLMOptions(_Strict):
    """Which language model, and how it is asked."""

    source: Literal["openai", "embedded"]
    base_url: str | None
    model: str | None
    api_key_env: str | None
    temperature: float = Field(ge=0)
    max_tokens: int = Field(ge=1)
    name_candidates: bool | None
    reason: bool | None
    dtype: Literal["float32", "bfloat16"]


class IntentOptions(_Strict):
    """All options; see the comments in the file of defaults."""

    intents: Literal["llm", "metadata"]
    llm: LLMOptions
    validate_by: Literal["generate", "likelihood"] = Field(alias="validate")
    min_margin: float = Field(ge=0)
    first_pool: Literal["llm", "metadata"]
    new_intents: bool
    attempts: int = Field(ge=1, le=20)
    negatives: int = Field(ge=1, le=100)
    refine_features: bool
    predict_and_correct: bool
    window: int = Field(ge=1)
    concurrency: int = Field(ge=1)
    seed: int = Field(ge=0)
    sample: float = Field(gt=0, le=1)
    limit: int | None = Field(ge=1)
    min_coverage: float = Field(ge=0, le=1)
    domain: str | None
    session_shown: int = Field(ge=1)
    features_shown: int = Field(ge=1)
    pool_shown: int = Field(ge=1)
    pool_size: int = Field(ge=1)
    intents_per_session: int = Field(ge=1)
    runner: Literal["local", "ray"]
    workers: int = Field(ge=1)


def read_options(
    files: Sequence[str | Path] = (), given: Mapping[str, Any] | None = None
) -> IntentOptions:
    """The options of a run.

    Args:
        files: YAML files of the user; later ones win.
        given: typed values that win over all files; `llm.model` is a key within `llm`.

    Raises:
        UserError: an unknown key, or a value that cannot be.
    """
    default = properties_dir() / "enrich" / "VELI4SBR.yaml"
    values: dict[str, Any] = {}
    for path in (default, *files):
        _merge(values, read_yaml(path), f"{path}: ", known=path != default)
    _merge(values, given or {}, "--", known=True)
    try:
        return IntentOptions.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"]))
        raise UserError(f"{key}: {first['input']!r}: {first['msg']}") from error


def _merge(values: dict[str, Any], new: Mapping[str, Any], where: str, known: bool) -> None:
    for key, value in new.items():
        if key == "llm" and isinstance(value, Mapping):
            flat = {f"llm.{name}": part for name, part in value.items()}
            _merge(values, flat, where, known)
            continue
        group, _, name = key.rpartition(".")
        place = values.setdefault(group, {}) if group == "llm" else values
        name = name if group == "llm" else key
        if known and (name not in place or isinstance(place[name], dict)):
            names = [k for k in values if k != "llm"] + [f"llm.{k}" for k in values["llm"]]
            near = difflib.get_close_matches(key, names, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise UserError(f"{where}{key}: unknown option of enrich{hint}")
        place[name] = value
