"""Which columns of a table are the name of the series, the time and the value: as named, as usual, or as found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import pandas as pd

from gatecast.data.errors import InputError
from gatecast.data.quality.validation import MISSING
from gatecast.data.settings import nearest
from gatecast.data.sources.dates import are_dates
from gatecast.data.sources.spellings import fallback, spelling
from gatecast.data.sources.wide import dated_columns, from_columns, from_rows

__all__ = ["Arranged", "Columns", "arranged", "as_option"]

BARS = ("open", "high", "low", "close", "volume")
_NAMELESS = ("", "Unnamed: 0")
_LISTED = 8
_MOSTLY = 0.5
"""A column with a greater share of numbers than this is one of numbers; its other cells are errors"""
_PARTS = ("year", "month", "day", "hour")
_CLOCK = r"\d{1,2}:\d{2}(?::\d{2})?(?:\s*[AaPp][Mm])?"


@dataclass(frozen=True)
class Columns:
    """What the columns of a table are; None is found out.

    Attributes
    ----------
    id, time, target : str, optional
        The column that names the series, that of the timestamps, and the one that is forecast. Several columns that
        name the series together are written ``region,state``; the series is then called ``North/Ohio``. So are those
        that hold a timestamp together, as ``date,time`` or ``year,month``.
    exclude : tuple of str
        Columns that are left out.
    is_wide : bool
        Whether each column of numbers is a series of its own; or, where columns are called by dates, each row.
    """

    id: str | None = None
    time: str | None = None
    target: str | None = None
    exclude: tuple[str, ...] = ()
    is_wide: bool = False

    def is_text(self, name: str) -> bool:
        """Tell whether a column of a file has to be read as it is written: names and timestamps."""
        given = [each for each in (self.id, self.time) if each]
        named = [*given, *(part for each in given for part in each.split(","))]
        return _same(name, named) or spelling(name) in ("ds", "unique_id") or fallback(name) == "unique_id"


def as_option(name: str, value: str | None = None) -> str:
    """Return how an attribute of `Columns` is given on the command line, as ``--id-column store``."""
    option = {"id": "--id-column", "time": "--time-column", "is_wide": "--wide"}.get(name, f"--{name}")
    return option if value is None else f"{option} {value}"


@dataclass(frozen=True, eq=False)
class Arranged:
    """A table whose columns have their names here.

    Attributes
    ----------
    frame : DataFrame
        ``unique_id`` if there is one, ``ds``, and ``y`` or the columns of bars.
    notices : tuple of str
        What was found out, a sentence each.
    written : mapping of str to str
        What the columns were called before. One made of several others has their names, with commas between them.
    """

    frame: pd.DataFrame
    notices: tuple[str, ...]
    written: Mapping[str, str]


def arranged(
    frame: pd.DataFrame,
    columns: Columns,
    origin: str,
    *,
    may_be_bars: bool = True,
    say: Callable[..., str] = as_option,
) -> Arranged:
    """Give the columns their names here: ``unique_id`` if there is one, ``ds``, and ``y`` or those of bars.

    Parameters
    ----------
    frame : DataFrame
        A table as a person or a program wrote it.
    columns : Columns
    origin : str
        What errors begin with.
    may_be_bars : bool
        Whether prices of a day are bars; otherwise they are columns like others.
    say : callable
        How an attribute of `Columns` is given, for errors: see `as_option`.

    Raises
    ------
    InputError
        A column that was named is not there, occurs twice, or cannot be told from others.
    """
    table = _Table(frame, origin, may_be_bars, say)
    table.drop(_empty(table.frame))
    table.leave_index_out()
    table.drop([table.find(name, "exclude") for name in columns.exclude])
    if columns.target is not None and may_be_bars and set(BARS) <= {spelling(name) for name in table.frame.columns}:
        raise InputError(
            f"{origin} holds bars, of which range, return or close is forecast, not {columns.target!r}; choose one with"
            f" {say('target')}, or leave some of their columns out with {say('exclude')}."
        )
    table.name("y", columns.target, "target")
    table.name_by("unique_id", columns.id, "id", "/")
    table.name_by("ds", columns.time, "time", " ")
    table.give_usual_names()
    if "ds" not in table.frame.columns:
        table.take_the_only("ds", _dates(table.frame), "dates", "holds the timestamps", "time")
    if columns.is_wide and "ds" not in table.frame.columns and dated_columns(list(table.frame.columns)):
        return Arranged(_long_of_rows(table), tuple(table.notices), table.written)
    _require_dates(table)
    if columns.is_wide:
        return Arranged(_long(table), tuple(table.notices), table.written)
    if "unique_id" not in table.frame.columns:
        _require_one_series(table)
    if "y" not in table.frame.columns and not table.looks_like_bars:
        table.take_the_only("y", _numbers(table.frame), "numbers", "is forecast", "target")
    return Arranged(table.frame, tuple(table.notices), table.written)


class _Table:
    """A table on its way to the names of columns here."""

    def __init__(self, frame: pd.DataFrame, origin: str, may_be_bars: bool, say: Callable[..., str]) -> None:
        self.frame = frame.rename(columns={column: str(column).strip() for column in frame.columns})
        self.origin = origin
        self.may_be_bars = may_be_bars
        self.say = say
        self.notices: list[str] = []
        self.written = {name: name for name in self.frame.columns}
        self.require_different()

    @property
    def looks_like_bars(self) -> bool:
        return self.may_be_bars and len(set(BARS) & set(self.frame.columns)) >= 3

    def require_different(self) -> None:
        if self.frame.columns.has_duplicates:
            twice = self.frame.columns[self.frame.columns.duplicated()][0]
            raise InputError(f"{self.origin} has two columns for {twice!r}; leave one out with {self.say('exclude')}.")

    def rename(self, names: Mapping[str, str]) -> None:
        self.frame = self.frame.rename(columns=dict(names))
        self.written = {names.get(name, name): written for name, written in self.written.items()}

    def drop(self, names: Sequence[str]) -> None:
        self.frame = self.frame.drop(columns=list(names))
        self.written = {name: written for name, written in self.written.items() if name not in names}

    def find(self, given: str, role: str) -> str:
        """Return the column that a person named."""
        exact = [name for name in self.frame.columns if name == given.strip()]
        alike = exact or [name for name in self.frame.columns if _same(name, [given])]
        if alike:
            return alike[0]
        names = [str(name) for name in self.frame.columns]
        meant = nearest(given, names)
        advice = f"did you mean {meant!r}?" if meant else f"choose one of {_listed(names)}."
        raise InputError(f"{self.origin} has no column {given!r} for {self.say(role)}; {advice}")

    def name(self, name: str, given: str | None, role: str) -> None:
        """Give a column that a person named the name of its role."""
        if given is None:
            return
        found = self.find(given, role)
        if name in self.frame.columns and name != found:
            raise InputError(
                f"{self.origin} has a column {name!r} next to {found!r}; leave it out with {self.say('exclude', name)}."
            )
        self.rename({found: name})

    def name_by(self, name: str, given: str | None, role: str, between: str) -> None:
        """Give a column that a person named the name of its role, or join several that have the role together."""
        if given is None or "," not in given or any(_same(column, [given]) for column in self.frame.columns):
            self.name(name, given, role)
            return
        parts = [self.find(part, role) for part in given.split(",")]
        cells = [self.frame[part].astype(str).str.strip() for part in parts]
        if name == "ds":
            cells = [each.str.zfill(2) for each in cells]  # 2020 01 31, as forms have it
        joined = cells[0]
        for each in cells[1:]:
            joined = joined + between + each
        self.drop(parts)
        self.frame = self.frame.assign(**{name: joined})
        self.written[name] = ",".join(parts)

    def leave_index_out(self) -> None:
        """Drop what ``to_csv()`` writes of a frame's index: row numbers under no name, or under "index"."""
        name = next(iter(self.frame.columns), "y")
        is_nameless = name in _NAMELESS
        if not (is_nameless or name.lower() == "index") or not pd.api.types.is_integer_dtype(self.frame[name]):
            return
        values = self.frame[name]
        is_numbering = bool(values.diff().dropna().eq(1).all()) if not is_nameless else values.is_unique
        if is_numbering and len(self.frame.columns) > 2:
            self.drop([name])
            self.notices.append(f"{self.origin}: its first column numbers the rows and was left out.")

    def give_usual_names(self) -> None:
        """Give columns with usual names their names here; a less usual name counts if no other column has it."""
        taken = {"y", "ds", "unique_id"} & set(self.frame.columns)
        self.rename({name: spelling(name) for name in self.frame.columns if spelling(name) not in taken})
        for name in self.frame.columns:
            role = fallback(name)
            if role is None or role in self.frame.columns or (role == "y" and self.looks_like_bars):
                continue
            self.rename({name: role})
        self.require_different()

    def take_the_only(self, name: str, candidates: Sequence[str], what: str, use: str, role: str) -> None:
        """Take the one column that can have a role for it, with a word, or ask which of several it is."""
        if len(candidates) > 1:
            raise InputError(
                f"{self.origin} has several columns of {what}, {_listed(candidates)}; say which {use}:"
                f" {self.say(role, candidates[0])}{_or_wide(self) if role == 'target' else ''}."
            )
        for found in candidates:
            self.rename({found: name})
            held = "timestamps" if name == "ds" else "values"
            self.notices.append(f"{self.origin}: the {held} are those of {found!r}.")


