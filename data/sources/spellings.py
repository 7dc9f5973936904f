"""The usual names of columns, and what they are called here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

# In small letters, without spaces and underscores.
SPELLINGS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("ds", "date", "datetime", "timestamp"), "ds"),
        **dict.fromkeys(("uniqueid", "symbol", "ticker"), "unique_id"),
        **dict.fromkeys(("adjclose", "adjustedclose"), "adj_close"),
        **{name: name for name in ("y", "open", "high", "low", "close", "volume")},
    }
)
# What GluonTS, AutoGluon, Darts and Monash's archive call them; other tables have features of these names.
FALLBACKS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("itemid", "seriesid", "seriesname", "tsid"), "unique_id"),
        **dict.fromkeys(("target", "value"), "y"),
    }
)


def spelling(column: object) -> str:
    """Return the name of a column here; one that is not known stays as it is, without spaces around it."""
    written = str(column).strip()
    return SPELLINGS.get(_plain(written), written)


def fallback(column: object) -> str | None:
    """Return what a column is called here if no other column is; None for most names."""
    return FALLBACKS.get(_plain(str(column)))


def _plain(name: str) -> str:
    return name.strip().lower().replace(" ", "").replace("_", "")
