"""What data hold, series by series: rows, range, gaps, problems and a small picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel

from gatecast.data.dates.calendar import infer_calendar
from gatecast.data.dates.timestamps import format_date
from gatecast.data.quality.inspection import findings
from gatecast.data.quality.validation import as_problems

_BLOCKS = "▁▂▃▄▅▆▇█"
SPARKLINE_WIDTH = 12


class Record(BaseModel):
    """What a record of `overview` has to hold, wherever it comes from."""

    unique_id: str
    rows: int
    first: str
    last: str
    calendar: str | None
    gaps: int
    problems: int
    sparkline: str


def overview(
    frame: pd.DataFrame, calendars: Mapping[str, str | None] | None = None
) -> tuple[list[dict[str, Any]], pd.DataFrame]:
    """Describe each series of a valid frame.

    Parameters
    ----------
    frame : DataFrame
        Bars or series.
    calendars : mapping of unique_id to str, optional
        The calendar of a series; without one, that of the exchange whose holidays it keeps, if it is known.

    Returns
    -------
    records : list of dict
        For each series ``unique_id``, ``rows``, ``first``, ``last``, ``calendar``, ``gaps`` (without a row),
        ``problems`` (of all kinds) and ``sparkline``, JSON values.
    problems : DataFrame
        The warnings of `data.quality.inspection.inspect`.
    """
    records = []
    found: list[dict[str, Any]] = []
    for unique_id, rows in frame.groupby("unique_id", sort=False):
        name = str(unique_id)
        calendar = (calendars or {}).get(name) or infer_calendar(pd.DatetimeIndex(rows["ds"]))
        problems = findings(name, rows, calendar)
        found += problems
        value = "y" if "y" in rows.columns else "close"
        records.append(
            {
                "unique_id": name,
                "rows": len(rows),
                "first": format_date(rows["ds"].iloc[0]),
                "last": format_date(rows["ds"].iloc[-1]),
                "calendar": calendar,
                "gaps": sum(problem["rule"] == "gap" for problem in problems),
                "problems": len(problems),
                "sparkline": sparkline(rows[value].to_numpy()),
            }
        )
    return records, as_problems(found)


def problems_in_words(record: Mapping[str, Any]) -> str:
    """Say what there is to know of a series: whether its source failed, rows that were refused, gaps, warnings."""
    parts = [f"source {record['cause']}: last good rows"] if record.get("cause") else []
    parts += [f"{record['refused']:,} refused"] if record.get("refused") else []
    gaps = record["gaps"]
    where = f" in {record['calendar']}" if record["calendar"] else ""
    parts += [f"{gaps:,} gap{'s' * (gaps > 1)}{where}"] if gaps else []
    others = record["problems"] - record["gaps"]
    parts += [f"{others:,} to look at"] if others else []
    return ", ".join(parts) or "none"


def sparkline(values: np.ndarray, width: int = SPARKLINE_WIDTH) -> str:
    """Draw values as a line of blocks, each the mean of an equal part of them, from the lowest to the highest.

    Missing values are left out.
    """
    values = values[~np.isnan(values)]
    if not len(values):
        return ""
    parts = [part.mean() for part in np.array_split(values, min(width, len(values)))]
    low, high = min(parts), max(parts)
    scale = (len(_BLOCKS) - 1) / (high - low) if high > low else 0.0
    return "".join(_BLOCKS[round((part - low) * scale)] for part in parts)
