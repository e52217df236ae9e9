"""The training loop of models with a distiller: pre-trains or reuses it, then trains as usual."""

import copy
from pathlib import Path

from recbole.utils import InputType, init_seed

from recbole_intent.config.config import Config
from recbole_intent.config.keys import in_fingerprint
from recbole_intent.data.loading.loader import RankingLoader, SequenceTrainLoader
from recbole_intent.data.loading.pre_split import part_paths
from recbole_intent.data.loading.session_split import split_path
from recbole_intent.models.distilled.start import (
    DistilledStart,
    distiller_config,
    fold_of,
    item_init_of,
)
from recbole_intent.models.sasrec.model import SASRec
from recbole_intent.trainer import distributed
from recbole_intent.trainer.base import BEST, LAST, Trainer
from recbole_intent.trainer.checkpoint import load_checkpoint
from recbole_intent.utils.errors import UserError
from recbole_intent.utils.files import file_sha256, fingerprint, folder_lock, write_json
from recbole_intent.utils.own_files import NUMBER, read_json

# Settings besides the encoder's shape that affect its training: data, split, batches, stopping.
_SHARED_KEYS = (
    "seed dataset ITEM_ID_FIELD USER_ID_FIELD TIME_FIELD MAX_ITEM_LIST_LENGTH load_col "
    "user_inter_num_interval item_inter_num_interval val_interval filter_inter_by_user_or_item "
    "rm_dup_inter eval_args noise windows mask_history epochs train_batch_size learner "
    "learning_rate weight_decay clip_grad_norm eval_step stopping_step valid_metric topk metrics "
    "precision matmul_precision lr_schedule warmup_epochs min_learning_rate ema_decay "
    "label_smoothing"
).split()


def _again(folder: Path) -> str:
    """The remedy for a damaged file of a distiller, which is shared and thus never overwritten."""
    return f"remove the folder {folder}, and the distiller is trained again"


def _check_pretraining(config: Config) -> None:
    if not config["fast_sequences"]:
        raise UserError(
            "lid_checkpoint: auto pre-trains on fast_sequences: True; give lid_checkpoint=PATH, "
            "or leave fast_sequences on"
        )


