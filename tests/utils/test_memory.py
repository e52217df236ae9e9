"""Freed memory is handed out again."""

import subprocess
import sys

# In a process of its own: the setting is the whole process's and cannot be taken back.
_FAULTS = """
import resource, sys, torch
from recbole_intent.utils.memory import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
layer = torch.nn.Linear(256, 1024)
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.nn.functional.gelu(layer(torch.ones(4_000, 256))).sum().backward()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(sum([faults() for _ in range(20)][10:]))
"""


def test_later_batches_of_the_same_size_fault_no_pages():
    """Forward and backward, which run in two threads, on tensors of 16 MB."""
    kept, default = (
        int(subprocess.check_output([sys.executable, "-c", _FAULTS, how]))
        for how in ("keep", "default")
    )
    assert default > 4_000  # pages of 4 KiB, of one tensor at least
    assert kept < default / 3  # a gap that one more block does not fit may still open late
