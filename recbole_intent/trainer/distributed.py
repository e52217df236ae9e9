"""One training by several processes of `torchrun`, with the result of one process.

All processes make the same batches in the same order; each computes the gradient of its rows, and
the sum of the gradients, weighted by rows, is that of the whole batch. Process 0, the main one,
alone writes files and speaks. Without torchrun there is one process, and nothing here does
anything.
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

from recbole_intent.config import Config
from recbole_intent.errors import UserError
from recbole_intent.printable import say

_ENVIRONMENT = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")

# torchrun ends all processes when one dies; until then a process may wait for the main one, which
# itself may wait for another run that trains the same distiller.
_PATIENCE = timedelta(days=7)


def join(config: Config) -> None:
    """Meet the other processes that torchrun started, and take this one's GPU where it has one.

    Does nothing without torchrun's environment, or with one process.

    Args:
        config: of the run; its `device` becomes this process's own.

    Raises:
        UserError: a device that the processes cannot share out.
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
    """Part from the other processes, at the end of what they do together."""
    if dist.is_initialized():
        dist.destroy_process_group()


def is_torchrun() -> bool:
    """Whether torchrun started this process as one of several."""
    return all(name in os.environ for name in _ENVIRONMENT) and int(os.environ["WORLD_SIZE"]) > 1


def count() -> int:
    """Number of processes that have met; 1 without `join`."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Number of this process, 0 .. `count()` - 1."""
    return dist.get_rank() if dist.is_initialized() else 0


def is_main() -> bool:
    """Whether this is the process that writes and speaks."""
    return rank() == 0


def on_main(function: Callable[[], Any]) -> Any:
    """Call a function in the main process alone; all wait for it and get its value."""
    value = [function() if is_main() else None]
    if count() > 1:
        dist.broadcast_object_list(value, src=0)
    return value[0]


def main_alone(context: AbstractContextManager) -> AbstractContextManager:
    """A context, such as a lock, that the main process alone enters."""
    return context if is_main() else nullcontext()


def gather(value: Any) -> list[Any]:
    """The values of all processes, in their order, for all of them."""
    if count() == 1:
        return [value]
    values = [None] * count()
    dist.all_gather_object(values, value)
    return values


def agree(value: Any, what: str) -> None:
    """Raise UserError where a process on another machine has another value than the main one."""
    if any(other != value for other in gather(value)):
        raise UserError(
            f"{what}: not the same in all processes; the machines need the same dataset and the "
            "same folder of runs, such as those of a shared disk"
        )


def copy_from_main(model: nn.Module) -> None:
    """Give the model of each process the weights of the main one's, to the bit."""
    if count() > 1:
        for tensor in model.state_dict().values():
            dist.broadcast(tensor, src=0)


def seed_own(seed: int) -> None:
    """Give each process masks of its own: seed torch's generators by `seed` and its number.

    The main one keeps its state. So do those of numpy and Python in all, which draw negative and
    masked items, so that all processes make the same batches.
    """
    if rank() > 0:
        torch.manual_seed((seed * 1_000_003 + rank()) % 2**63)


class BatchSplit:
    """This process's part of each training batch, and the sums over all parts.

    Row i belongs to process i modulo their number. A process without a row, in a batch that has
    fewer rows than there are processes, computes row 0 with weight 0, so that all go through the
    same steps. The losses must be means over rows, or over targets of rows.

    Args:
        device: of the model.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.is_idle = False

    def take(self, batch: Interaction) -> Interaction:
        """This process's rows of a batch that all processes have made alike."""
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
            terms: of how many terms each is the mean; one number if it is the same for all.
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
        """Put the sum over the processes in the place of each gradient, in one exchange."""
        if count() == 1:
            return
        # Which parameters have one is the same everywhere: all went through the same steps.
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        flat = self.sum(torch.cat([gradient.reshape(-1) for gradient in gradients]))
        sizes = [gradient.numel() for gradient in gradients]
        for gradient, summed in zip(gradients, flat.split(sizes), strict=True):
            gradient.copy_(summed.view_as(gradient))

    def others(self, rows: Tensor, group: Tensor) -> tuple[Tensor, Tensor]:
        """What the other processes have in the same place, for losses that couple rows.

        Args:
            rows: (n, d) of this process, n its own; gradients flow back to all.
            group: (n,) integers.

        Returns:
            (m, d) and (m,) of all others.
        """
        if self.is_idle:
            rows, group = rows[:0], group[:0]
        sizes = _Gather.apply(torch.tensor([len(rows)], device=self.device)).flatten().tolist()
        missing = max(sizes) - len(rows)  # an exchange wants equal shapes
        all_rows = _Gather.apply(F.pad(rows, (0, 0, 0, missing)))
        all_groups = _Gather.apply(F.pad(group, (0, missing)))
        theirs = [(i, size) for i, size in enumerate(sizes) if i != rank()]
        return tuple(
            torch.cat([part[i, :size] for i, size in theirs]) for part in (all_rows, all_groups)
        )


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


# --- how several processes say one mistake ---------------------------------------------------


def tell_once(message: str) -> None:
    """Print a message to stderr, unless another process has told one: the first speaks for all.

    torchrun ends the others as soon as one process fails, so the others wait until it is said.
    """
    store, claimed, said = _blackboard()
    if store is not None and store.add(claimed, 1) > 1:
        store.wait([said], timedelta(seconds=10))
        return
    say(message, file=sys.stderr, flush=True, lines=True)
    if store is not None:
        store.set(said, "1")


def was_told() -> bool:
    """Whether a process has told a mistake: broken connections are then nothing but its echo."""
    store, _, said = _blackboard()
    return store is not None and store.check([said])


def _blackboard() -> tuple[dist.Store | None, str, str]:
    """The store that torchrun itself keeps, which is there before and after any failure."""
    key = f"recbole_intent/{os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}"
    if not is_torchrun() or os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return None, key, key
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    store = dist.TCPStore(address, port, is_master=False, timeout=timedelta(seconds=30))
    return store, f"{key}/claimed", f"{key}/said"
