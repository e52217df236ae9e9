"""What can be chosen for `enrich`: properties/enrich/<purpose>.yaml has the defaults.

A later source wins: the file of defaults, files of the user, the command line.
"""

import difflib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

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
    reason: bool | None
    dtype: Literal["float32", "bfloat16"]

    @property
    def asks_reason(self) -> bool:
        """Answers give reasons; those of the embedded model only where that is wanted."""
        return self.source != "embedded" if self.reason is None else self.reason


class EnrichOptions(_Strict):
    """What all purposes have in common; see the comments in the files of defaults.

    Attributes:
        purpose: what the files are for, and the name of the file of defaults.
        without_model: the option that does without a language model.
        is_llm: a language model is asked.
        needs_likelihood: it is asked how likely a text is, too.
    """

    purpose: ClassVar[str]
    without_model: ClassVar[str]

    llm: LLMOptions
    attempts: int = Field(ge=1, le=20)
    concurrency: int = Field(ge=1)
    seed: int = Field(ge=0)
    sample: float = Field(gt=0, le=1)
    limit: int | None = Field(ge=1)
    min_coverage: float = Field(ge=0, le=1)
    domain: str | None
    runner: Literal["local", "ray"]
    workers: int = Field(ge=1)

    @property
    def is_llm(self) -> bool:
        raise NotImplementedError

    @property
    def needs_likelihood(self) -> bool:
        return False


class IntentLLMOptions(LLMOptions):
    """What is asked of a language model that finds intents."""

    name_candidates: bool | None


class IntentOptions(EnrichOptions):
    """For the intents of VELI4SBR."""

    purpose: ClassVar[str] = "VELI4SBR"
    without_model: ClassVar[str] = "--intents=metadata"

    intents: Literal["llm", "metadata"]
    llm: IntentLLMOptions
    validate_by: Literal["generate", "likelihood"] = Field(alias="validate")
    min_margin: float = Field(ge=0)
    first_pool: Literal["llm", "metadata"]
    new_intents: bool
    negatives: int = Field(ge=1, le=100)
    refine_features: bool
    predict_and_correct: bool
    window: int = Field(ge=1)
    rest: Literal["none", "metadata"]
    encoder: str | None = Field(min_length=1)
    session_shown: int = Field(ge=1)
    features_shown: int = Field(ge=1)
    pool_shown: int = Field(ge=1)
    pool_size: int = Field(ge=1)
    intents_per_session: int = Field(ge=1)

    @property
    def is_llm(self) -> bool:
        return self.intents == "llm"

    @property
    def needs_likelihood(self) -> bool:
        return self.validate_by == "likelihood"


class ProfileOptions(EnrichOptions):
    """For the texts of ISRF, and their vectors."""

    purpose: ClassVar[str] = "ISRF"
    without_model: ClassVar[str] = "--semantics=metadata"

    semantics: Literal["llm", "metadata"]
    steps: Literal["all", "texts", "vectors"]
    users_sample: int = Field(ge=1, le=20)
    items_shown: Literal["fused", "metadata"]
    texts: Annotated[
        tuple[Literal["fused", "positive", "negative"], ...],
        Field(min_length=1),
        BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
    ]
    encoder: str = Field(min_length=1)
    encoder_dtype: Literal["float32", "bfloat16"]
    encoder_batch: int = Field(ge=1)
    encoder_chunk: int = Field(ge=1)

    @property
    def is_llm(self) -> bool:
        return self.semantics == "llm"


_Options = TypeVar("_Options", bound=EnrichOptions)


def read_options(
    files: Sequence[str | Path] = (),
    given: Mapping[str, Any] | None = None,
    kind: type[_Options] = IntentOptions,
    passed_over: Collection[str] = (),
) -> _Options:
    """The options of a run.

    Args:
        files: YAML files of the user; later ones win.
        given: typed values that win over all files; `llm.model` is a key within `llm`.
        kind: class of the options.
        passed_over: keys of the files that are not for `enrich`, unless it has such an option.

    Raises:
        UserError: an unknown key, or a value that cannot be.
    """
    default = properties_dir() / "enrich" / f"{kind.purpose}.yaml"
    values: dict[str, Any] = {}
    _merge(values, read_yaml(default), f"{default}: ", known=False)
    unread = set(passed_over) - values.keys()
    for path in files:
        wanted = {key: value for key, value in read_yaml(path).items() if key not in unread}
        _merge(values, wanted, f"{path}: ", known=True)
    _merge(values, given or {}, "--", known=True)
    try:
        return kind.model_validate(values)
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
