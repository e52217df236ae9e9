"""RecBole's `Config` with this package's models and defaults; it refuses unknown keys."""

import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from recbole_intent.config.data_keys import plain_data_keys
from recbole_intent.config.given import Given, default_values
from recbole_intent.config.key_table import key_table
from recbole_intent.config.keys import DERIVED, metrics, no_effect, with_role
from recbole_intent.config.presets import OUR_DEFAULTS, class_names
from recbole_intent.config.registry import OURS, ModelSpec, get_spec
from recbole_intent.utils import compat
from recbole_intent.utils.errors import UserError
from recbole_intent.utils.library_errors import library_mistakes
from recbole_intent.utils.own_files import read_mapping

compat.apply()

from recbole.config import Config as RecBoleConfig  # noqa: E402  (needs the shims)
from recbole.config.configurator import metric_types  # noqa: E402
from recbole.utils import EvaluatorType, ModelType  # noqa: E402

_DERIVED_KEYS = with_role(DERIVED)


class Config(RecBoleConfig):
    """Configuration of one run.

    Later sources win: the defaults (`given.default_values`), `config_file_list`, `config_dict`. A
    model without properties uses those of its nearest base class. Unlike RecBole's, this class does
    not read the command line or evaluate strings.

    Args:
        model: registered name, or `package.module:Class`.
        dataset: name of the dataset.
        config_file_list: the user's YAML files.
        config_dict: typed values that override all files.
        allow_unknown: accept keys that no default file defines.

    Raises:
        UserError: unknown model, unreadable file, unknown key (with the nearest known one), or
            invalid value.
    """

    def __init__(
        self,
        model: str,
        dataset: str,
        config_file_list: Sequence[str | Path] | str | Path | None = None,
        config_dict: Mapping[str, Any] | None = None,
        allow_unknown: bool = False,
    ) -> None:
        self.spec: ModelSpec = get_spec(model)
        self.key_table = key_table(self.spec.keys)
        self._model_given = model
        self.given = given = Given(config_file_list, config_dict)
        given.refuse_other_names(model, dataset)
        values = given.values
        model_class = self.spec.class_for(
            values.get("fast_sequences", True), values.get("reference", OURS)
        )
        for name in metrics().METRICS:  # RecBole refuses metrics that it does not know
            metric_types.setdefault(name, EvaluatorType.RANKING)
        with library_mistakes("configuration"):
            super().__init__(model_class, dataset, given.files, given.options)
        if not allow_unknown:
            given.refuse_unknown(self.internal_config_dict)
        if self["MODEL_TYPE"] == ModelType.SEQUENTIAL and self["MODEL_INPUT_TYPE"] is None:
            raise UserError(f"loss_type: {self['loss_type']!r} is neither CE nor BPR")
        for key, mistake in self.key_table.broken_rules(self.final_config_dict):
            raise UserError(f"{self.where(key)}: {mistake}")
        # RecBole does not know the metrics of `register_metric`.
        self["valid_metric_bigger"] = metrics().sign_of(self["valid_metric"]) > 0
        # A user's class may share its name with one in the table, so the name is not enough.
        self["model_class"] = f"{model_class.__module__}:{model_class.__qualname__}"
        # RecBole's datasets add keys of their own here (for masked histories, for example), which
        # are not part of the request.
        self._asked_keys = frozenset(self.final_config_dict)

    def _load_config_files(self, file_list) -> dict:
        return dict(self.given.values)  # `Given` has read them

    def _convert_config_dict(self, config_dict: dict) -> dict:
        return config_dict  # values come typed; RecBole would `eval` strings

    def _load_cmd_line(self) -> dict:
        return {}

    def _load_internal_config_dict(self, model, model_class, dataset) -> None:
        self.internal_config_dict = default_values(
            class_names(model_class),
            dataset,
            self.given,
            self.key_table,
            sequential=model_class.type == ModelType.SEQUENTIAL,
        )
        self.internal_config_dict["MODEL_TYPE"] = model_class.type

    def _get_final_config_dict(self) -> dict:
        # Before RecBole reads them.
        self.given.refuse_mistakes(self.key_table, self.internal_config_dict)
        final = super()._get_final_config_dict()
        # A partial `eval_args` changes only those parts; RecBole would reset the rest to its own.
        given = self.external_config_dict.get("eval_args", {})
        if isinstance(given, Mapping):
            final["eval_args"] = {**self.internal_config_dict["eval_args"], **given}
        if final["preset"] == OUR_DEFAULTS:
            final["preset"] = None
        final.update(plain_data_keys(final))
        if final["task"] == "sequential":  # ISRF's name for it
            final["task"] = "next-item"
        if "load_col" not in self.external_config_dict:
            final["load_col"] = _columns_to_load(final)
        elif final.get("unload_col") and final["load_col"]:
            both = sorted(set(final["load_col"]) & set(final["unload_col"]))
            if both:
                raise UserError(f"unload_col: {both[0]}: load_col names its columns; give one")
        if (
            final["MODEL_TYPE"] == ModelType.SEQUENTIAL
            and final.get("loss_type") == "CE"
            and "train_neg_sample_args" not in self.external_config_dict
        ):
            # RecBole's default samples negatives, which its own check then refuses with CE.
            final["train_neg_sample_args"] = None
        return final

    def _set_default_parameters(self) -> None:
        self._data_root = data_path = str(self.final_config_dict["data_path"])
        super()._set_default_parameters()
        local = Path(data_path) / self.dataset
        if (local / f"{self.dataset}.inter").is_file():
            # RecBole takes ml-100k from its own wheel; a prepared copy takes precedence.
            self.final_config_dict["data_path"] = str(local)

    def _init_device(self) -> None:
        final = self.final_config_dict
        device = final.get("device") or "auto"
        if str(device) == "auto":
            use_cuda = torch.cuda.is_available() and final.get("use_gpu", True)
            device = "cuda" if use_cuda else "cpu"
        try:
            final["device"] = torch.device(device)
        except RuntimeError as error:
            raise UserError(
                f"device: {device!r} is not a torch device; cpu, cuda, cuda:1 …"
            ) from error
        if final["device"].type == "cuda" and not torch.cuda.is_available():
            raise UserError("device: cuda asked for, but torch finds none; use --device=cpu")
        final["gpu_id"] = str(final["gpu_id"])
        final["single_spec"] = True
        final["local_rank"] = 0

    def where(self, key: str) -> str:
        """Return a key with its source: its file, an option, or the bare key of a default."""
        return self.given.where(key)

    def is_changed(self, key: str) -> bool:
        """Did the user give this key another value than its default?"""
        given = self.external_config_dict
        return key in given and given[key] != self.internal_config_dict.get(key)

    def idle(self, names: Collection[str] | None = None) -> dict[str, dict[str, Any]]:
        """Return the keys that the user set and that have no effect.

        Keys at their default do not count, so that a file of all values can be given again.

        Args:
            names: keys to check; all that the user gave if None.

        Returns:
            Key -> the keys, with their values, that disable it.
        """
        asked = self.external_config_dict if names is None else names
        changed = [key for key in asked if self.is_changed(key)]
        return dict(self.key_table.idle(changed, self.final_config_dict))

    def refuse_idle(self) -> None:
        """Raise if the user set a key that has no effect.

        If a later source disables it (an option that overrides a file), that is deliberate and only
        logs a warning.

        Raises:
            UserError: the first such key, and what disables it.
        """
        for key, because in self.idle().items():
            message = f"{self.where(key)}: {no_effect(because)}"
            if not any(self.given.rank(switch) > self.given.rank(key) for switch in because):
                raise UserError(message)
            logging.getLogger("recbole_intent").warning("%s", message)

    def plain(self) -> dict[str, Any]:
        """Return all values as plain containers, sorted by key, to repeat the run from.

        Derived values, the device, and keys added after construction are left out.
        """
        values = {
            key: _plain(value)
            for key, value in sorted(self.final_config_dict.items())
            if key in self._asked_keys and key not in _DERIVED_KEYS
        }
        values["model"] = self._model_given
        values["data_path"] = self._data_root
        if (values.get("train_neg_sample_args") or {}).get("distribution") == "none":
            values["train_neg_sample_args"] = None
        return values

    @classmethod
    def of_run(cls, folder: str | Path, overrides: Mapping[str, Any] | None = None) -> "Config":
        """Load the configuration of a run from its folder, with some values changed.

        Raises:
            UserError: no `config.yaml` there, or an invalid value.
        """
        path = Path(folder) / "config.yaml"
        again = "train the run again: its command with --fresh"
        kept = read_mapping(path, {"model": str, "dataset": str}, again)
        values = {**kept, **(overrides or {})}
        model, dataset = values.pop("model"), values.pop("dataset")
        # The values are all in the run's file; the file of tuned values may have changed since.
        tuned = values.pop("tuned", False)
        config = cls(model, dataset, config_dict=values, allow_unknown=True)
        config["tuned"] = tuned
        return config


def _columns_to_load(final: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the default of `load_col`: user, item, time, and columns from property files.

    RecBole's default names `user_id` and `item_id` only, whatever the columns are called.
    """
    columns = dict(final["load_col"])
    needed = [final[key] for key in ("USER_ID_FIELD", "ITEM_ID_FIELD", "TIME_FIELD")]
    usual = ("user_id", "item_id", "timestamp")
    columns["inter"] = [*needed, *(c for c in columns["inter"] if c not in (*needed, *usual))]
    for kind in final.get("unload_col") or ():  # all columns except those
        columns[kind] = "*"
    # Item features that the model reads.
    if final.get("selected_features") and columns.get("item") != "*":
        item = [*columns.get("item", [final["ITEM_ID_FIELD"]]), *final["selected_features"]]
        columns["item"] = list(dict.fromkeys(item))
    return columns


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return compat.plain(value) if hasattr(value, "dtype") else str(value)
