"""The training loop, with atomic checkpoints, exact resume and per-user ranks."""

import logging
import math
import os
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import torch
from recbole.model.abstract_recommender import AbstractRecommender
from recbole.utils import ModelType, init_seed
from torch import Tensor, nn

from recbole_intent.config.config import Config
from recbole_intent.data.loading.loader import RankingLoader
from recbole_intent.modeling.deviations import deviations
from recbole_intent.modeling.next_item import NextItemMixin
from recbole_intent.modeling.reference import is_recboles
from recbole_intent.nn.sampled_softmax import IN_BATCH
from recbole_intent.trainer import distributed
from recbole_intent.trainer.callbacks import Callbacks
from recbole_intent.trainer.checkpoint import WEIGHTS, load_checkpoint, save_checkpoint
from recbole_intent.trainer.optimization import OPTIMIZERS, Average, Schedule, smooth_labels
from recbole_intent.trainer.ranker import Ranker
from recbole_intent.trainer.stage import Stage
from recbole_intent.utils.errors import UserError
from recbole_intent.utils.memory import peak_mib
from recbole_intent.utils.own_files import NUMBER, damaged
from recbole_intent.utils.progress import bar

BEST, LAST = "best.pt", "last.pt"
_ROWS = 2048  # batch size of a pass without training
_BEST = {**WEIGHTS, "other_parameter": (dict, type(None))}
_LAST = {
    **_BEST,
    **dict.fromkeys(("optimizer", "counters", "best_valid"), dict),
    **dict.fromkeys(("next_epoch", "best_epoch", "bad_evaluations"), int),
    **dict.fromkeys(("best_score", "peak_memory_mib", "pretraining_seconds"), NUMBER),
    "history": list,
}


