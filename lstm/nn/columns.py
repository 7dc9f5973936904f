"""Columns of one array copied into another, on any backend."""

from __future__ import annotations

from types import ModuleType
from typing import Any

__all__ = ["copy_columns"]


def copy_columns(
    ops: ModuleType,
    source: Any,
    destination: Any,
    *,
    source_column: int = 0,
    destination_column: int = 0,
    columns: int | None = None,
    accumulate: bool = False,
) -> None:
    """Copy columns of ``source`` (rows, columns) to ``destination`` (rows, columns): ``=``, or ``+=``.

    Parameters
    ----------
    ops : module
        The backend that holds the arrays.
    source, destination : (rows, any) arrays
    source_column, destination_column : int
        The first ones.
    columns : int, optional
        How many; by default all of `source` from `source_column` on.
    accumulate : bool
        Add instead of overwriting.
    """
    columns = source.shape[1] - source_column if columns is None else columns
    ops.copy_columns(source, source_column, destination, destination_column, columns, accumulate)
