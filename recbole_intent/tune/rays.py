"""Run the trials of a search in parallel with Ray Tune.

All that a restart needs is in the ledger and in the trials' folders, so a kill at any moment loses
only the epochs in progress. `adapters.py` says why Ray's own snapshots do not do.
"""

import logging
import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from packaging.version import Version

from recbole_intent.config.config import Config
from recbole_intent.tune.ledger import Ledger
from recbole_intent.utils.errors import UserError
from recbole_intent.utils.files import write_text
from recbole_intent.utils.printable import printable

_LOGGER = logging.getLogger("recbole_intent")

_OLDEST = "2.60"
_STORE_BYTES = 100 * 2**20  # Ray's minimum is 75 MiB; nothing large goes through Ray
_PREFIX = "recbole_intent-ray-"
_ATTEMPTS = 3  # Ray gives its processes 30 seconds, which a busy machine may exceed

# Read by Ray on import and by the processes that it starts.
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C ends the search at once; nothing is lost
    "TUNE_WARN_THRESHOLD_S": "60",
}
# Settings under which Ray does not expect a cluster and listens on loopback only.
_LOCAL = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_worker_niceness": "0",  # by default Ray lowers the priority of its workers
}


def _cores() -> int:
    """CPU cores that this process may use; on macOS, all cores of the machine."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(frozen=True)
class Engine:
    """Resources per trial and the Ray cluster that provides them.

    Attributes:
        cpu: CPUs per trial, may be a fraction.
        gpu: GPUs per trial, may be a fraction.
        address: address of a Ray cluster; None starts a private one on this machine.
    """

    cpu: float
    gpu: float
    address: str | None = None


@dataclass(frozen=True)
class Task:
    """Settings common to all trials, sent to their processes.

    Attributes:
        model, dataset, files, overrides, allow_unknown: as `experiment.run`.
        folder: absolute path of the search folder.
        cwd: base of relative paths in the configuration.
        threads: CPU threads per trial.
        device: device of a trial.
        callbacks: paths of the callbacks of each trial.
    """

    model: str
    dataset: str
    files: tuple[str, ...]
    overrides: Mapping[str, Any]
    allow_unknown: bool
    folder: Path
    cwd: str
    threads: int
    device: str
    callbacks: Sequence[str] = ()

    def trial_folder(self, index: int) -> Path:
        """The run folder of a trial."""
        return self.folder / "trials" / f"{index:04d}"

    def trial_overrides(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The typed values of a trial's configuration."""
        own = {"device": self.device, "threads": self.threads, "show_progress": False}
        return {**self.overrides, **params, **own}

    def config(self, params: Mapping[str, Any], device: str | None = None) -> Config:
        """The configuration of a trial.

        Args:
            params: the trial's parameters.
            device: replaces the trial's device if the configuration is only inspected.

        Raises:
            UserError: an invalid value.
        """
        values = {**self.trial_overrides(params), "device": device or self.device}
        return Config(self.model, self.dataset, self.files, values, self.allow_unknown)


def parse_engine(resources: str, address: str | None, device: str) -> Engine:
    """Parse the resources of a trial, such as `cpu=1,gpu=0.25`.

    Args:
        resources: as above; empty: one CPU, and one GPU if available.
        address: address of a Ray cluster, or None.
        device: auto, cpu or cuda.

    Raises:
        UserError: a malformed text, or a GPU requested with `device: cpu`.
    """
    import torch

    has_gpu = torch.cuda.is_available() and device in ("auto", "cuda")
    wanted = {"cpu": 1.0, "gpu": 1.0 if has_gpu or device == "cuda" else 0.0}
    if device not in ("auto", "cpu", "cuda"):
        raise UserError(f"--device={device}: Ray hands out the GPUs; say --resources=gpu=… instead")
    for part in filter(None, resources.split(",")):
        name, _, text = part.strip().partition("=")
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        is_small_or_whole = value <= 1 or value == int(value) if value >= 0 else False
        if name not in wanted or not is_small_or_whole or (name == "cpu" and value == 0):
            raise UserError(
                f"--resources={resources}: {part.strip()!r} is not cpu=N or gpu=N "
                "(above 1 only whole numbers; cpu above 0)"
            )
        wanted[name] = value
    if device == "cpu" and wanted["gpu"]:
        raise UserError(f"--resources={resources}: asks for a GPU, and --device=cpu for none")
    return Engine(wanted["cpu"], wanted["gpu"], address)


def require_ray(address: str | None) -> None:
    """Set up Ray's environment, before anything imports Ray.

    Args:
        address: address of a cluster; None: Ray on this machine, unreachable from others.

    Raises:
        UserError: Ray Tune is missing or too old (the message gives the install command), or
            nothing answers at the address.
    """
    command = f"pip install 'ray[tune]>={_OLDEST}'"
    try:
        installed = version("ray")
    except PackageNotFoundError as error:
        raise UserError(f"tune needs Ray Tune: {command}") from error
    if Version(installed) < Version(_OLDEST):
        raise UserError(f"Ray {installed} is too old for tune: {command} (RecBole runs with it)")
    os.environ.update(_QUIET)
    if address is None:
        os.environ.update(_LOCAL)
    elif address != "auto":
        _require_answer(address)


