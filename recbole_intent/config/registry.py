"""The model registry: model name -> class, trainer, and rules for batching."""

import difflib
import importlib
import sys
from dataclasses import dataclass

from recbole_intent.utils import compat
from recbole_intent.utils.errors import UserError


@dataclass(frozen=True)
class ModelSpec:
    """One entry of the registry.

    Attributes:
        name: value of `--model`.
        path: `package.module:Class`, imported on use.
        trainer: `package.module:Class` of its trainer.
        trim: its outputs do not depend on the number of padded columns, so rows may be cut to the
            longest of the batch (a parity test per model checks this).
        splits: its losses are means over the rows of a batch, or over their targets, so several
            processes may share a batch (a test per model checks this too).
        reference: the unmodified RecBole class, for `fast_sequences: False`; same as `path` if
            None.
        corrected: `path` corrects an error of `reference`, which the class describes. The property
            `reference: recbole` keeps RecBole's behaviour.
        keys: module of its `KEYS` and `RULES` (`keys.py`), which must not import torch; if None, a
            key has the type of its default.
    """

    name: str
    path: str
    trainer: str = "recbole_intent.trainer.base:Trainer"
    trim: bool = False
    splits: bool = False
    reference: str | None = None
    corrected: bool = False
    keys: str | None = None

    def model_class(self, fast: bool = True) -> type:
        """Return the model's class: ours, or RecBole's own if `fast` is False."""
        return _import(self.path if fast or self.reference is None else self.reference)

    def class_for(self, fast_sequences: bool, reference: str | None) -> type:
        """Return the class of a run with these two properties.

        `fast_sequences: False` selects RecBole's own class, unless that is wrong and `reference`
        does not request it.
        """
        wants_recbole = not self.corrected or reference == RECBOLE
        return self.model_class(fast=bool(fast_sequences) or not wants_recbole)

    def trainer_class(self) -> type:
        """Return the class that trains it."""
        return _import(self.trainer)


def _import(path: str) -> type:
    compat.apply()
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


# Values of the property `reference` of a corrected model.
OURS, RECBOLE = "ours", "recbole"

_RECBOLE_KEYS = "recbole_intent.config.recbole_keys"
_OURS = "recbole_intent.model.sequential_recommender"
_OURS_GENERAL = "recbole_intent.model.general_recommender"
_SEQUENTIAL = "recbole.model.sequential_recommender"
_GENERAL = "recbole.model.general_recommender"

_TABLE: dict[str, ModelSpec] = {
    spec.name: spec
    for spec in (
        ModelSpec(
            "IGRSR",
            f"{_OURS}.igrsr:IGRSR",
            trainer="recbole_intent.models.distilled.trainer:DistilledTrainer",
            keys="recbole_intent.models.igrsr.keys",
            trim=True,
            splits=True,
        ),
        ModelSpec(
            "VELI4SBR",
            f"{_OURS}.veli4sbr:VELI4SBR",
            trainer="recbole_intent.models.veli4sbr.trainer:VELI4SBRTrainer",
            keys="recbole_intent.models.veli4sbr.keys",
            trim=True,
            splits=True,
        ),
        ModelSpec(
            "ISRF",
            f"{_OURS}.isrf:ISRF",
            trainer="recbole_intent.models.isrf.trainer:ISRFTrainer",
            keys="recbole_intent.models.isrf.keys",
            trim=True,
        ),
        ModelSpec(
            "SASRec",
            f"{_OURS}.sasrec:SASRec",
            trainer="recbole_intent.models.distilled.trainer:DistilledTrainer",
            trim=True,
            splits=True,
            reference=f"{_SEQUENTIAL}.sasrec:SASRec",
            keys="recbole_intent.models.distilled.keys",
        ),
        ModelSpec(
            "GRU4Rec",
            f"{_OURS}.gru4rec:GRU4Rec",
            trainer="recbole_intent.models.distilled.trainer:DistilledTrainer",
            trim=True,
            splits=True,
            reference=f"{_SEQUENTIAL}.gru4rec:GRU4Rec",
            keys="recbole_intent.models.distilled.keys",
        ),
        ModelSpec(
            "BERT4Rec",
            f"{_OURS}.bert4rec:BERT4Rec",
            trim=True,
            reference=f"{_SEQUENTIAL}.bert4rec:BERT4Rec",
            corrected=True,
            keys=_RECBOLE_KEYS,
        ),
        ModelSpec(
            "LightGCN",
            f"{_OURS_GENERAL}.lightgcn:LightGCN",
            reference=f"{_GENERAL}.lightgcn:LightGCN",
            keys=_RECBOLE_KEYS,
        ),
        ModelSpec(
            "NCL",
            f"{_OURS_GENERAL}.ncl:NCL",
            trainer="recbole_intent.models.ncl.trainer:NCLTrainer",
            reference=f"{_GENERAL}.ncl:NCL",
            keys=_RECBOLE_KEYS,
        ),
    )
}

