"""What a panel lacks, counted: missing values, series too short to train on, and series that are left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

__all__ = ["NAMED", "PanelNotes", "named"]

NAMED = 5
"""Series that are named; the others are counted"""


@dataclass(frozen=True)
class PanelNotes:
    """What is not as in a complete panel; names are the first few.

    Attributes
    ----------
    rows, series : int
        Of the panel.
    missing_rows, missing_series : int
        Rows without a value of ``y``, and the series that have some.
    untrained : int
        Series without a training window.
    untrained_named : tuple of str
    left_out : int
        Series of which too little is known to forecast them.
    left_out_named : tuple of str
    sparse : int
        Series that are not put on their calendar, since it has too many other rows.
    sparse_named : tuple of str
    """

    rows: int = 0
    series: int = 0
    missing_rows: int = 0
    missing_series: int = 0
    untrained: int = 0
    untrained_named: tuple[str, ...] = ()
    left_out: int = 0
    left_out_named: tuple[str, ...] = ()
    sparse: int = 0
    sparse_named: tuple[str, ...] = ()

    def sentences(self) -> tuple[str, ...]:
        """Return a sentence for each thing that is missing; none for a complete panel."""
        found = []
        if self.missing_rows:
            found.append(
                f"{self.missing_rows:,} of {self.rows:,} rows, in {self.missing_series:,} of {self.series:,} series,"
                " have no value; they are masked."
            )
        if self.untrained:
            found.append(
                f"{self.untrained:,} of {self.series:,} series are too short to train on and are forecast all the same:"
                f" {named(self.untrained_named, self.untrained)}."
            )
        if self.left_out:
            found.append(
                f"{self.left_out:,} series left out, since fewer than two of their values are known before the test:"
                f" {named(self.left_out_named, self.left_out)}."
            )
        if self.sparse:
            found.append(
                f"{self.sparse:,} series not put on their calendar, which has more than three times their rows:"
                f" {named(self.sparse_named, self.sparse)}."
            )
        return tuple(found)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values; undone by `from_dict`."""
        return asdict(self)

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Self:
        """Undo `to_dict`."""
        fields: dict[str, Any] = {
            name: tuple(value) if isinstance(value, (list, tuple)) else value for name, value in state.items()
        }
        return cls(**fields)


def named(names: Sequence[str], count: int | None = None) -> str:
    """List the first few of `count` series: ``a, b and 3 more``."""
    shown = list(names[:NAMED])
    others = (len(names) if count is None else count) - len(shown)
    return ", ".join(shown) + (f" and {others:,} more" if others > 0 else "")
