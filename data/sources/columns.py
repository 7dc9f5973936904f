"""Which columns of a table are the name of the series, the time and the value: as named, as usual, or as found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from gatecast.data.errors import InputError
from gatecast.data.settings import nearest
from gatecast.data.sources.dates import are_dates
from gatecast.data.sources.spellings import fallback, spelling

__all__ = ["Columns", "arranged"]

BARS = ("open", "high", "low", "close", "volume")
_NAMELESS = ("", "Unnamed: 0")
_LISTED = 8


@dataclass(frozen=True)
class Columns:
    """What the columns of a table are; None is found out.

    Attributes
    ----------
    id, time, target : str, optional
        The column that names the series, that of the timestamps, and the one that is forecast. Several columns that
        name the series together are written ``region,state``; the series is then called ``North/Ohio``.
    exclude : tuple of str
        Columns that are left out.
    is_wide : bool
        Whether each column of numbers is a series of its own.
    """

    id: str | None = None
    time: str | None = None
    target: str | None = None
    exclude: tuple[str, ...] = ()
    is_wide: bool = False

    def is_text(self, name: str) -> bool:
        """Tell whether a column of a file has to be read as it is written: names and timestamps."""
        named = [given for given in (self.id, self.time, *(self.id or "").split(",")) if given]
        return _same(name, named) or spelling(name) in ("ds", "unique_id") or fallback(name) == "unique_id"


def arranged(frame: pd.DataFrame, columns: Columns, origin: str) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Give the columns their names here: ``unique_id`` if there is one, ``ds``, and ``y`` or those of bars.

    Parameters
    ----------
    frame : DataFrame
        A table as a person or a program wrote it.
    columns : Columns
    origin : str
        What errors begin with.

    Returns
    -------
    DataFrame, tuple of str
        And what was found out, a sentence each.

    Raises
    ------
    InputError
        A column that was named is not there, occurs twice, or cannot be told from others.
    """
    frame = frame.rename(columns={column: str(column).strip() for column in frame.columns})
    _require_different(frame, origin)
    frame, notices = _without_index(frame, origin)
    frame = frame.drop(columns=[_found(frame, name, "--exclude", origin) for name in columns.exclude])
    if columns.target is not None and set(BARS) <= {spelling(name) for name in frame.columns}:
        raise InputError(
            f"{origin} holds bars, of which range, return or close is forecast, not {columns.target!r}; choose one with"
            " --target, or leave some of their columns out with --exclude."
        )
    frame = _named(frame, "y", columns.target, "--target", origin)
    frame = _with_names(frame, columns.id, origin)
    frame = _named(frame, "ds", columns.time, "--time-column", origin)
    frame = _usual_names(frame)
    _require_different(frame, origin)
    if "ds" not in frame.columns:
        found = _the_only(_dates(frame), "dates", "holds the timestamps", "--time-column", origin)
        frame = frame.rename(columns={found: "ds"}) if found is not None else frame
        notices += [f"{origin}: the timestamps are those of {found!r}."] if found is not None else []
    if columns.is_wide:
        return _long(frame, origin), tuple(notices)
    if "ds" in frame.columns and "y" not in frame.columns and not _looks_like_bars(frame):
        found = _the_only(_numbers(frame), "numbers", "is forecast", "--target", origin)
        frame = frame.rename(columns={found: "y"}) if found is not None else frame
        notices += [f"{origin}: the values are those of {found!r}."] if found is not None else []
    if "ds" in frame.columns and "unique_id" not in frame.columns:
        _require_one_series(frame, origin)
    return frame, tuple(notices)


def _require_different(frame: pd.DataFrame, origin: str) -> None:
    if frame.columns.has_duplicates:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise InputError(f"{origin} has two columns for {twice!r}; leave one out with --exclude.")


def _without_index(frame: pd.DataFrame, origin: str) -> tuple[pd.DataFrame, list[str]]:
    """Drop what ``to_csv()`` writes of a frame's index: row numbers under no name, or under "index"."""
    for name in frame.columns[:1]:
        values = frame[name]
        is_nameless = name in _NAMELESS
        if not (is_nameless or name.lower() == "index") or not pd.api.types.is_integer_dtype(values):
            continue
        counts = values.diff().dropna()
        is_numbering = bool(counts.eq(1).all()) if not is_nameless else values.is_unique
        if is_numbering and len(frame.columns) > 2:
            return frame.drop(columns=name), [f"{origin}: its first column numbers the rows and was left out."]
    return frame, []