# RecBole's other models with a plain training loop, by module.
_RECBOLE = {
    _SEQUENTIAL: (
        "Caser CORE FDSA FOSSIL FPMC GCSAN GRU4RecF HGN HRM LightSANs NARM NextItNet NPE "
        "RepeatNet SASRecF SHAN SINE SRGNN STAMP TransRec"
    ),
    _GENERAL: (
        "BPR ConvNCF DGCF DMF EASE FISM GCMC ItemKNN LINE MultiDAE MultiVAE NAIS NGCF "
        "NNCF NeuMF Pop Random SGL SLIMElastic SimpleX SpectralCF"
    ),
}
# Those that RecBole computes wrongly: our subclasses correct them, one module per model.
_CORRECTED = {"CORE": _OURS, "HGN": _OURS, "SHAN": _OURS}
_CORRECTED |= dict.fromkeys(("FISM", "Pop", "Random"), _OURS_GENERAL)
# Those that do not depend on padding: they mask it, or read only the last items. STAMP, SHAN, NPE
# and others sum over the padding vector too, or need a fixed width.
_TRIM = frozenset("CORE FDSA FPMC GCSAN GRU4RecF HRM NARM SASRecF SRGNN TransRec".split())
# Those whose losses are means over rows. Excluded: norms of the batch's vectors (LightGCN, NGCF,
# DGCF, SGL, SimpleX …), means over masked items (BERT4Rec), samples of whole batches (MultiVAE).
_SPLITS = frozenset(
    "BPR CORE Caser DMF FDSA FISM FPMC GCMC GCSAN GRU4RecF HRM LightSANs MultiDAE NAIS NARM NNCF "
    "NPE NeuMF NextItNet RepeatNet SASRecF SINE SRGNN STAMP".split()
)
for _package, _names in _RECBOLE.items():
    for _name in _names.split():
        _is = {"trim": _name in _TRIM, "splits": _name in _SPLITS}
        _path = f"{_package}.{_name.lower()}:{_name}"
        if _name in _CORRECTED:
            _is |= {"reference": _path, "corrected": True}
            _path = f"{_CORRECTED[_name]}.{_name.lower()}:{_name}"
        _TABLE.setdefault(_name, ModelSpec(_name, _path, keys=_RECBOLE_KEYS, **_is))


# RecBole's models that cannot be trained here, by reason.
_REFUSED = {
    name: reason
    for reason, names in {
        "has a training loop of its own": "RaCT RecVAE S3Rec",
        "has a dataset of its own": "DIEN FEARec GRU4RecKG KSR",
        "predicts clicks, not items": "DIN",
        "is a context-aware model: it predicts ratings or clicks, not items": (
            "AFM AutoInt DCN DCNV2 DSSM DeepFM EulerNet FFM FM FNN FiGNN FwFM KD_DAGFM LR NFM PNN "
            "WideDeep xDeepFM"
        ),
        "is a knowledge-aware model: it has a training loop and a dataset of its own": (
            "CFKG CKE KGAT KGCN KGIN KGNNLS KTUP MCCLK MKR RippleNet"
        ),
        "is a forest of decision trees: it predicts ratings or clicks, not items": (
            "LightGBM XGBoost"
        ),
    }.items()
    for name in names.split()
}
# The others, which have not been compared with RecBole's own runs.
_UNTESTED = {
    name: f"{package}.{name.lower()}:{name}"
    for package, names in {
        _SEQUENTIAL: "GRU4RecCPR SASRecCPR",
        _GENERAL: "ADMMSLIM AsymKNN CDAE DiffRec ENMF LDiffRec MacridVAE NCEPLRec",
    }.items()
    for name in names.split()
}


