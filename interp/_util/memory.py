"""Memory of a process of our own: freed blocks are used again, in place of being given back and asked for anew."""

from __future__ import annotations

import ctypes
import gc
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # https://man7.org/linux/man-pages/man3/mallopt.3.html
LARGEST = 1 << 30  # bytes of a block


def keep_freed_memory() -> None:
    """Let glibc keep freed blocks for the next tensors; elsewhere nothing happens.

    A fresh block of tens of megabytes is cleared page by page when it is first written: that takes two thirds of the time of an
    elementwise operation. A process that holds more of the user's than ours (a notebook) should give memory back, so only the
    command line does this.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (
        AttributeError,
        OSError,
        TypeError,
    ):  # another C library, or Windows, which has no name for the process itself
        return
    mallopt(M_MMAP_THRESHOLD, LARGEST)
    mallopt(M_TRIM_THRESHOLD, 2 * LARGEST - 1)


def give_back() -> None:
    """Collect garbage, and hand the memory that is free back to the system where the C library can (glibc).

    Networks that are run one after the other leave heaps full of holes, which glibc keeps: the process grows although nothing
    is held.
    """
    gc.collect()
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        trim(0)
