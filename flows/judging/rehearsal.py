"""What a retrain would make of data, without training: what it would refuse, what it would leave out, what is left."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from gatecast.data.dates.panels import find_schedules
from gatecast.data.dates.rules import DateRules
from gatecast.data.errors import InputError
from gatecast.data.quality.validation import ERROR, WARNING, as_problems
from gatecast.data.sequences.sequences import Sequences, SequenceSettings, build_sequences
from gatecast.data.sequences.splits import SPLIT_NAMES, TEST, TRAIN
from gatecast.data.sources.selection import frame_kind
from gatecast.flows.judging.evaluation import choose_recipe, sequence_settings
from gatecast.flows.judging.targets import series_frame
from gatecast.flows.settings.runs import RetrainSettings


@dataclass(frozen=True, eq=False)
class Rehearsal:
    """What a retrain would do.

    Attributes
    ----------
    refusal : str or None
        The error that it would end with; None if it would train.
    problems : DataFrame
        The refusal, and what would be left out, in the form of `data.quality.validation.Checked.problems`.
    summary : str or None
        What it would learn from, in a sentence.
    """

    refusal: str | None
    problems: pd.DataFrame
    summary: str | None


def rehearse(rows: pd.DataFrame, settings: RetrainSettings) -> Rehearsal:
    """Do what `flows.retrain.retrain` does with data before it trains: target, features, scaling, windows and dates.

    Parameters
    ----------
    rows : DataFrame
        Valid bars or series, selected.
    settings : RetrainSettings
        Those of the retrain.
    """
    try:
        settings = settings.resolved(frame_kind(rows))
        series = series_frame(rows, settings.target, settings.features)
        settings, recipe = choose_recipe(settings, rows)
        windows = sequence_settings(settings)
    except InputError as error:
        return _refused(str(error), [])
    try:
        sequences = build_sequences(series, windows)
        find_schedules(sequences.ds, sequences.offsets, sequences.timezone, DateRules(**settings.data.dates))
    except InputError as error:
        return _refused(str(error), list(_too_short(series, windows, str(error))))
    counts = [f"{len(sequences.windows_of(split)):,} {name}" for split, name in enumerate(SPLIT_NAMES)]
    summary = (
        f"A retrain would have {', '.join(counts)} windows; training ends on {sequences.boundaries['train_end']},"
        f" validation on {sequences.boundaries['validation_end']}."
    )
    if recipe:
        summary += f" {recipe}"
    if len(series) < len(rows):
        summary += f" {len(rows) - len(series):,} rows, which lack the past that the features need, are left out."
    return Rehearsal(None, as_problems(list(_left_out(series, sequences, windows))), summary)


def _refused(sentence: str, others: Sequence[dict[str, Any]]) -> Rehearsal:
    whole = {"severity": ERROR, "rule": "refused", "unique_id": "", "ds": pd.NaT, "row": 0, "column": "", "value": ""}
    return Rehearsal(sentence, as_problems([{**whole, "problem": sentence.rstrip(".")}, *others]), None)


def _too_short(series: pd.DataFrame, windows: SequenceSettings, refusal: str) -> Iterator[dict[str, Any]]:
    """Give the series that are too short, but for the one that the refusal names."""
    least = windows.lookback + windows.horizon
    counts = series["unique_id"].value_counts(sort=False)
    for name, count in counts[counts < least].items():
        if not refusal.startswith(f"{name} has {count} rows"):
            problem = f"fewer than lookback {windows.lookback} plus horizon {windows.horizon}"
            yield _record(ERROR, "short", str(name), str(count), problem)


def _left_out(series: pd.DataFrame, sequences: Sequences, windows: SequenceSettings) -> Iterator[dict[str, Any]]:
    counts = series["unique_id"].value_counts(sort=False)
    for name in counts.index.difference(list(sequences.unique_ids)):
        problem = f"too few for lookback {windows.lookback} and horizon {windows.horizon}; the series is left out"
        yield _record(WARNING, "short", str(name), str(counts[name]), problem)
    split = sequences.windows
    for part, problem in (
        (TRAIN, "but none of them gives a training window; the model learns nothing from the series"),
        (TEST, "but none of them gives a test window; the series is not tested"),
    ):
        with_windows = np.bincount(split.series[split.split == part], minlength=len(sequences.unique_ids)) > 0
        lacking = [name for name, has in zip(sequences.unique_ids, with_windows, strict=True) if not has]
        # A retrain without a test period tests no series.
        for name in lacking if with_windows.any() else ():
            yield _record(WARNING, "no window", name, str(counts[name]), problem)


def _record(severity: str, rule: str, unique_id: str, value: str, problem: str) -> dict[str, Any]:
    keys = {"severity": severity, "rule": rule, "unique_id": unique_id, "ds": pd.NaT, "row": 0}
    return {**keys, "column": "number of rows", "value": value, "problem": problem}
