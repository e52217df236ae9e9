"""Let the C library keep the memory that a batch frees: the next batch asks for as much again."""

import ctypes
import ctypes.util
import functools

# From glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -2, -3, -8
_MIB = 2**20


@functools.cache
def keep_freed_memory() -> bool:
    """Tell glibc to hand freed memory out again instead of giving it back to the system.

    By default glibc maps each large block anew and unmaps it when it is freed, so that every
    intermediate result of a training step costs a page fault for each 4 KiB, and the backward pass,
    which runs in a thread of its own, takes its memory from a second heap. Afterwards the process
    has one heap for all its threads and stays as large as it once was.

    Returns:
        Whether the C library took it. Without glibc, nothing happens.
    """
    name = ctypes.util.find_library("c")
    mallopt = getattr(ctypes.CDLL(name), "mallopt", None) if name else None
    if mallopt is None:
        return False
    # A block of 1 GiB, such as a whole table of vectors, still goes back when it is freed.
    settings = (
        (_M_MMAP_THRESHOLD, 1024 * _MIB),
        (_M_TRIM_THRESHOLD, -1),
        (_M_TOP_PAD, 64 * _MIB),
        (_M_ARENA_MAX, 1),
    )
    taken = [mallopt(option, value) for option, value in settings]
    return all(taken)
