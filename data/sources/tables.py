"""From a table as a person or a program wrote it to checked bars or series."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from gatecast.data.bars.prices import check_bars
from gatecast.data.quality.series import check_series
from gatecast.data.quality.validation import Checked
from gatecast.data.sources.columns import Columns, arranged
from gatecast.data.sources.dates import read_dates
from gatecast.data.sources.selection import frame_kind


def check_table(
    frame: pd.DataFrame,
    unique_id: str,
    origin: str,
    *,
    columns: Columns | None = None,
    date_format: str | None = None,
    in_order: bool = True,
) -> Checked:
    """Give columns their names here, read the timestamps, and check the rows.

    Parameters
    ----------
    frame : DataFrame
        With columns in any of their usual spellings, or as `columns` says.
    unique_id : str
        Name of the series, if the table has no column for it.
    origin : str
        What errors begin with.
    columns : Columns, optional
        What the columns are.
    date_format : str, optional
        Form of the timestamps; found by default.
    in_order : bool
        Whether the dates of each series have to be ascending; otherwise they are sorted.

    Raises
    ------
    InputError
        A column is missing, occurs twice or cannot be told from others, a date can be read in two ways, or there is no
        row.
    """
    table = arranged(frame, columns or Columns(), origin)
    frame = table.frame
    if "ds" in frame.columns and not frame.columns.has_duplicates:
        frame = frame.assign(ds=read_dates(frame["ds"], date_format, origin))
    if "unique_id" not in frame.columns:
        frame = frame.assign(unique_id=unique_id)
    check = check_series if frame_kind(frame) == "series" else check_bars
    return replace(check(frame, origin, in_order), notices=table.notices)
