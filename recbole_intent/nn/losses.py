"""Losses of next-item models: softmax cross-entropy over all items, and InfoNCE between views."""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

# A strip of logits that fits in the cache is written, exponentiated and multiplied without going
# back to memory. It shares the cache with the item vectors, their gradients and other programs'
# data: with 12,000 items, strips of 3 to 6 MiB took 20 to 25 % less time than 16 MiB, in a cache of
# 32 MiB (`python -m benchmarks.losses`). On an accelerator, a few large products are faster than
# many small ones.
_CPU_STRIP_BYTES = 4 * 2**20
_ACCELERATOR_STRIP_BYTES = 512 * 2**20

# With a million items one row alone is 4 MB. Matrix products of only a few rows are bound by
# reading `weight` again for each strip, so a strip has at least this many rows, up to the limit.
_MIN_STRIP_ROWS = 64
_MAX_STRIP_BYTES = 256 * 2**20


def linear_cross_entropy(
    hidden: Tensor,
    weight: Tensor,
    target: Tensor,
    *,
    sample_weight: Tensor | None = None,
    temperature: float = 1.0,
    label_smoothing: float = 0.0,
    chunk_size: int | None = None,
) -> Tensor:
    """Softmax cross-entropy of the logits `hidden @ weight.T` without materialising all of them.

    It processes strips of rows and computes the gradients together with the loss (the backward
    pass only scales them), so no N x V tensor ever exists and each logit is computed once. It
    computes in float32 or higher, under autocast too.

    Args:
        hidden: (N, d) vectors that score the items, N >= 1.
        weight: (V, d) item vectors, such as `nn.Embedding.weight` or a slice of it.
        target: (N,) int64, the true item of each row, in 0 .. V - 1.
        sample_weight: (N,) w_i, any finite numbers. None: 1 / N for every row.
        temperature: > 0; logits are divided by it.
        label_smoothing: s, 0 <= s < 1, the share of each label that is spread over all V items.
        chunk_size: rows per strip, >= 1. None: chosen for the device.

    Returns:
        Scalar sum_i w_i * (logsumexp_v(logit_iv) - (1 - s) logit_i,target - s mean_v(logit_iv)),
        differentiable once in `hidden`, `weight` and `sample_weight`.

    Raises:
        ValueError: mismatched shapes, no rows, `temperature` or `chunk_size` not positive, or
            `label_smoothing` out of range.

    Source: IGR-SR, L_rec; equal to `F.cross_entropy(hidden @ weight.T / temperature, target,
    label_smoothing=label_smoothing)`.
    """
    n_rows, n_items = len(hidden), len(weight)
    if hidden.dim() != 2 or weight.dim() != 2 or hidden.shape[1] != weight.shape[1]:
        raise ValueError(
            f"hidden (N, d) and weight (V, d) do not fit: {hidden.shape}, {weight.shape}"
        )
    if target.shape != (n_rows,):
        raise ValueError(f"target must be ({n_rows},), one item a row, not {target.shape}")
    if n_rows == 0:
        raise ValueError("cross-entropy of no rows is undefined: hidden is empty")
    if sample_weight is not None and sample_weight.shape != (n_rows,):
        raise ValueError(f"sample_weight must be ({n_rows},), not {sample_weight.shape}")
    if temperature <= 0:
        raise ValueError(f"temperature must be positive, not {temperature}")
    if not 0 <= label_smoothing < 1:
        raise ValueError(f"label_smoothing must be from 0 to below 1, not {label_smoothing}")
    if chunk_size is None:
        chunk_size = _strip_rows(n_items, hidden.device)
    elif chunk_size < 1:
        raise ValueError(f"chunk_size must be at least 1, not {chunk_size}")

    dtype = _at_least_float32(hidden, weight)
    if sample_weight is None:
        sample_weight = torch.full((n_rows,), 1 / n_rows, dtype=dtype, device=hidden.device)
    with torch.autocast(hidden.device.type, enabled=False):
        hidden = hidden.to(dtype) if temperature == 1 else hidden.to(dtype) / temperature
        weight, sample_weight = weight.to(dtype), sample_weight.to(dtype)
        loss = _LinearCrossEntropy.apply(
            hidden, weight, target, sample_weight, chunk_size, torch.is_grad_enabled()
        )
        if label_smoothing:
            # The mean of a row's logits is the logit of the mean item: no strip is needed.
            above_mean = (hidden * (weight[target] - weight.mean(dim=0))).sum(dim=1)
            loss = loss + label_smoothing * torch.dot(sample_weight, above_mean)
        return loss