class DistilledTrainer(Trainer):
    """Loads a trained distiller into a `DistilledStart` model before the first epoch.

    This applies to IGRSR, which reads its intents, and to any model with `item_init: distiller`.

    The encoder is a small SASRec trained on the same training split, with the same early stopping,
    and then frozen. With `distiller_folds: K` there are K of them; each is trained on the users of
    all other folds and reads only the histories of its own fold. Distillers are stored in
    `<checkpoint_dir>/distillers/` under a name with the dataset, the width, the seed and a
    fingerprint of data and settings. Later runs with the same values reuse them; concurrent runs
    wait for them.
    """

    def __init__(self, config: Config, model, folder: Path | None = None, title: str = "train"):
        super().__init__(config, model, folder, title)
        if distributed.count() > 1 and hasattr(model, "other_views"):
            model.other_views = self.split.others
        # RecBole's own classes (fast_sequences: False) do not support a distiller.
        if not isinstance(model, DistilledStart) and item_init_of(config) == "distiller":
            raise UserError("item_init: distiller needs fast_sequences: True")
        self.needs_distiller = getattr(model, "needs_distiller", False)
        is_new = folder is not None and not (folder / LAST).is_file()
        # Errors are raised here, before the run begins.
        if self.needs_distiller and is_new and not self._load_given():
            _check_pretraining(config)

    def check_data(self, train_data) -> None:
        """As `Trainer.check_data`; checks that each fold leaves users to train a distiller on."""
        if self.needs_distiller and self.config["lid_checkpoint"] == "auto":
            for fold in self.model.wanted_distillers:
                if fold is not None:
                    _is_outside(train_data._dataset, fold, self.config["distiller_folds"])

    def _load_given(self) -> bool:
        """Load `lid_checkpoint: PATH`; False if it is `auto`."""
        path = self.config["lid_checkpoint"]
        if path == "auto":
            return False
        if self.model.wanted_distillers != [None]:
            raise UserError(
                "lid_checkpoint: is one distiller, and distiller_folds asks for several; give "
                "lid_checkpoint: auto"
            )
        self.model.load_distiller(load_checkpoint(Path(path), self.device)["state_dict"])
        return True

    def before_training(self, train_data, valid_data: RankingLoader, show_progress: bool) -> None:
        """Train the distillers, or read trained ones; an interrupted pre-training resumes."""
        if self.needs_distiller:
            for fold in self.model.wanted_distillers:
                state = self._encoder(train_data, valid_data, show_progress, fold)
                self.model.load_distiller(state, fold)
            self.model.to(self.device)

    def approximations(self, train_data) -> list[str]:
        """As `Trainer.approximations`, plus those of the distiller's own training."""
        lines = super().approximations(train_data)
        config = self.config
        if (
            self.needs_distiller
            and config["lid_checkpoint"] == "auto"
            and config["windows"] == "strided"
            and config["distiller_passes"] != "all"
        ):
            lines.append("windows of the distiller's training: strided")
        return lines

    def _encoder(
        self, train_data, valid_data: RankingLoader, show_progress: bool, fold: int | None
    ) -> dict:
        """Weights of the distiller trained on all users, or on all users outside a fold."""
        path = self.config["lid_checkpoint"]
        if path != "auto":
            self.logger.info("distiller: weights of %s", path)
            return load_checkpoint(Path(path), self.device)["state_dict"]
        config = self.encoder_config()
        dataset = train_data._dataset
        folder = self._encoder_folder(config, dataset, fold)
        with distributed.main_alone(folder_lock(folder, wait=True)):
            if not distributed.on_main((folder / "done.json").exists):
                self.logger.info(
                    "distiller: pre-training a SASRec of width %d%s in %s",
                    config["hidden_size"],
                    "" if fold is None else f" without the users of fold {fold + 1}",
                    folder,
                )
                if fold is not None:
                    dataset = without_fold(dataset, fold, config["distiller_folds"])
                self._pretrain(config, folder, dataset, valid_data, show_progress)
            else:
                self.logger.info("distiller: reusing %s", folder)
            again = _again(folder)
            done = read_json(folder / "done.json", {"seconds": NUMBER}, again)
            self.pretraining_seconds += done["seconds"]
            return load_checkpoint(folder / BEST, self.device, remedy=again)["state_dict"]

    def encoder_config(self) -> Config:
        """The configuration of the encoder's SASRec: this run's with the encoder's own shape."""
        config = copy.deepcopy(self.config)
        for key, value in distiller_config(self.config).items():
            config[key] = value
        config["model"] = "SASRec"
        config["item_init"] = "random"
        config["MODEL_INPUT_TYPE"] = InputType.POINTWISE  # cross-entropy, regardless of the model
        config["train_neg_sample_args"] = {"distribution": "none", "dynamic": False}
        config["transform"] = None
        config["passes"] = self.config["distiller_passes"]
        config["compile"] = False
        return config

    def _encoder_folder(self, config: Config, dataset, fold: int | None) -> Path:
        # The encoder's shape is not among the model's own keys: GRU4Rec has no n_layers.
        values = {**config.plain(), **distiller_config(self.config), "passes": config["passes"]}
        keys = (*_SHARED_KEYS, "passes", *distiller_config(self.config))
        digest = fingerprint(
            [
                in_fingerprint({key: values.get(key) for key in keys}),
                dataset.item_num,
                fingerprint(dataset.clean_items.tolist()),
                fingerprint(dataset.inter_feat[dataset.iid_field].tolist()),
                # The sessions used for early stopping.
                *([file_sha256(split_path(config))] if config["session_split"] else []),
                *([which] if (which := config["train_targets"]) not in (None, "all") else []),
                *map(file_sha256, part_paths(config)),  # of pre-split data
                *(
                    [{"without fold": [fold, config["distiller_folds"]]}]
                    if fold is not None
                    else []
                ),
            ]
        )
        name = f"{config['dataset']}-{config['hidden_size']}-{config['seed']}-{digest[:10]}"
        return Path(self.config["checkpoint_dir"]) / "distillers" / name

    def _pretrain(
        self, config: Config, folder: Path, dataset, valid_data, show_progress: bool
    ) -> None:
        init_seed(config["seed"], config["reproducibility"])
        loader = SequenceTrainLoader(config, dataset, None, trim=True, shares=True, shuffle=True)
        model = SASRec(config, dataset).to(self.device)
        trainer = Trainer(config, model, folder, title="distiller")
        trainer.remedy = _again(folder)
        score, valid = trainer.fit(loader, valid_data, show_progress)
        if trainer.best_epoch < 0:
            raise UserError("distiller: no epoch was validated; is eval_step above epochs?")
        done = {"valid": valid, "best_epoch": trainer.best_epoch + 1, "seconds": trainer.seconds}
        distributed.on_main(lambda: write_json(folder / "done.json", done))
        self.logger.info(
            "distiller: %s %.4f in epoch %d, %.1f min",
            trainer.metric,
            score,
            trainer.best_epoch + 1,
            trainer.seconds / 60,
        )


def without_fold(dataset, fold: int, folds: int):
    """A training split without the samples of the users of a fold.

    Raises:
        UserError: no sample is left, or the fold has no users.
    """
    return dataset.copy(dataset.inter_feat[_is_outside(dataset, fold, folds)])


def _is_outside(dataset, fold: int, folds: int):
    """(N,) bool, True for samples of users outside a fold; raises if all or none are."""
    is_kept = fold_of(dataset.inter_feat[dataset.uid_field], folds) != fold
    if is_kept.all() or not is_kept.any():
        raise UserError(f"distiller_folds: {folds} are too many for the users of the dataset")
    return is_kept