def _empty(frame: pd.DataFrame) -> list[str]:
    """Return the columns without a name and without a value, as a mark at the end of every line makes one."""
    nameless = [name for name in frame.columns if name == "" or name.startswith("Unnamed: ")]
    return [name for name in nameless if (frame[name].isna() | frame[name].astype(str).str.strip().eq("")).all()]


def _or_wide(table: _Table) -> str:
    wide = table.say("is_wide")
    return f" (or {wide}, if each is a series)" if wide else ""


def _same(name: str, given: Iterable[str]) -> bool:
    return name.strip().casefold() in {each.strip().casefold() for each in given}


def _dates(frame: pd.DataFrame) -> list[str]:
    return [name for name in frame.columns if name != "unique_id" and are_dates(frame[name])]


def _numbers(frame: pd.DataFrame) -> list[str]:
    return [name for name in frame.columns if name not in ("unique_id", "ds") and _is_number(frame[name])]


def _is_number(column: pd.Series) -> bool:
    """Tell whether a column holds numbers, for the most part at least: a cell of text does not make it one of text."""
    if pd.api.types.is_numeric_dtype(column):
        return not pd.api.types.is_bool_dtype(column)
    if pd.api.types.is_datetime64_any_dtype(column) or isinstance(column.dtype, pd.PeriodDtype):
        return False
    filled = column[~column.astype("string").str.strip().str.lower().isin(MISSING) & column.notna()]
    numbers = pd.to_numeric(filled.astype(object), errors="coerce")
    return len(filled) > 0 and bool(numbers.notna().mean() > _MOSTLY)


