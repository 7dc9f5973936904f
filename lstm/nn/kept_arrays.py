"""Arrays that are reused in the next pass: new memory would cost as much as computing its contents."""

from __future__ import annotations

from types import ModuleType
from typing import Any

__all__ = ["KeptArrays"]


class KeptArrays:
    """One array for each role and shape, made when it is first asked for.

    Parameters
    ----------
    ops : module
    dtype : {"float32", "float64"}
    """

    def __init__(self, ops: ModuleType, dtype: str):
        self._ops = ops
        self._dtype = dtype
        self._arrays: dict[tuple[str, tuple[int, ...]], Any] = {}

    def get(self, role: str, *shape: int) -> Any:
        """Return the array, with whatever was last written to it."""
        if (role, shape) not in self._arrays:
            self._arrays[role, shape] = self._ops.empty(shape, self._dtype)
        return self._arrays[role, shape]

    def clear(self) -> None:
        """Release all arrays."""
        self._arrays.clear()
