"""The workspace's bars and series: one Parquet file for each symbol and interval, and the refused rows.

Any program that reads Parquet can read the files. Their metadata say, as text, where they come from:
``schema_version``, ``kind``, ``source``, ``origin``, ``symbol``, ``interval``, ``fetched_at``, ``first``, ``last``,
``rows``, ``content_hash``, and what the source adds.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import pandas as pd

from gatecast.data.dates.timestamps import format_date
from gatecast.data.errors import DamagedFileError, InputError
from gatecast.data.leftovers import remove_leftovers
from gatecast.data.quality.validation import PRICE_COLUMNS
from gatecast.data.store import (
    CONTENT_HASH,
    content_hash,
    locked,
    read_parquet,
    set_aside,
    symbol_filename,
    write_parquet,
)

_LOGGER = logging.getLogger(__name__)
SCHEMA_VERSION = 2
FETCH = "fetch it again"


class NewerFileError(InputError):
    """A file was written by a version of Gatecast that this one does not know; it must not be replaced."""


@dataclass(frozen=True, eq=False)
class Stored:
    """The rows of one file and its metadata."""

    rows: pd.DataFrame
    metadata: Mapping[str, str]

    @property
    def fetched_at(self) -> pd.Timestamp:
        """When the source last gave an answer for these rows, in UTC."""
        return pd.Timestamp(self.metadata["fetched_at"])


def write_rows(rows: pd.DataFrame, path: Path, metadata: Mapping[str, str]) -> Path:
    """Write the rows of one symbol, whole or not at all; `metadata` has at least ``source`` and ``fetched_at``."""
    described = {
        "kind": "series" if "y" in rows.columns else "bars",
        "symbol": str(rows["unique_id"].iloc[0]),
        "interval": "",
        **metadata,
        "schema_version": str(SCHEMA_VERSION),
        "first": format_date(rows["ds"].iloc[0]),
        "last": format_date(rows["ds"].iloc[-1]),
        "rows": str(len(rows)),
    }
    return write_parquet(rows, path, described)


def read_rows(path: Path) -> Stored:
    """Read what `write_rows` wrote, now or in an older version, which is brought to today's form.

    Raises
    ------
    InputError
        The file is missing or damaged, is of a newer version, or does not hold what was written there.
    """
    rows, metadata = read_parquet(path, FETCH)
    version = _version(metadata, path)
    if version > SCHEMA_VERSION:
        raise NewerFileError(
            f"{path} was written by a newer Gatecast (schema version {version}, this one knows {SCHEMA_VERSION}); "
            "install that version."
        )
    if version == SCHEMA_VERSION and CONTENT_HASH not in metadata:
        raise DamagedFileError(f"{path} does not hold what was written there, its content hash is gone; {FETCH}.")
    for older in range(version, SCHEMA_VERSION):
        rows, metadata = MIGRATIONS[older](rows, metadata, path)
    return Stored(rows, metadata)


def _version(metadata: Mapping[str, str], path: Path) -> int:
    try:
        return int(metadata.get("schema_version", "1"))
    except ValueError as error:
        raise DamagedFileError(f"{path} is not a file of this workspace; fetch it again.") from error


def _from_1(rows: pd.DataFrame, metadata: Mapping[str, str], path: Path) -> tuple[pd.DataFrame, dict[str, str]]:
    """Complete the metadata of files that had only ``kind``, ``source`` and ``origin``."""
    if rows.empty or not {"unique_id", "ds"} <= set(rows.columns):
        raise DamagedFileError(f"{path} is not a file of this workspace; fetch it again.")
    if set(PRICE_COLUMNS) <= set(rows.columns):
        rows = rows.assign(**{name: value for name, value in (("dividend", 0.0), ("split", 1.0)) if name not in rows})
    written = pd.Timestamp(path.stat().st_mtime, unit="s", tz="UTC")
    added = {
        "schema_version": "2",
        "symbol": str(rows["unique_id"].iloc[0]),
        "interval": "",
        "fetched_at": written.isoformat(timespec="seconds"),
        "first": format_date(rows["ds"].iloc[0]),
        "last": format_date(rows["ds"].iloc[-1]),
        "rows": str(len(rows)),
        "content_hash": content_hash(rows),
    }
    return rows, {**metadata, **added}


Migration = Callable[[pd.DataFrame, Mapping[str, str], Path], tuple[pd.DataFrame, dict[str, str]]]

# From each version to the one after it.
MIGRATIONS: Mapping[int, Migration] = MappingProxyType({1: _from_1})


@dataclass(frozen=True)
class BarStore:
    """The files of one source, which grow from fetch to fetch.

    Attributes
    ----------
    root : Path
        ``root/INTERVAL/SYMBOL.parquet``.
    quarantine : Path
        Rows that were refused, in files of the same names.
    """

    root: Path
    quarantine: Path

    def path(self, symbol: str, interval: str) -> Path:
        """Return where a symbol's bars are; no symbol leads out of the folder."""
        return self.root / interval / f"{symbol_filename(symbol)}.parquet"

    def read(self, symbol: str, interval: str) -> Stored | None:
        """Return what is stored of a symbol, or None if nothing is.

        Raises
        ------
        InputError
            As `read_rows`.
        """
        path = self.path(symbol, interval)
        return read_rows(path) if path.exists() else None

    def write(self, rows: pd.DataFrame, interval: str, metadata: Mapping[str, str]) -> Path:
        """Replace what is stored of a symbol; call it under `locked`."""
        path = self.path(str(rows["unique_id"].iloc[0]), interval)
        return write_rows(rows, path, {**metadata, "interval": interval})

    @contextmanager
    def locked(self, symbol: str, interval: str) -> Iterator[None]:
        """Let one process at a time read, change and write a symbol."""
        path = self.path(symbol, interval)
        with locked(path):
            remove_leftovers(path.parent, path.name)
            yield

    def refuse(self, symbol: str, interval: str, refused: pd.DataFrame) -> Path | None:
        """Add refused rows to the symbol's file in quarantine, each once; return it, if there was any."""
        if refused.empty:
            return None
        return add_to_quarantine(refused, self.quarantine / interval / f"{symbol_filename(symbol)}.parquet")


def add_to_quarantine(refused: pd.DataFrame, path: Path) -> Path:
    """Add rows, as text and with what is wrong with them in ``problem``, to a file that keeps each of them once.

    A damaged file is set aside, with a warning.
    """
    text = refused.astype(object).where(refused.notna(), "").astype(str)
    with locked(path):
        if path.exists():
            try:
                text = pd.concat([read_parquet(path)[0], text], ignore_index=True).fillna("")
            except DamagedFileError as error:
                _LOGGER.warning("%s Its rows were set aside in %s.", error, set_aside(path))
        # The order of columns is that of the first file.
        return write_parquet(text.drop_duplicates(ignore_index=True), path)