class Trainer(Ranker):
    """Trains any RecBole recommender and ranks with it.

    Every epoch is seeded by the run's seed and the epoch's number, and writes `last.pt`. So a
    killed run resumes from its last complete epoch with the same results, bit for bit on CPU.
    `best.pt` holds the weights of the best epoch. Both contain only tensors and plain containers:
    `torch.load(..., weights_only=True)` reads them. With torchrun, the processes share the rows of
    each batch and the ranking (`distributed.py`). With `ema_decay`, validation and `best.pt` use
    the moving average of the weights.

    A model's trainer overrides `stages` (an objective after another), `before_training` (something
    to train or read first), `before_epoch` (an E-step), and `extra_state` with `load_extra_state`
    (what these leave behind).

    Args:
        config: the run's configuration.
        model: the recommender, already on its device.
        folder: directory of checkpoints and TensorBoard events; None keeps everything in memory,
            including the best weights.
        title: label of this training in the progress bar.
    """

    def __init__(
        self,
        config: Config,
        model: AbstractRecommender,
        folder: Path | None = None,
        title: str = "train",
    ) -> None:
        super().__init__(config, model, title)
        self.folder = folder
        # The remedy shown if a checkpoint in the folder is damaged.
        self.remedy = "use --fresh to overwrite"
        self.callbacks = Callbacks()
        self.item_start: dict[str, Any] | None = None  # as `start_items` returned
        self.logger = logging.getLogger("recbole_intent")
        self.metric = config["valid_metric"].lower()
        self.bigger = config["valid_metric_bigger"]
        # RecBole's traditional models count instead of learning, so one epoch is enough.
        is_traditional = config["MODEL_TYPE"] == ModelType.TRADITIONAL
        self.epochs = 1 if is_traditional else config["epochs"]
        if distributed.count() > 1 and not config.spec.splits:
            raise UserError(
                f"--model={config['model']}: not known to be trained alike by several processes; "
                "start it without torchrun (a model whose loss is a mean over a batch's rows: "
                "ModelSpec(…, splits=True))"
            )
        sampler = getattr(model, "negative_sampler", None)
        if distributed.count() > 1 and sampler is not None and sampler.kind == IN_BATCH:
            raise UserError(
                "softmax: in_batch: each process would have the targets of its own rows alone as "
                "negatives; start it without torchrun, or use softmax: log_uniform"
            )
        self.split = distributed.BatchSplit(self.device)
        if config["label_smoothing"]:
            smooth_labels(model, config["model"], config["label_smoothing"])
        if not self.stages()[-1].is_validated:
            raise ValueError("the last stage chooses the result, so it must be validated")
        self._learnable = [p for p in model.parameters() if p.requires_grad]
        self.next_epoch = 0
        self._begin_stage(0)
        self.history: list[dict[str, Any]] = []
        self.peak_memory_mib = 0.0
        self.pretraining_seconds = 0.0  # of models trained before the first epoch
        self._best_weights: dict[str, Any] | None = None
        if config["compile"]:
            # Batches differ in length: one graph with dynamic sizes instead of one per length.
            for name in getattr(model, "compiled_parts", ("forward",)):
                setattr(model, name, torch.compile(getattr(model, name), dynamic=True))

    def fit(
        self,
        train_data,
        valid_data: RankingLoader,
        show_progress: bool = False,
        on_epoch: Callable[[dict[str, Any]], None] | None = None,
    ) -> tuple[float, dict[str, float]]:
        """Train all stages, each until validation stops improving or its epochs are done.

        As in RecBole, a stage stops at evaluation number `stopping_step + 1` in a row without a
        better `valid_metric`; an equal value counts as better.

        Args:
            train_data: batches; `set_epoch` or RecBole's generator determines their order.
            valid_data: the rows for choosing the best epoch.
            show_progress: show a progress bar for each epoch.
            on_epoch: called with the record of each epoch (`history`) once it is on disk; a
                resumed run first calls it with the records of earlier epochs.

        Returns:
            The best validation score and all validation metrics of that epoch.

        Raises:
            UserError: the loss is not finite, or a checkpoint cannot be written.
        """
        is_resumed = self.resume()
        distributed.agree(self.next_epoch, f"{self.folder}: epochs done")
        if not is_resumed:
            self.before_training(train_data, valid_data, show_progress)
        distributed.copy_from_main(self.model)
        if on_epoch:
            for record in self.history:
                on_epoch(record)
        if self.config["train_neg_sample_args"].get("dynamic"):
            train_data.get_model(self.model)
        writer = self._tensorboard()
        while not self.is_finished:
            if self._stage_is_over:
                self._next_stage()
            epoch, stage = self.next_epoch, self.stage
            started = time.perf_counter()
            self.seed_epoch(epoch, train_data)
            self.before_epoch(epoch, train_data)
            losses = self._train_epoch(epoch, train_data, show_progress)
            record = {
                "epoch": epoch,
                **({"stage": stage.name} if len(self.stages()) > 1 else {}),
                "loss": losses,
                "train_seconds": time.perf_counter() - started,
            }
            is_best = False
            every = max(1, min(self.config["eval_step"], stage.epochs))
            if stage.is_validated and (epoch + 1 - self.first_epoch) % every == 0:
                record["valid"] = self._validate(valid_data)
                is_best = self._note_score(epoch, record["valid"])
            record["seconds"] = time.perf_counter() - started
            self.history.append(record)
            self.next_epoch = epoch + 1
            self._note_memory()
            self._save(is_best)
            self._report(record, is_best, writer)
            self._call_back(record, is_best)
            if on_epoch:
                on_epoch(record)
        distributed.on_main(lambda: None)  # the others wait until its files are complete
        if writer:
            self._write_hyper_parameters(writer)
            writer.close()
        return self.best_score, self.best_valid

    def stages(self) -> Sequence[Stage]:
        """The stages of this training, the last of them validated; a single one by default.

        Called by the constructor and at every use, so it may read `config` and `model` only. `tune`
        schedules its trials by `epochs`, so the stages' epochs should add up to that number.
        """
        return (Stage(self.title, self.epochs),)

    @property
    def stage(self) -> Stage:
        """The current stage."""
        return self.stages()[self.stage_index]

    @property
    def _stage_is_over(self) -> bool:
        is_last_epoch = self.next_epoch - self.first_epoch >= self.stage.epochs
        return is_last_epoch or self.bad_evaluations > self._option("stopping_step")

    @property
    def is_finished(self) -> bool:
        """Whether the stopping rule or the number of epochs ends the last stage."""
        return self.stage_index == len(self.stages()) - 1 and self._stage_is_over

    def _begin_stage(self, index: int) -> None:
        self.stage_index, self.first_epoch = index, self.next_epoch
        self.best_epoch = -1
        self.best_score = -math.inf if self.bigger else math.inf
        self.best_valid: dict[str, float] = {}
        self.bad_evaluations = 0
        given = self.stage.parameters
        learning = {id(p) for p in (self._learnable if given is None else given)}
        for parameter in self._learnable:
            parameter.requires_grad_(id(parameter) in learning)
            parameter.grad = None
        self._learning = [p for p in self._learnable if p.requires_grad]
        self.optimizer = OPTIMIZERS[self._option("learner").lower()](
            self._learning,
            lr=self._option("learning_rate"),
            weight_decay=self._option("weight_decay"),
        )
        self._average: Average | None = None

    def _next_stage(self) -> None:
        distributed.on_main(lambda: None)  # the others wait until `best.pt` is complete
        if self.stage.is_validated:
            self.load_best()
        self._begin_stage(self.stage_index + 1)
        self.logger.info("stage %s starts", self.stage.name)
        # Before this stage's first `best.pt` overwrites the weights that it starts from.
        self._save(is_best=False)

    def _option(self, key: str) -> Any:
        """The stage's value of a key."""
        return self.stage.options.get(key, self.config[key])

    def schedule(self) -> Schedule:
        """The learning rate of the current stage."""
        return Schedule(
            self._option("lr_schedule"),
            self._option("learning_rate"),
            self.stage.epochs,
            self._option("warmup_epochs"),
            self._option("min_learning_rate"),
        )

    def _averaged(self) -> AbstractContextManager:
        """A context in which the model has the weights to validate and to keep."""
        return nullcontext() if self._average is None else self._average.in_use()

    @property
    def seconds(self) -> float:
        """Total time of all epochs, including those before a resume."""
        return sum(record["seconds"] for record in self.history)

    def approximations(self, train_data) -> list[str]:
        """Approximations in this training, to be listed in every result."""
        lines = ["windows: strided"] if getattr(train_data, "is_strided", False) else []
        if is_recboles(self.config):  # RecBole's error is explained in the model's class
            lines.append("reference: recbole")
        return lines

    def deviations(self, train_data) -> list[str]:
        """Deviations of this training from its model's paper, to be listed in every result."""
        return deviations(self.config, getattr(train_data, "passes", None))

    def check_data(self, train_data) -> None:
        """Hook for checks that depend on the data's size; called before a folder is claimed.

        Raises:
            UserError: an option contradicts the data.
        """

    def before_training(self, train_data, valid_data: RankingLoader, show_progress: bool) -> None:
        """Hook for what precedes the first epoch, such as training or reading other weights.

        Not called by a resumed run.
        """

    def before_epoch(self, epoch: int, train_data) -> None:
        """Hook for what precedes each epoch, such as an E-step.

        All generators are seeded by the epoch, so random choices are the same after a resume.

        Args:
            epoch: its number from 0, counted over all stages.
            train_data: the training batches.
        """

    def extra_state(self) -> dict[str, Any]:
        """What later epochs need besides weights and optimizer, such as the result of an E-step.

        Returns:
            Tensors, numbers, strings, arrays, and containers of these; kept in `last.pt`.
        """
        return {}

    def load_extra_state(self, state: dict[str, Any]) -> None:
        """Restore what `extra_state` returned, in a resumed run."""

    @torch.no_grad()
    def encode_samples(
        self, encode: Callable[[Tensor, Tensor], Tensor], dataset, samples: Tensor
    ) -> Tensor:
        """The vectors (N, d) of training samples' histories, on the CPU, for an E-step.

        Args:
            encode: histories (B, n) of length (B,) -> (B, d), of the model in eval mode.
            dataset: an `IndexedSequentialDataset`.
            samples: (N,) numbers of the samples.
        """
        vectors, places = [], []
        width = None if self.config.spec.trim else dataset.max_item_list_len
        for where, rows in dataset.by_length(samples, _ROWS, width):
            rows = rows.to(self.device)
            with self.autocast():
                encoded = encode(rows[self.model.ITEM_SEQ], rows[self.model.ITEM_SEQ_LEN])
            vectors.append(encoded.float().cpu())
            places.append(where)
        return torch.cat(vectors)[torch.cat(places).argsort()]

    def losses(self, interaction) -> tuple[Tensor, ...]:
        """The parts of a batch's loss in the current stage."""
        parts = (self.stage.losses or self.model.calculate_loss)(interaction)
        return parts if isinstance(parts, tuple) else (parts,)

    def seed_epoch(self, epoch: int, train_data) -> None:
        """Seed all generators for one epoch, so that their states need not be saved."""
        seed = self.config["seed"] * 1_000_003 + epoch
        init_seed(seed % 2**32, self.config["reproducibility"])
        if hasattr(train_data, "set_epoch"):
            train_data.set_epoch(epoch)
        else:
            train_data.generator.manual_seed(seed)
        distributed.seed_own(seed)

    def _train_epoch(self, epoch: int, train_data, show_progress: bool) -> dict[str, float]:
        self.model.train()
        show_progress = show_progress and distributed.is_main()
        # Kept on the device and read rarely, because reading stalls an accelerator.
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        stage, schedule = self.stage, self.schedule()
        names: tuple[str, ...] = stage.loss_names or getattr(self.model, "loss_names", ())
        decay = self._option("ema_decay")
        if decay and self._average is None:
            self._average = Average(self._learning, decay)
        batches = len(train_data)
        left = "" if not self.history else f", at most {self._time_left()} left"
        shown_bar = bar(
            train_data,
            total=batches,
            desc=self._epoch_name(epoch),
            shows=show_progress,
            leave=False,
            dynamic_ncols=True,
        )
        count, hears_batches = 0, self.callbacks.listens("on_batch_end")
        for interaction in shown_bar:
            rate = schedule.rate(epoch - self.first_epoch + count / batches, 1 / batches)
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            self.optimizer.zero_grad(set_to_none=True)
            own_rows = self.split.take(interaction).to(self.device)
            with self.autocast():
                parts = self.losses(own_rows)
            parts = self.split.weigh(parts, self._loss_terms(own_rows))
            reduce(add, parts).backward()
            self.split.sum_gradients(self.model)
            if self.config["clip_grad_norm"]:
                nn.utils.clip_grad_norm_(self.model.parameters(), **self.config["clip_grad_norm"])
            self.optimizer.step()
            if self._average is not None:
                self._average.update()
            # Some of RecBole's losses have shape (1,).
            total = total + torch.stack([part.detach().double().reshape(()) for part in parts])
            count += 1
            if len(names) != len(parts):
                names = tuple(f"loss{i + 1}" for i in range(len(parts)))
            if hears_batches:
                losses = {n: float(part.detach()) for n, part in zip(names, parts, strict=True)}
                self.callbacks.call(
                    "on_batch_end", epoch=epoch + 1, batch=count, batches=batches, loss=losses
                )
            if show_progress and count % 10 == 1:
                # From this process's rows only, taken as representative of all.
                means = (total / count * distributed.count()).tolist()
                shown = " ".join(f"{n} {mean:.4f}" for n, mean in zip(names, means, strict=True))
                shown_bar.set_postfix_str(f"{shown}{self._best_text()}{left}")
        values = self.split.sum(total).tolist()
        if not math.isfinite(sum(values)):
            raise UserError(
                f"epoch {epoch + 1}: the training loss is {sum(values)}; "
                "try a lower --learning_rate or --clip_grad_norm='{max_norm: 1.0}'"
            )
        return {name: value / count for name, value in zip(names, values, strict=True)}

    def _loss_terms(self, interaction) -> tuple[int, ...]:
        is_next_item = isinstance(self.model, NextItemMixin)
        return self.model.loss_terms(interaction) if is_next_item else (len(interaction),)

    def _validate(self, valid_data: RankingLoader) -> dict[str, float]:
        with self._averaged():
            valid = self.evaluate(valid_data)
        return distributed.on_main(lambda: valid)

    def _note_score(self, epoch: int, valid: dict[str, float]) -> bool:
        score = valid[self.metric]
        is_best = score >= self.best_score if self.bigger else score <= self.best_score
        if is_best:
            self.best_score, self.best_epoch, self.best_valid = score, epoch, valid
            self.bad_evaluations = 0
        else:
            self.bad_evaluations += 1
        return is_best

    def _note_memory(self) -> None:
        peak = peak_mib()
        if self.device.type == "cuda":
            peak = torch.cuda.max_memory_allocated(self.device) / 2**20
        self.peak_memory_mib = max(self.peak_memory_mib, peak)

    def _weights(self) -> dict[str, Any]:
        return {
            "state_dict": self.model.state_dict(),
            "other_parameter": self.model.other_parameter(),
        }

    def _counters(self) -> dict[str, int | float]:
        # Numbers that a model keeps in addition to its weights, such as MultiVAE's step count.
        numbers = vars(self.model).items()
        return {name: n for name, n in numbers if type(n) in (int, float) and name[0] != "_"}

    def _save(self, is_best: bool) -> None:
        # The best weights first: after a kill between the two files, this epoch is repeated and
        # finds the same best.
        if is_best:
            with self._averaged():
                self._save_best()
        if self.folder is None or not distributed.is_main():
            return
        save_checkpoint(
            self.folder / LAST,
            {
                **self._weights(),
                "optimizer": self.optimizer.state_dict(),
                "average": None if self._average is None else self._average.state(),
                "extra": self.extra_state(),
                "stage": self.stage_index,
                "first_epoch": self.first_epoch,
                "counters": self._counters(),
                "next_epoch": self.next_epoch,
                "best_epoch": self.best_epoch,
                "best_score": self.best_score,
                "best_valid": self.best_valid,
                "bad_evaluations": self.bad_evaluations,
                "history": self.history,
                "peak_memory_mib": self.peak_memory_mib,
                "pretraining_seconds": self.pretraining_seconds,
            },
        )

    def _save_best(self) -> None:
        weights = self._weights()
        if self.folder is None:
            weights["state_dict"] = {k: v.clone() for k, v in weights["state_dict"].items()}
            self._best_weights = weights
        elif distributed.is_main():
            save_checkpoint(self.folder / BEST, {**weights, "epoch": self.best_epoch})

    def resume(self) -> bool:
        """Resume from the folder's `last.pt`; False if there is none."""
        path = None if self.folder is None else self.folder / LAST
        if path is None or not os.path.lexists(path):
            return False
        remedy = self.remedy
        state = load_checkpoint(path, self.device, keys=_LAST, remedy=remedy)
        self._load_weights(state, path, remedy)
        self._begin_stage(state.get("stage", 0))  # absent from runs older than stages
        self.first_epoch = state.get("first_epoch", 0)
        try:
            self.optimizer.load_state_dict(state["optimizer"])
            if state.get("average"):
                self._average = Average(self._learning, self._option("ema_decay"))
                self._average.load_state(state["average"])
        except (ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
            raise damaged(path, "of another optimizer", remedy) from error
        self.load_extra_state(state.get("extra", {}))
        for name, value in state["counters"].items():
            setattr(self.model, name, value)
        for name in (
            "next_epoch best_epoch best_score best_valid bad_evaluations history peak_memory_mib "
            "pretraining_seconds"
        ).split():
            setattr(self, name, state[name])
        self.logger.info("%s continues after epoch %d", self.folder, self.next_epoch)
        return True

    def load_best(self) -> None:
        """Load the weights of the best epoch into the model."""
        if self.folder is None:
            assert self._best_weights is not None  # some epoch was validated
            self._load_weights(self._best_weights, "memory")
        else:
            self.load_weights(self.folder / BEST, self.remedy)

    def load_weights(self, path: Path, remedy: str = "") -> None:
        """Load the weights of a checkpoint into the model.

        Args:
            path: path of the checkpoint.
            remedy: remedy named in the error if it is damaged.

        Raises:
            UserError: unreadable, or made for another model or dataset.
        """
        state = load_checkpoint(path, self.device, keys=_BEST, remedy=remedy)
        self._load_weights(state, path, remedy)

    def _load_weights(self, state: dict[str, Any], path: Path | str, remedy: str = "") -> None:
        own = self.model.state_dict()
        given = state["state_dict"]
        for name in own.keys() | given.keys():
            shapes = [tuple(d[name].shape) if name in d else None for d in (given, own)]
            if shapes[0] != shapes[1]:
                what = f"made for another model or dataset: {name} is {shapes[0]}, "
                raise damaged(path, f"{what}this run has {shapes[1]}", remedy)
        self.model.load_state_dict(given)
        self.model.load_other_parameter(state["other_parameter"])

    def _tensorboard(self):
        if self.folder is None or not self.config["tensorboard"] or not distributed.is_main():
            return None
        from torch.utils.tensorboard import SummaryWriter

        path = self.folder / "tensorboard"
        try:
            return SummaryWriter(str(path), purge_step=self.next_epoch)
        except OSError as error:
            raise UserError(f"{path}: cannot be written: {error.strerror or error}") from error

    def _report(self, record: dict[str, Any], is_best: bool, writer) -> None:
        losses = " ".join(f"{name} {value:.4f}" for name, value in record["loss"].items())
        text = f"{self._epoch_name(record['epoch'])}: {losses}"
        if "valid" in record:
            text += f", valid {self.metric} {record['valid'][self.metric]:.4f}"
            text += " (best)" if is_best else self._best_text()
        self.logger.info("%s, %.1f s", text, record["seconds"])
        if writer:
            epoch, losses, valid = record["epoch"], record["loss"], record.get("valid", {})
            # RecBole's two curves under RecBole's names, including its misspelling; then all parts.
            writer.add_scalar("Loss/Train", sum(losses.values()), epoch)
            if valid:
                writer.add_scalar("Vaild_score", valid[self.metric], epoch)
            for name, value in losses.items():
                writer.add_scalar(f"Loss/Train/{name}", value, epoch)
            writer.add_scalar("learning_rate", self.optimizer.param_groups[0]["lr"], epoch)
            for name, value in valid.items():
                writer.add_scalar(f"Valid/{name}", value, epoch)
            writer.flush()

    def _call_back(self, record: dict[str, Any], is_best: bool) -> None:
        epoch = record["epoch"] + 1
        if "valid" in record:
            self.callbacks.call(
                "on_evaluation_end", split="valid", epoch=epoch, metrics=record["valid"]
            )
        rate = self.optimizer.param_groups[0]["lr"]
        values = {"valid": {}, **record, "epoch": epoch, "is_best": is_best, "learning_rate": rate}
        self.callbacks.call("on_epoch_end", **values)

    def _write_hyper_parameters(self, writer) -> None:
        # The values of RecBole's HParams tab, under its names, with all metrics of that epoch.
        from torch.utils.tensorboard.summary import hparams

        common = {name for names in self.config.parameters.values() for name in names}
        wanted = {"model", "dataset", "seed", "learner", "learning_rate", "train_batch_size"}
        values = {
            key: value if isinstance(value, bool | int | float | str) else str(value)
            for key, value in self.config.plain().items()
            if key in wanted or key not in common
        }
        metrics = {f"hparam/{name}": value for name, value in self.best_valid.items()}
        metrics["hparam/best_valid_result"] = self.best_score
        # `add_hparams` writes a second file that may sort before the first and is then purged.
        for summary in hparams(values, metrics):
            writer.file_writer.add_summary(summary)
        for name, value in metrics.items():
            writer.add_scalar(name, value)

    def _epoch_name(self, epoch: int) -> str:
        return f"{self.stage.name} {epoch + 1 - self.first_epoch}/{self.stage.epochs}"

    def _best_text(self) -> str:
        if self.best_epoch < 0:
            return ""
        return f", best {self.metric} {self.best_score:.4f} in epoch {self.best_epoch + 1}"

    def _time_left(self) -> str:
        # An upper bound: patience may stop earlier, but not before its remaining evaluations.
        epochs = sum(stage.epochs for stage in self.stages()[self.stage_index :])
        epochs -= self.next_epoch - self.first_epoch
        left = epochs * self.seconds / len(self.history)
        if left < 60:
            return f"{math.ceil(left)} s"
        hours, minutes = divmod(math.ceil(left / 60), 60)
        return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"
