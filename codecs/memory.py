"""Keeps freed memory at hand, for payloads of a megabyte."""

from __future__ import annotations

from functools import cache
from typing import Final

LARGE: Final = 128 * 1024  # bytes; from here glibc may serve a buffer by mmap, see mallopt(3)
_BLOCK: Final = 16 * 1024 * 1024  # bytes; freeing more than 32 MiB has no such effect


@cache
def keep_freed_memory() -> None:
    """Let the C library keep up to 32 MiB of freed memory from now on, in the whole process.

    Otherwise glibc may give each freed megabyte back to the system and fetch it again, page by
    page, which takes several times as long as encrypting it. Freeing a block that was served by
    mmap raises the two thresholds for that; mallopt(3) calls it the dynamic mmap threshold. The
    block itself is never touched, so it costs no memory. Other C libraries ignore it.
    """
    bytes(_BLOCK)
