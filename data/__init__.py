"""From a source to training arrays: bars and series, targets and features, scaling, splits and sequences.

Public names are imported when they are first used, so that ``import data`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from types import MappingProxyType
from typing import Any

_MODULE_OF = MappingProxyType(
    {
        name: module
        for module, names in {
            "data.bars": ("BAR_COLUMNS", "check_bars", "resample_bars", "validate_bars"),
            "data.barstore": ("BarStore",),
            "data.calendar": ("infer_calendar", "sessions"),
            "data.csv_format": ("CsvFormat",),
            "data.periods": ("next_dates", "period_name"),
            "data.errors": ("InputError", "SourceError"),
            "data.features": ("FEATURE_SETS", "TARGETS", "FeatureSet", "Target", "build_series_frame"),
            "data.inspection": ("inspect",),
            "data.overview": ("overview",),
            "data.scaling": ("Scaler",),
            "data.sequences": (
                "SequenceSettings",
                "Sequences",
                "build_sequences",
                "read_sequences",
                "write_sequences",
            ),
            "data.sequence_build": ("build_from_files",),
            "data.series": ("check_series", "validate_series"),
            "data.sql": ("SqlSource",),
            "data.selection": ("Selection", "frame_kind"),
            "data.sources": ("CsvSource", "ParquetSource", "SampleSource", "Source", "open_source"),
            "data.splits": ("SAMPLE_SPLIT", "TEST", "TRAIN", "VALIDATION", "SplitSettings"),
            "data.store": ("content_hash", "sha256_file", "symbol_filename"),
            "data.text": ("Vocabulary", "preprocess_text", "read_text", "sample_text", "split_text"),
            "data.yahoo.client": ("Policy", "YahooClient"),
            "data.yahoo.source": ("YahooSource",),
            "data.tagging": ("TaggedText", "chunks", "convert", "read_conll", "write_conll"),
            "data.words": ("WordVectors", "read_vectors"),
            "data.windows": ("Windows", "make_sequences", "prepare_time_series"),
        }.items()
        for name in names
    }
)


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULE_OF[name]), name)


def __dir__() -> list[str]:
    return sorted(_MODULE_OF)
