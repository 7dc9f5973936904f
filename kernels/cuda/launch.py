"""How every CUDA kernel is launched: one thread per element of an index space of one or two dimensions."""

from __future__ import annotations

from typing import Any

__all__ = ["launch"]

_THREADS = 256
_TILE = (16, 16)


def launch(kernel: Any, shape: int | tuple[int, int], *arguments: Any) -> None:
    """Run `kernel` with at least one thread for each index below `shape`; the kernel skips those beyond."""
    if isinstance(shape, int):
        kernel[max(1, -(-shape // _THREADS)), min(_THREADS, max(1, shape))](*arguments)
        return
    block = tuple(min(size, limit) for size, limit in zip(shape, _TILE, strict=True))
    grid = tuple(-(-size // threads) for size, threads in zip(shape, block, strict=True))
    kernel[grid, block](*arguments)