def register(spec: ModelSpec) -> None:
    """Add a model, or replace one, so that `--model=<name>` finds it."""
    _TABLE[spec.name] = spec


def model_names() -> list[str]:
    """Return all names that `get_spec` knows, sorted."""
    return sorted(_TABLE, key=str.lower)


def get_spec(name: str) -> ModelSpec:
    """Return the entry of a model.

    Args:
        name: a registered name, or `package.module:Class` for a class outside the table, which gets
            full-width rows and the trainer of its base class, or the plain one.

    Raises:
        UserError: no such model; names the nearest ones.
    """
    if name in _TABLE:
        return _TABLE[name]
    if ":" in name:
        return _from_path(name)
    of_recbole = {known.lower(): known for known in (*_REFUSED, *_UNTESTED)}
    if known := of_recbole.get(name.lower()):
        _refuse(known, name)
        raise UserError(
            f"--model={name}: RecBole's {known} is not among the tested models; "
            f"--model={_UNTESTED[known]} tries it"
        )
    by_lower = {known.lower(): known for known in _TABLE}
    near = difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=0.5)
    names = [by_lower[known] for known in near] or model_names()
    raise UserError(
        f"--model={name}: no such model; nearest: {', '.join(names)} "
        "(a class of your own: --model=package.module:Class)"
    )


def _refuse(known: str, given: str) -> None:
    """Raise UserError if a RecBole model cannot be trained here."""
    if known in _REFUSED:
        raise UserError(
            f"--model={given}: RecBole's {known} {_REFUSED[known]} and is not supported"
        )


def _from_path(path: str) -> ModelSpec:
    module, _, name = path.partition(":")
    if not module.strip(".") or module.startswith(".") or not name:
        raise UserError(f"--model={path}: not of the form package.module:Class")
    if module.split(".")[:2] == ["recbole", "model"]:
        _refuse(name, path)
    compat.apply()
    from recbole.model.abstract_recommender import AbstractRecommender
    from recbole.utils import ModelType

    try:
        found = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        raise UserError(
            f"--model={path}: cannot import {error.name}; is it on PYTHONPATH?"
        ) from error
    except AttributeError as error:
        if error.obj is not sys.modules.get(module):
            raise _failed(path, error) from error
        raise UserError(f"--model={path}: module {module} has no {name!r}") from error
    except Exception as error:
        raise _failed(path, error) from error
    if not isinstance(found, type) or not issubclass(found, AbstractRecommender):
        raise UserError(f"--model={path}: {name} is no RecBole model (no AbstractRecommender)")
    here = (ModelType.GENERAL, ModelType.SEQUENTIAL, ModelType.TRADITIONAL)
    if getattr(found, "type", None) not in here:
        raise UserError(
            f"--model={path}: {name} is neither a general nor a sequential model of RecBole (its "
            "`type`)"
        )
    trainer, keys = _as_its_base(found)
    return ModelSpec(found.__name__, path, trainer, keys=keys)


def _as_its_base(found: type) -> tuple[str, str | None]:
    """Return the trainer and the module of keys that a class inherits from its base model.

    `KEYS` in the module of the class take precedence.
    """
    ours = {spec.path: spec for spec in _TABLE.values()}
    theirs = {spec.reference: spec for spec in _TABLE.values() if spec.reference}
    names = [f"{base.__module__}:{base.__qualname__}" for base in found.__mro__]
    trainer = next((ours[name].trainer for name in names if name in ours), ModelSpec.trainer)
    if hasattr(sys.modules[found.__module__], "KEYS"):
        return trainer, found.__module__
    known = theirs | ours
    return trainer, next((known[name].keys for name in names if name in known), None)


def _failed(path: str, error: Exception) -> UserError:
    reason = " ".join(str(error).split())
    return UserError(f"--model={path}: importing it fails: {type(error).__name__}: {reason}")