def _require_answer(address: str) -> None:
    """Raise UserError if nothing listens there: Ray itself would retry for many minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        raise UserError(f"--address={address}: is not HOST:PORT, ray://HOST:PORT or auto")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise UserError(f"--address={address}: no answer ({error})") from error


@contextmanager
def _own_token() -> Iterator[None]:
    """Let Ray use a new token for the block; otherwise it writes one to the home folder.

    Ray keeps in memory the mode and the token that its first start in this process has read, so
    both are read again, here and after the block.
    """
    from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]

    own = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    before = {name: os.environ.get(name) for name in own}

    def read_again() -> None:
        Config.initialize("")
        AuthenticationTokenLoader.instance().reset_cache()

    os.environ.update(own)
    read_again()
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        read_again()


@contextmanager
def ray_running(engine: Engine, folder: Path) -> Iterator[Path]:
    """Start a private Ray, or connect to a cluster, for the duration of the block.

    Args:
        engine: resources per trial and cluster address.
        folder: folder of the search.

    Yields:
        A temporary folder for Ray's files, removed at the end.

    Raises:
        UserError: Ray does not start, the cluster does not answer, or no node has the resources
            of a trial.
    """
    remove_leftovers(folder)
    is_local = engine.address is None
    temporary = Path(tempfile.mkdtemp(prefix=_PREFIX)) if is_local else folder / "ray"
    write_text(folder / "ray-temporary", f"{temporary}\n")
    import ray

    stack = ExitStack()
    stack.callback(remove_leftovers, folder)
    if is_local:
        stack.enter_context(_own_token())
    stack.callback(ray.shutdown)
    with stack:
        _LOGGER.info("starting Ray …" if is_local else "connecting to Ray …")
        for left in reversed(range(_ATTEMPTS)):
            try:
                _start(engine.address, temporary)
                break
            except Exception as error:  # Ray raises plain Exception if its processes are late
                reason = printable(error).partition(". ")[0] or type(error).__name__
                is_late = "timed out" in reason or "Failed to start GCS" in reason
                if left and is_local and is_late:
                    _LOGGER.info("%s; trying again …", reason)
                    ray.shutdown()
                    continue
                where = "Ray does not start" if is_local else f"--address={engine.address}"
                raise UserError(f"{where}: {reason}; the same command tries again") from error
        _require_resources(engine, ray.nodes())
        yield temporary


def _start(address: str | None, temporary: Path) -> None:
    import ray

    if address is not None:
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
        return
    ray.init(
        num_cpus=_cores(),
        include_dashboard=False,
        object_store_memory=_STORE_BYTES,
        log_to_driver=False,
        logging_level=logging.CRITICAL,
        _node_ip_address="127.0.0.1",
        _temp_dir=str(temporary),  # short path: it contains sockets
    )


def remove_leftovers(folder: Path) -> None:
    """Remove the files that Ray wrote for this search, even if it was killed."""
    note = folder / "ray-temporary"
    if note.is_file():
        with suppress(OSError, ValueError):  # damaged note: leftovers unknown
            left = Path(note.read_text("utf-8").strip())
            is_ours = left.parent == Path(tempfile.gettempdir()) and left.name.startswith(_PREFIX)
            if is_ours or left == folder / "ray":
                shutil.rmtree(left, ignore_errors=True)
        with suppress(OSError):  # may run while an error propagates
            note.unlink()


def _require_resources(engine: Engine, nodes: Sequence[Mapping[str, Any]]) -> None:
    has = [
        (n["Resources"].get("CPU", 0), n["Resources"].get("GPU", 0)) for n in nodes if n["Alive"]
    ]
    if not any(engine.cpu <= cpu and engine.gpu <= gpu for cpu, gpu in has):
        shown = "; ".join(f"cpu={cpu:g},gpu={gpu:g}" for cpu, gpu in has)
        raise UserError(
            f"--resources=cpu={engine.cpu:g},gpu={engine.gpu:g}: no machine has that much ({shown})"
        )


def run_trials(task: Task, engine: Engine, searcher, scheduler, limit: int, storage: Path) -> None:
    """Run all unfinished trials to their end; Ray must be running.

    Args:
        task: settings common to all trials.
        engine: resources per trial.
        searcher: `adapters.LedgerSearcher`.
        scheduler: `adapters.LedgerScheduler`.
        limit: most trials that the searcher may give.
        storage: a folder for Ray's files.
    """
    from ray import tune

    logging.getLogger("ray").setLevel(logging.CRITICAL)  # failures are in the ledger
    tuner = tune.Tuner(
        tune.with_resources(
            tune.with_parameters(train_trial, task=task), {"cpu": engine.cpu, "gpu": engine.gpu}
        ),
        tune_config=tune.TuneConfig(num_samples=limit, search_alg=searcher, scheduler=scheduler),
        run_config=tune.RunConfig(
            name="ray",
            storage_path=str(storage),
            verbose=0,  # Ray's reporter forgets the trials before a restart; see `report.Watch`
            failure_config=tune.FailureConfig(max_failures=0, fail_fast=False),
        ),
    )
    tuner.fit()


def train_trial(given: Mapping[str, Any], task: Task) -> None:
    """Train one trial in its own process and report each evaluated epoch.

    Args:
        given: `{"index": i}`; the rest is in the ledger.
        task: settings common to all trials.
    """
    from ray import tune

    from recbole_intent.runs.experiment import train

    if not task.folder.is_dir():
        raise UserError(
            f"{task.folder}: not there on this machine; on a cluster, --output, data_path and "
            "checkpoint_dir must lie on storage that all machines share"
        )
    os.chdir(task.cwd)
    trial = Ledger(task.folder / "ledger.jsonl").trials()[given["index"]]
    seconds = 0.0

    def on_epoch(record: dict[str, Any]) -> None:
        nonlocal seconds
        seconds += record["seconds"]
        if "valid" in record:  # epochs before an interruption too, which the scheduler knows
            epoch = record["epoch"] + 1
            tune.report({"epoch": epoch, "valid": record["valid"], "seconds": seconds})

    train(task.config(trial.params), task.trial_folder(trial.index), on_epoch, task.callbacks)
    tune.report({"finished": True})