def _at_least_float32(first: Tensor, second: Tensor) -> torch.dtype:
    """The dtype for multiplying two tensors such that sums over many items stay accurate."""
    return torch.promote_types(torch.promote_types(first.dtype, second.dtype), torch.float32)


def _strip_rows(n_items: int, device: torch.device) -> int:
    """Rows per strip of logits, for a catalogue of `n_items` on `device`."""
    row_bytes = 4 * n_items
    strip_bytes = _CPU_STRIP_BYTES if device.type == "cpu" else _ACCELERATOR_STRIP_BYTES
    at_least = min(_MIN_STRIP_ROWS, _MAX_STRIP_BYTES // row_bytes)
    return max(1, at_least, strip_bytes // row_bytes)


class _LinearCrossEntropy(torch.autograd.Function):
    """The computation behind `linear_cross_entropy`; all floats have one dtype."""

    @staticmethod
    def forward(ctx, hidden, weight, target, sample_weight, strip_rows, grad_enabled):
        n_rows, n_items = len(hidden), len(weight)
        # Gradients are always off inside `forward`, so the caller passes whether they are enabled.
        wants_hidden = grad_enabled and ctx.needs_input_grad[0]
        wants_weight = grad_enabled and ctx.needs_input_grad[1]
        grad_hidden = torch.empty_like(hidden) if wants_hidden else None
        grad_weight = torch.zeros_like(weight) if wants_weight else None

        losses = hidden.new_empty(n_rows)
        buffer = hidden.new_empty(min(strip_rows, n_rows), n_items)

        for start in range(0, n_rows, strip_rows):
            rows = slice(start, min(start + strip_rows, n_rows))
            h, y, w = hidden[rows], target[rows], sample_weight[rows]  # (c, d), (c,), (c,)
            strip = buffer[: len(h)]  # (c, V)
            torch.mm(h, weight.t(), out=strip)
            target_logit = strip.gather(1, y[:, None]).squeeze(1)
            # One fused softmax is faster than separate subtraction, exponentiation and sum.
            # The largest logit and its probability give the normaliser that it hides.
            peak = strip.amax(dim=1)
            torch.softmax(strip, dim=1, out=strip)
            losses[rows] = peak - strip.amax(dim=1).log() - target_logit

            if wants_hidden:
                out = grad_hidden[rows]
                torch.mm(strip, weight, out=out)
                out.sub_(weight[y]).mul_(w[:, None])
            if wants_weight:
                grad_weight.addmm_(strip.t(), h * w[:, None])
        if wants_weight:
            grad_weight.index_add_(0, target, hidden * sample_weight[:, None], alpha=-1)

        ctx.save_for_backward(grad_hidden, grad_weight, losses)
        return torch.dot(sample_weight, losses)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_output):
        saved = ctx.saved_tensors
        wanted = (ctx.needs_input_grad[0], ctx.needs_input_grad[1], ctx.needs_input_grad[3])
        hidden, weight, sample_weight = (
            kept * grad_output if want else None for kept, want in zip(saved, wanted, strict=True)
        )
        return hidden, weight, None, sample_weight, None, None


def info_nce(
    view_1: Tensor,
    view_2: Tensor,
    temperature: float,
    *,
    group: Tensor | None = None,
    others: tuple[Tensor, Tensor] | None = None,
    symmetric: bool = False,
    within: bool = False,
    similarity: str = "cos",
) -> Tensor:
    """InfoNCE between two views of the rows of one batch.

    Row i of `view_1` is the anchor, row i of `view_2` its positive, and the rows of `view_2` in
    other groups are its negatives.

    Args:
        view_1: (B, d) anchors, B >= 1.
        view_2: (B, d) positives and negatives.
        temperature: tau > 0.
        group: (B,) int, the class of each row, such as its user: rows of one class are not
            negatives of each other. None: all rows are of different classes.
        others: (M, d) further negatives, M >= 0, and (M,) their groups; requires `group`.
        symmetric: also use `view_2` as anchors and average both directions.
        within: rows of the anchor's own view, in other groups, are negatives too. With `symmetric`
            this is NT-Xent: each of the 2 B vectors against all others.
        similarity: `cos`, or `dot`: the inner product.

    Returns:
        Scalar, the mean over the rows of -log(exp(s_ii / tau) / sum_j exp(s_ij / tau)).

    Raises:
        ValueError: mismatched shapes, no rows, `temperature` not positive, `others` without
            `group`, with `symmetric` or with `within`, or an unknown `similarity`.

    Source: IGR-SR, equation (10), which is one direction (`symmetric=False`); NT-Xent: Chen et
    al., "A Simple Framework for Contrastive Learning of Visual Representations", ICML 2020, (1).
    """
    n_rows = len(view_1)
    if view_1.dim() != 2 or view_1.shape != view_2.shape:
        raise ValueError(f"views must be two (B, d), not {view_1.shape} and {view_2.shape}")
    if n_rows == 0:
        raise ValueError("InfoNCE of no rows is undefined: the views are empty")
    if group is not None and group.shape != (n_rows,):
        raise ValueError(f"group must be ({n_rows},), one user a row, not {group.shape}")
    if temperature <= 0:
        raise ValueError(f"temperature must be positive, not {temperature}")
    if similarity not in ("cos", "dot"):
        raise ValueError(f"similarity must be cos or dot, not {similarity!r}")
    candidates, candidate_group = view_2, group
    if others is not None:
        if group is None or symmetric or within:
            raise ValueError("others need the rows' group, and have no view of their own to anchor")
        candidates = torch.cat([view_2, others[0]])
        candidate_group = torch.cat([group, others[1]])

    dtype = _at_least_float32(view_1, view_2)
    with torch.autocast(view_1.device.type, enabled=False):
        first, second = view_1.to(dtype), candidates.to(dtype)
        if similarity == "cos":
            first, second = F.normalize(first, dim=1), F.normalize(second, dim=1)
        across = first @ second.t() / temperature  # (B, B + M)
        inside = [view @ view.t() / temperature for view in (first, second) if within]
    positive = torch.arange(n_rows, device=view_1.device)
    own = positive[:, None] == positive
    if group is not None and candidate_group is not None:
        same = group[:, None] == candidate_group[None, :]
        inside = [logits.masked_fill(same | own, float("-inf")) for logits in inside]
        across = across.masked_fill(same.fill_diagonal_(False), float("-inf"))
    else:
        inside = [logits.masked_fill(own, float("-inf")) for logits in inside]
    loss = F.cross_entropy(torch.cat([across, *inside[:1]], dim=1), positive)
    if symmetric:
        back = F.cross_entropy(torch.cat([across.t(), *inside[1:]], dim=1), positive)
        loss = (loss + back) / 2
    return loss


def sampled_binary_cross_entropy(
    hidden: Tensor, weight: Tensor, target: Tensor, negatives: Tensor
) -> Tensor:
    """Binary cross-entropy of targets against sampled negatives.

    Args:
        hidden: (N, d) vectors that score the items, N >= 1.
        weight: (V, d) item vectors.
        target: (N,) int64 true items.
        negatives: (N, S) int64 other items.

    Returns:
        Scalar, the mean over the rows of -log σ(s_target) - sum_j log(1 - σ(s_j)).

    Source: Kang and McAuley, "Self-Attentive Sequential Recommendation", ICDM 2018, 3.5.
    """
    items = torch.cat([target[:, None], negatives], dim=1)
    score = (F.embedding(items, weight) @ hidden.unsqueeze(-1)).squeeze(-1)  # (N, 1 + S)
    # -log σ(s) = softplus(-s), -log(1 - σ(s)) = softplus(s)
    return (F.softplus(-score[:, 0]) + F.softplus(score[:, 1:]).sum(dim=1)).mean()


def random_others(target: Tensor, n: int, count: int = 1) -> Tensor:
    """Numbers (N, count) drawn uniformly from 1 .. n - 1 without each row's target (N,); n >= 3."""
    drawn = torch.randint(1, n - 1, (len(target), count), device=target.device)
    return drawn + (drawn >= target[:, None])


def soft_target_alignment(view_1: Tensor, view_2: Tensor) -> Tensor:
    """Cross-entropy between inner products of two views and targets softened by the views' own.

    Args:
        view_1: X (B, d), B >= 1.
        view_2: Y (B, d), the same rows.

    Returns:
        Scalar: with logits X Yᵀ and targets softmax(½ (X Xᵀ + Y Yᵀ)), the mean over the rows and
        the columns of the logits.

    Raises:
        ValueError: mismatched shapes, or no rows.

    Source: ISRF's released code, in place of its equations (8) and (9).
    """
    if view_1.dim() != 2 or view_1.shape != view_2.shape or len(view_1) == 0:
        raise ValueError(f"views must be two (B, d), B >= 1: {view_1.shape}, {view_2.shape}")
    dtype = _at_least_float32(view_1, view_2)
    with torch.autocast(view_1.device.type, enabled=False):
        x, y = view_1.to(dtype), view_2.to(dtype)
        logits = x @ y.t()  # (B, B)
        # Symmetric up to rounding, and so are the targets before the softmax.
        target = ((x @ x.t() + y @ y.t()) / 2).softmax(dim=1).detach()
        return (F.cross_entropy(logits, target) + F.cross_entropy(logits.t(), target)) / 2
