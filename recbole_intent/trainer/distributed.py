"""Distributed training by the processes of `torchrun`, equivalent to a single process.

All processes make the same batches in the same order. Each computes the gradient of its own rows;
the sum of the gradients, weighted by rows, equals that of the whole batch. Only process 0, the main
process, writes files and prints. Without torchrun there is a single process and these functions do
nothing.
"""

import logging
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from recbole.data.interaction import Interaction
from torch import Tensor, nn

from recbole_intent.config.config import Config
from recbole_intent.utils.errors import UserError
from recbole_intent.utils.printable import say

_ENVIRONMENT = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")

# torchrun ends all processes when one dies; until then a process may wait for the main one, which
# itself may wait for another run that trains the same distiller.
_PATIENCE = timedelta(days=7)


def join(config: Config) -> None:
    """Join torchrun's process group, and select this process's GPU if there is one.

    Does nothing outside torchrun or with a single process.

    Args:
        config: configuration of the run; its `device` is set to this process's device.

    Raises:
        UserError: the processes cannot share the device.
    """
    if not is_torchrun():
        return
    device, local = config["device"], int(os.environ["LOCAL_RANK"])
    if device.type == "cuda":
        n_gpus = torch.cuda.device_count()
        if device.index is not None:
            raise UserError(f"device: {device}: torchrun gives each process its own; say cuda")
        if local >= n_gpus:
            raise UserError(f"torchrun --nproc_per_node: this machine has {n_gpus} GPUs, not more")
        config["device"] = torch.device("cuda", local)
        torch.cuda.set_device(local)
    elif device.type != "cpu":
        raise UserError(f"device: {device}: several processes need cpu or cuda")
    if not dist.is_initialized():
        backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
        dist.init_process_group(backend, timeout=_PATIENCE)
    if not is_main():
        logging.getLogger("recbole_intent").setLevel(logging.ERROR)


def leave() -> None:
    """Destroy the process group at the end of the joint work."""
    if dist.is_initialized():
        dist.destroy_process_group()


def is_torchrun() -> bool:
    """Whether torchrun started this process as one of several."""
    return all(name in os.environ for name in _ENVIRONMENT) and int(os.environ["WORLD_SIZE"]) > 1


def count() -> int:
    """Number of processes in the group; 1 without `join`."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Index of this process, 0 .. `count()` - 1."""
    return dist.get_rank() if dist.is_initialized() else 0


def is_main() -> bool:
    """Whether this is the main process, which writes and prints."""
    return rank() == 0


def on_main(function: Callable[[], Any]) -> Any:
    """Call a function in the main process only; all processes wait and get its value."""
    value = [function() if is_main() else None]
    if count() > 1:
        dist.broadcast_object_list(value, src=0)
    return value[0]


def main_alone(context: AbstractContextManager) -> AbstractContextManager:
    """A context, such as a lock, that only the main process enters."""
    return context if is_main() else nullcontext()


def gather(value: Any) -> list[Any]:
    """The values of all processes, in order of rank, in every process."""
    if count() == 1:
        return [value]
    values = [None] * count()
    dist.all_gather_object(values, value)
    return values


def agree(value: Any, what: str) -> None:
    """Raise UserError if a process, for example on another machine, has a different value."""
    if any(other != value for other in gather(value)):
        raise UserError(
            f"{what}: not the same in all processes; the machines need the same dataset and the "
            "same folder of runs, such as those of a shared disk"
        )


def copy_from_main(model: nn.Module) -> None:
    """Copy the main process's weights exactly to the model of each process."""
    if count() > 1:
        for tensor in model.state_dict().values():
            dist.broadcast(tensor, src=0)


def seed_own(seed: int) -> None:
    """Seed torch's generators by `seed` and rank, so that each process draws its own masks.

    The main process keeps its state. So do numpy's and Python's generators in all processes: they
    draw negative and masked items, so all processes make the same batches.
    """
    if rank() > 0:
        torch.manual_seed((seed * 1_000_003 + rank()) % 2**63)