def _require_dates(table: _Table) -> None:
    """Refuse a table without timestamps; where parts of them are in several columns, say how to join these."""
    if "ds" in table.frame.columns:
        return
    found = [name for part in _PARTS for name in table.frame.columns if name.lower() == part]
    if len(found) > 1 and found[0].lower() == "year":
        raise InputError(
            f"{table.origin} has no column 'ds', but parts of dates in {_listed(found)}; if they belong together, say"
            f" so: {table.say('time', ','.join(found))}."
        )
    dated = dated_columns(list(table.frame.columns))
    if dated and table.say("is_wide"):
        raise InputError(
            f"{table.origin} has columns that are called by dates, {_listed(dated)}; if each row is a series, say so:"
            f" {table.say('is_wide')}."
        )
    names = [repr(str(name)) for name in table.frame.columns]
    raise InputError(
        f"{table.origin} has no column 'ds', only {_listed(names)}, of which none holds dates in a usual form; name the"
        f" one that does with {table.say('time')}."
    )


def _long(table: _Table) -> pd.DataFrame:
    """Turn a wide frame, a column per series, into a long one."""
    frame = table.frame
    series = _numbers(frame)
    if "unique_id" in frame.columns or "ds" not in frame.columns or not series:
        raise InputError(
            f"{table.origin} is not a wide table, which has one column of timestamps and a column of numbers for each"
            f" series; leave {table.say('is_wide')} out."
        )
    return from_columns(frame, series)


def _long_of_rows(table: _Table) -> pd.DataFrame:
    """Turn a wide frame whose columns are dates, a row per series, into a long one."""
    dated = dated_columns(list(table.frame.columns))
    if "unique_id" not in table.frame.columns:
        texts = [name for name in table.frame.columns if name not in dated and not _is_number(table.frame[name])]
        found = next(
            (names for names in [*([name] for name in texts), texts] if names and _name_rows(table, names)), None
        )
        if found is None:
            raise InputError(
                f"{table.origin} has a column for each date, but none whose texts name the rows; add one, or name"
                f" several with {table.say('id')}."
            )
        table.name_by("unique_id", ",".join(found), "id", "/")
        table.notices.append(f"{table.origin}: the names of the series are those of {','.join(found)!r}.")
    others = [name for name in table.frame.columns if name not in ("unique_id", *dated)]
    if others:
        table.notices.append(f"{table.origin}: left out, since they are not called by dates: {_listed(others)}.")
    return from_rows(table.frame, dated)


def _name_rows(table: _Table, names: Sequence[str]) -> bool:
    return not table.frame.duplicated(list(names)).any()


def _require_one_series(table: _Table) -> None:
    """Refuse several series in one table if a column of text, which tells them apart, was not named."""
    frame = table.frame
    if "ds" not in frame.columns or frame["ds"].is_unique:
        return
    others = [name for name in frame.columns if name not in ("ds", "y")]
    texts = [name for name in others if not pd.api.types.is_numeric_dtype(frame[name])]
    for name in texts:
        if frame[name].astype(str).str.strip().str.fullmatch(_CLOCK).all() and not frame.duplicated([name, "ds"]).any():
            raise InputError(
                f"{table.origin} has several rows for each date, and a time of the day in {name!r}; if they belong"
                f" together, say so: {table.say('time', table.written['ds'] + ',' + name)}."
            )
    numbers = [name for name in others if _may_be_names(frame[name], frame["ds"])]
    singles = [[name] for name in (*texts, *numbers)]
    for names in [*singles, texts, *map(list, combinations((*texts, *numbers)[:_LISTED], 2))]:
        if names and not frame.duplicated([*names, "ds"]).any():
            written = ",".join(names)
            raise InputError(
                f"{table.origin} has several rows for each date, one for each {written}; if that is the name of the"
                f" series, say so: {table.say('id', written)}."
            )


def _may_be_names(column: pd.Series, ds: pd.Series) -> bool:
    """Tell whether whole numbers may number the series: of most dates there are several, and not many more series."""
    if not pd.api.types.is_integer_dtype(column):
        return False
    dates = ds.nunique()
    return len(ds) >= 1.5 * dates and column.nunique() <= 3 * ds.value_counts().iloc[0]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_LISTED]) + (", ..." if len(names) > _LISTED else "")
