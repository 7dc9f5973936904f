"""From a table as a person or a program wrote it to checked bars or series."""

from __future__ import annotations

import pandas as pd

from gatecast.data.bars.prices import check_bars
from gatecast.data.quality.series import check_series
from gatecast.data.quality.validation import Checked
from gatecast.data.sources.selection import frame_kind
from gatecast.data.sources.spellings import spelling


def check_table(frame: pd.DataFrame, unique_id: str, origin: str, in_order: bool = True) -> Checked:
    """Give columns their names here, and check the rows.

    Parameters
    ----------
    frame : DataFrame
        With columns in any of their usual spellings.
    unique_id : str
        Name of the series, if the table has no column for it.
    origin : str
        What errors begin with.
    in_order : bool
        Whether the dates of each series have to be ascending; otherwise they are sorted.

    Raises
    ------
    InputError
        A column is missing or occurs twice, or there is no row.
    """
    frame = frame.rename(columns={column: spelling(column) for column in frame.columns})
    if "unique_id" not in frame.columns:
        frame = frame.assign(unique_id=unique_id)
    check = check_series if frame_kind(frame) == "series" else check_bars
    return check(frame, origin, in_order)