class BatchSplit:
    """This process's part of each training batch, and the sums over all parts.

    Row i belongs to process i modulo their number. If a batch has fewer rows than there are
    processes, a process without a row computes row 0 with weight 0, so that all take the same
    steps. The losses must be means over rows, or over targets of rows.

    Args:
        device: device of the model.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.is_idle = False

    def take(self, batch: Interaction) -> Interaction:
        """This process's rows of a batch that is equal in all processes."""
        if count() == 1:
            return batch
        self.is_idle = rank() >= len(batch)
        rows = slice(1) if self.is_idle else slice(rank(), None, count())
        columns = batch.interaction.items()
        return Interaction({name: column[rows].contiguous() for name, column in columns})

    def weigh(self, parts: tuple[Tensor, ...], terms: Sequence[int]) -> tuple[Tensor, ...]:
        """Losses of these rows, weighted so that their sum over processes is the batch's.

        Args:
            parts: losses, each a mean.
            terms: number of terms averaged in each; one number if it is the same for all.
        """
        if count() == 1:
            return parts
        own = torch.tensor(terms, dtype=torch.float64, device=self.device)
        if self.is_idle:
            own.zero_()
        whole = own.clone()
        dist.all_reduce(whole)
        weights = (own / whole).expand(len(parts))
        return tuple(part * weight for part, weight in zip(parts, weights, strict=True))

    def sum(self, values: Tensor) -> Tensor:
        """Sum of a tensor over the processes."""
        if count() > 1:
            dist.all_reduce(values)
        return values

    def sum_gradients(self, model: nn.Module) -> None:
        """Replace each gradient by its sum over the processes, in a single all-reduce."""
        if count() == 1:
            return
        # All processes took the same steps, so the same parameters have gradients everywhere.
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        flat = self.sum(torch.cat([gradient.reshape(-1) for gradient in gradients]))
        sizes = [gradient.numel() for gradient in gradients]
        for gradient, summed in zip(gradients, flat.split(sizes), strict=True):
            gradient.copy_(summed.view_as(gradient))

    def others(self, rows: Tensor, group: Tensor) -> tuple[Tensor, Tensor]:
        """The same rows of the other processes, for losses that couple rows.

        Args:
            rows: (n, d) of this process; n may differ between processes. Gradients flow to all.
            group: (n,) integers.

        Returns:
            (m, d) and (m,) of all other processes.
        """
        if self.is_idle:
            rows, group = rows[:0], group[:0]
        sizes = _Gather.apply(torch.tensor([len(rows)], device=self.device)).flatten().tolist()
        missing = max(sizes) - len(rows)  # an exchange needs equal shapes
        all_rows = _Gather.apply(F.pad(rows, (0, 0, 0, missing)))
        all_groups = _Gather.apply(F.pad(group, (0, missing)))
        theirs = [(i, size) for i, size in enumerate(sizes) if i != rank()]
        views, groups = (
            torch.cat([part[i, :size] for i, size in theirs]) for part in (all_rows, all_groups)
        )
        return views, groups


class _Gather(torch.autograd.Function):
    """Tensors of one shape from all processes, stacked, with gradients back to each."""

    @staticmethod
    def forward(ctx, own: Tensor) -> Tensor:
        parts = [torch.empty_like(own) for _ in range(count())]
        dist.all_gather(parts, own.contiguous())
        return torch.stack(parts)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        gradient = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(gradient)
        return gradient[rank()]


# --- reporting one error from several processes ----------------------------------------------


def tell_once(message: str) -> None:
    """Print a message to stderr unless another process has already printed one.

    torchrun ends the others as soon as one process fails, so the others wait until it is printed.
    """
    store, claimed, said = _blackboard()
    if store is not None and store.add(claimed, 1) > 1:
        store.wait([said], timedelta(seconds=10))
        return
    say(message, file=sys.stderr, flush=True, lines=True)
    if store is not None:
        store.set(said, "1")


def was_told() -> bool:
    """Whether a process has reported an error; broken connections are then only a consequence."""
    store, _, said = _blackboard()
    return store is not None and store.check([said])


def _blackboard() -> tuple[dist.Store | None, str, str]:
    """torchrun's own store, which is available before and after any failure."""
    key = f"recbole_intent/{os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}"
    if not is_torchrun() or os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return None, key, key
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    store = dist.TCPStore(address, port, is_master=False, timeout=timedelta(seconds=30))
    return store, f"{key}/claimed", f"{key}/said"
