"""The products of `enrich`: intents, profiles and text vectors of a dataset.

Options are checked before `make`, which imports torch.
"""

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recbole_intent.config.given import known_keys
from recbole_intent.config.keys import SPLIT_KEYS
from recbole_intent.data.formats import intent_files, profile_files, ranking_files
from recbole_intent.data.prepare.download import unprepared_message
from recbole_intent.enrich.options import (
    EnrichOptions,
    IntentOptions,
    ProfileOptions,
    RankingOptions,
    read_options,
)
from recbole_intent.utils.errors import UserError
from recbole_intent.utils.parsing import read_yaml

if TYPE_CHECKING:
    from recbole_intent.enrich.workplace import Enriched


@dataclass(frozen=True)
class Product:
    """Files that `enrich` makes.

    Attributes:
        options: class of the options.
        pipeline: `module:function` that makes the files.
        covered: the things that `min_coverage` is a share of.
        first: suffix of the first file.
        fixed: options that make it this product.
        arguments: further arguments of that function.
    """

    options: type[EnrichOptions]
    pipeline: str
    covered: str
    first: str
    fixed: Mapping[str, Any] = field(default_factory=dict)
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def make(self, *args: Any, **kwargs: Any) -> "Enriched":
        """Make the files."""
        module, _, name = self.pipeline.partition(":")
        return getattr(importlib.import_module(module), name)(*args, **self.arguments, **kwargs)


_PIPELINES = "recbole_intent.enrich"
_INTENTS = Product(
    IntentOptions,
    f"{_PIPELINES}.intents.pipeline:enrich",
    "the sessions have intents",
    intent_files.INTENT,
)
_TEXTS = (
    ProfileOptions,
    f"{_PIPELINES}.profiles.pipeline:enrich_profiles",
    "the items and users have texts of the model",
    profile_files.PROFILES["item"],
)
PRODUCTS = {
    "intents": _INTENTS,
    "profiles": Product(*_TEXTS, {"steps": "texts"}),
    "vectors": Product(*_TEXTS, {"steps": "vectors"}),
}
# Of sessions too, which ISRF refuses.
_OF_SESSIONS = Product(*_TEXTS, arguments={"reader": "LLMESR"})
# Model → all that it reads, in one call.
FOR_MODELS = {
    **dict.fromkeys((IntentOptions.purpose, "LLM4SBR"), _INTENTS),
    ProfileOptions.purpose: Product(*_TEXTS),
    RankingOptions.purpose: Product(
        RankingOptions,
        f"{_PIPELINES}.rankings.pipeline:enrich_rankings",
        "the targets have usable answers",
        ranking_files.RANKING,
    ),
    **dict.fromkeys(("LLMESR", "RLMRec", "RLMRecSeq"), _OF_SESSIONS),
}


def product_of(name: str) -> Product:
    """Return a product by its name, or all that a model reads.

    Raises:
        UserError: neither a product nor a model that reads one.
    """
    product = PRODUCTS.get(name) or FOR_MODELS.get(name)
    if product is None:
        raise UserError(
            f"--for={name}: what the files are for: {' or '.join(FOR_MODELS)}; or name a product: "
            f"enrich {', '.join(PRODUCTS)}"
        )
    return product


def enrich(
    product: str,
    dataset: str,
    *,
    config_files: Sequence[str | Path] = (),
    output: str | Path | None = None,
    cache: str | Path | None = None,
    data_path: str | Path = "dataset",
    export_batch: str | Path | None = None,
    import_batch: str | Path | None = None,
    **options: Any,
) -> "Enriched":
    """Write what a language model, or metadata, says about a dataset, for models to train on.

    Repeating the call resumes an interrupted one without sending any request twice.

    Args:
        product: `intents`, `profiles`, `vectors`, or a model for all that it reads.
        dataset: a prepared dataset with texts of items; `intents` are of sessions.
        config_files: YAML files with options; later ones win.
        output: folder of the files; None: the dataset's own.
        cache: file of all answers so far; None: next to the dataset.
        data_path: parent folder of datasets.
        export_batch: write the next requests to this file instead of sending them.
        import_batch: results of a batch service to import first.
        options: of properties/enrich, such as `limit=100` or `llm={"model": "gpt-4o"}`, and keys
            of a run that define its training split, such as `eval_args`.

    Raises:
        UserError: invalid data or options, or no request can be answered; old files are kept.
        BatchPending: requests were exported and must be answered first.
    """
    made = product_of(product)
    if isinstance(config_files, str | Path):  # one path, not its letters
        config_files = [config_files]
    chosen = chosen_options(made, dataset, config_files, options)
    atomic = Path(data_path) / dataset / f"{dataset}.inter"
    if not atomic.is_file() and not split_values(config_files, options).get("benchmark_filename"):
        raise UserError(f"{atomic}: no such file: {unprepared_message(dataset)}")
    return made.make(
        dataset,
        chosen,
        data_path,
        output,
        cache=cache,
        split=split_values(config_files, options),
        export_batch=Path(export_batch) if export_batch else None,
        import_batch=Path(import_batch) if import_batch else None,
    )


def chosen_options(
    product: Product, dataset: str, files: Sequence[str | Path], given: Mapping[str, Any]
) -> EnrichOptions:
    """Return the options of a product from files and given values.

    Raises:
        UserError: an unknown key, an invalid value, or one that makes another product.
    """
    split = split_values((), given)
    values = {key: value for key, value in given.items() if key not in split}
    for key, value in product.fixed.items():
        if values.setdefault(key, value) != value:
            raise UserError(f"--{key}={values[key]}: `enrich profiles` and `enrich vectors` fix it")
    passed_over: set[str] = set()
    if files:  # of a run, perhaps, whose keys they may contain
        passed_over = {*(known_keys(product.options.purpose, dataset) or ()), *SPLIT_KEYS}
    return read_options(files, values, kind=product.options, passed_over=passed_over)


def split_values(files: Sequence[str | Path], given: Mapping[str, Any]) -> dict[str, Any]:
    """Collect the run keys that define the split from files and the command line.

    Args:
        files: YAML files of the user; later ones take precedence.
        given: typed values that override all files.
    """
    values: dict[str, Any] = {}
    for source in (*map(read_yaml, files), given):
        values.update({key: value for key, value in source.items() if key in SPLIT_KEYS})
    return values
