"""Options of `enrich`, with defaults in properties/enrich/<purpose>.yaml.

Later sources take precedence: the defaults, the user's files, the command line.
"""

import difflib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar, overload

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from recbole_intent.config.key_table import KeyTable
from recbole_intent.config.keys import no_effect
from recbole_intent.enrich import option_keys
from recbole_intent.utils.errors import UserError
from recbole_intent.utils.parsing import read_yaml
from recbole_intent.utils.paths import properties_dir


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class LLMOptions(_Strict):
    """The language model and its request settings."""

    source: str
    base_url: str | None
    model: str | None
    api_key_env: str | None
    temperature: float
    max_tokens: int
    reason: bool | None
    dtype: Literal["float32", "bfloat16"]

    @property
    def asks_reason(self) -> bool:
        """Whether answers give reasons; for the embedded model only if requested."""
        return self.source != "embedded" if self.reason is None else self.reason


class EnrichOptions(_Strict):
    """Options common to all purposes; see the comments in the default files.

    Attributes:
        purpose: purpose of the files, and the name of the default file.
        rows: allowed values of the options.
        is_llm: whether a language model is used.
        needs_likelihood: whether likelihoods of texts are needed too.
    """

    purpose: ClassVar[str]
    rows: ClassVar[KeyTable]

    llm: LLMOptions
    attempts: int
    concurrency: int
    seed: int
    sample: float
    limit: int | None
    min_coverage: float
    domain: str | None
    runner: Literal["local", "ray"]
    workers: int

    @property
    def is_llm(self) -> bool:
        """Whether a language model is asked."""
        raise NotImplementedError

    @property
    def needs_likelihood(self) -> bool:
        """Whether the model has to give likelihoods of texts."""
        return False


class IntentLLMOptions(LLMOptions):
    """Language-model options for intents."""

    name_candidates: bool | None


class IntentOptions(EnrichOptions):
    """Options for the intents of VELI4SBR."""

    purpose: ClassVar[str] = "VELI4SBR"
    rows: ClassVar[KeyTable] = option_keys.INTENTS

    intents: Literal["llm", "metadata"]
    llm: IntentLLMOptions
    validate_by: Literal["generate", "likelihood"] = Field(alias="validate")
    min_margin: float
    first_pool: Literal["llm", "metadata"]
    new_intents: bool
    negatives: int
    refine_features: bool
    predict_and_correct: bool
    window: int
    rest: Literal["none", "metadata"]
    encoder: str | None
    session_shown: int
    features_shown: int
    pool_shown: int
    pool_size: int
    intents_per_session: int

    @property
    def is_llm(self) -> bool:
        """As in the base class."""
        return self.intents == "llm"

    @property
    def needs_likelihood(self) -> bool:
        """As in the base class."""
        return self.validate_by == "likelihood"


class ProfileOptions(EnrichOptions):
    """Options for the texts of ISRF and their vectors."""

    purpose: ClassVar[str] = "ISRF"
    rows: ClassVar[KeyTable] = option_keys.PROFILES

    semantics: Literal["llm", "metadata"]
    steps: Literal["all", "texts", "vectors"]
    users_sample: int
    items_shown: Literal["fused", "metadata"]
    texts: Annotated[
        tuple[Literal["fused", "positive", "negative"], ...],
        BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
    ]
    encoder: str
    encoder_dtype: Literal["float32", "bfloat16"]
    encoder_batch: int
    encoder_chunk: int

    @property
    def is_llm(self) -> bool:
        """As in the base class."""
        return self.semantics == "llm"


class RankingOptions(EnrichOptions):
    """Options for the rankings of PO4ISR."""

    purpose: ClassVar[str] = "PO4ISR"
    rows: ClassVar[KeyTable] = option_keys.RANKINGS

    n_candidates: int
    candidates_seed: int
    optimise: bool
    train_sessions: int
    valid_sessions: int
    depth: int
    batch: int
    good_rank: int
    errors_shown: int
    reasons: int
    paraphrases: int
    tried: int
    kept: int
    rounds: int
    round_sessions: int
    exploration: float
    session_shown: int

    @property
    def is_llm(self) -> bool:
        """As in the base class."""
        return True


_Options = TypeVar("_Options", bound=EnrichOptions)


@overload
def read_options(
    files: Sequence[str | Path] = (), given: Mapping[str, Any] | None = None
) -> IntentOptions: ...
@overload
def read_options(
    files: Sequence[str | Path] = (),
    given: Mapping[str, Any] | None = None,
    *,
    kind: type[_Options],
    passed_over: Collection[str] = (),
) -> _Options: ...
def read_options(
    files: Sequence[str | Path] = (),
    given: Mapping[str, Any] | None = None,
    kind: type[EnrichOptions] = IntentOptions,
    passed_over: Collection[str] = (),
) -> EnrichOptions:
    """Read the options of a run.

    Args:
        files: YAML files of the user; later ones take precedence.
        given: typed values that override all files; `llm.model` is a key within `llm`.
        kind: class of the options.
        passed_over: keys of the files to ignore, unless they are options of `enrich`.

    Raises:
        UserError: an unknown key or an invalid value.
    """
    default = properties_dir() / "enrich" / f"{kind.purpose}.yaml"
    values = _flat(read_yaml(default))
    defaults = dict(values)
    unread = set(passed_over) - {key.partition(".")[0] for key in values}
    for path in files:
        wanted = {key: value for key, value in read_yaml(path).items() if key not in unread}
        _take(values, _flat(wanted), f"{path}: ", kind.rows)
    given = _flat(given or {})
    _take(values, given, "--", kind.rows)
    changed = [key for key, value in given.items() if value != defaults[key]]
    for key, because in kind.rows.idle(changed, values):
        raise UserError(f"--{key}: {no_effect(because)}")
    llm = {key.removeprefix("llm."): v for key, v in values.items() if key.startswith("llm.")}
    return kind.model_validate(
        {**{key: v for key, v in values.items() if "." not in key}, "llm": llm}
    )


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Flatten `llm: {model: x}` to `llm.model: x`."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if key == "llm" and isinstance(value, Mapping):
            flat |= {f"llm.{name}": part for name, part in value.items()}
        else:
            flat[key] = value
    return flat


def _take(values: dict[str, Any], new: Mapping[str, Any], where: str, rows: KeyTable) -> None:
    for key, value in new.items():
        if key not in rows.rows:
            near = difflib.get_close_matches(str(key), rows.rows, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise UserError(f"{where}{key}: unknown option of enrich{hint}")
        mistake = rows.mistake(key, value)
        if mistake:
            raise UserError(f"{where}{key}: {mistake}")
        values[key] = value
