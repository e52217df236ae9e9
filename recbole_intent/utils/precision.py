"""Reduced-precision matrix products: settings, and checks that the CPU supports them."""

import functools
import logging
from pathlib import Path

import torch

_CPU_INFO = Path("/proc/cpuinfo")
_LOGGER = logging.getLogger("recbole_intent")


@functools.cache
def cpu_multiplies_bf16() -> bool:
    """Return whether this CPU has bf16 instructions, without which bf16 is slower than fp32."""
    asked = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # x86, by torch's own names
    if any(getattr(torch.cpu, name, bool)() for name in asked):
        return True
    try:
        lines = _CPU_INFO.read_text("utf-8", errors="replace").splitlines()
    except OSError:  # not Linux
        return False
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return not {"avx512_bf16", "amx_bf16", "bf16"}.isdisjoint(flags.split())


def set_matmul_precision(asked: str, device: torch.device) -> str:
    """Set the precision of fp32 matrix products for the whole process.

    Args:
        asked: highest, high or medium; `medium` lets a CPU with bf16 instructions, and a GPU with
            TF32 or better, use reduced precision.
        device: the run's device.

    Returns:
        The precision used: `highest` instead of `medium` on a CPU that would only be slower.
    """
    used = asked
    if asked == "medium" and device.type == "cpu" and not cpu_multiplies_bf16():
        used = "highest"
        _LOGGER.warning(
            "matmul_precision: this CPU has no bf16 instructions, so that medium would be slower; "
            "highest is used, and the result says so"
        )
    torch.set_float32_matmul_precision(used)
    return used


def warn_of_slow_bf16(key: str, device: torch.device) -> None:
    """Warn that bf16 is slow on a CPU without bf16 instructions; it is used anyway."""
    if device.type == "cpu" and not cpu_multiplies_bf16():
        _LOGGER.warning("%s: this CPU has no bf16 instructions; fp32 is faster here", key)