def _named(frame: pd.DataFrame, role: str, given: str | None, option: str, origin: str) -> pd.DataFrame:
    """Give a column that a person named the name of its role."""
    if given is None:
        return frame
    found = _found(frame, given, option, origin)
    rival = next((name for name in frame.columns if name == role and name != found), None)
    if rival is not None:
        raise InputError(f"{origin} has a column {rival!r} next to {found!r}; leave it out with --exclude {rival}.")
    return frame.rename(columns={found: role})


def _with_names(frame: pd.DataFrame, given: str | None, origin: str) -> pd.DataFrame:
    """Name the series by the column that a person named, or by several of them."""
    if given is None or "," not in given or any(_same(name, [given]) for name in frame.columns):
        return _named(frame, "unique_id", given, "--id-column", origin)
    parts = [_found(frame, name, "--id-column", origin) for name in given.split(",")]
    names = frame[parts[0]].astype(str)
    for part in parts[1:]:
        names = names + "/" + frame[part].astype(str)
    return frame.drop(columns=parts).assign(unique_id=names)


def _found(frame: pd.DataFrame, given: str, option: str, origin: str) -> str:
    exact = [name for name in frame.columns if name == given.strip()]
    alike = exact or [name for name in frame.columns if _same(name, [given])]
    if alike:
        return alike[0]
    names = [str(name) for name in frame.columns]
    meant = nearest(given, names)
    advice = f"did you mean {meant!r}?" if meant else f"choose one of {_listed(names)}."
    raise InputError(f"{origin} has no column {given!r} for {option}; {advice}")


def _same(name: str, given: Iterable[str]) -> bool:
    return name.strip().casefold() in {each.strip().casefold() for each in given}


def _usual_names(frame: pd.DataFrame) -> pd.DataFrame:
    """Give columns with usual names their names here; a name that is less usual counts if no other column has it."""
    taken = {"y", "ds", "unique_id"} & set(frame.columns)
    frame = frame.rename(columns={name: spelling(name) for name in frame.columns if spelling(name) not in taken})
    for name in frame.columns:
        role = fallback(name)
        if role is None or role in frame.columns or (role == "y" and _looks_like_bars(frame)):
            continue
        frame = frame.rename(columns={name: role})
    return frame


def _looks_like_bars(frame: pd.DataFrame) -> bool:
    return len(set(BARS) & set(frame.columns)) >= 3


def _dates(frame: pd.DataFrame) -> list[str]:
    return [name for name in frame.columns if name != "unique_id" and are_dates(frame[name])]


def _numbers(frame: pd.DataFrame) -> list[str]:
    return [name for name in frame.columns if name not in ("unique_id", "ds") and _is_number(frame[name])]


def _is_number(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def _the_only(candidates: Sequence[str], what: str, use: str, option: str, origin: str) -> str | None:
    if len(candidates) > 1:
        raise InputError(
            f"{origin} has several columns of {what}, {_listed(candidates)}; say which {use}: {option} {candidates[0]}"
            f"{' (or --wide, if each is a series)' if option == '--target' else ''}."
        )
    return candidates[0] if candidates else None


def _long(frame: pd.DataFrame, origin: str) -> pd.DataFrame:
    """Turn a wide frame, a column per series, into a long one."""
    series = _numbers(frame)
    if "unique_id" in frame.columns or "ds" not in frame.columns or not series:
        raise InputError(
            f"{origin} is not a wide table, which has one column of timestamps and a column of numbers for each series;"
            " leave --wide out."
        )
    long = frame.melt(id_vars="ds", value_vars=series, var_name="unique_id", value_name="y")
    # A series begins and ends where it has values; a hole within it is a missing value.
    filled = long["y"].notna().groupby(long["unique_id"])
    begun = filled.cummax()
    going_on = long["y"].notna()[::-1].groupby(long["unique_id"][::-1]).cummax()[::-1]
    return long[begun & going_on].reset_index(drop=True)


def _require_one_series(frame: pd.DataFrame, origin: str) -> None:
    """Refuse several series in one table if a column of text, which tells them apart, was not named."""
    if frame["ds"].is_unique:
        return
    texts = [name for name in frame.columns if name != "ds" and not pd.api.types.is_numeric_dtype(frame[name])]
    for names in [*([name] for name in texts), texts]:
        if names and not frame.duplicated([*names, "ds"]).any():
            written = ",".join(names)
            raise InputError(
                f"{origin} has several rows for each date, one for each {written}; if that is the name of the series,"
                f" say so: --id-column {written}."
            )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_LISTED]) + (", ..." if len(names) > _LISTED else "")
