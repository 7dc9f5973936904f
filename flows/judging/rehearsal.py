"""What a retrain would make of data, without training: what it would refuse, what it would leave out, what is left."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from gatecast.data.dates.panels import find_schedules
from gatecast.data.dates.rules import DateRules
from gatecast.data.errors import InputError
from gatecast.data.quality.validation import ERROR, WARNING, as_problems
from gatecast.data.sequences.regular import regular_frame
from gatecast.data.sequences.sequences import Sequences, build_sequences
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
        rules = DateRules(**settings.data.dates)
        if settings.target is None:
            rows = regular_frame(rows, rules).frame
        series = series_frame(rows, settings.target, settings.features)
        settings, recipe = choose_recipe(settings, rows)
        windows = sequence_settings(settings)
    except InputError as error:
        return _refused(str(error))
    try:
        sequences = build_sequences(series, windows, rules=rules)
        find_schedules(sequences.ds, sequences.offsets, sequences.timezone, rules)
    except InputError as error:
        return _refused(str(error))
    counts = [f"{len(sequences.windows_of(split)):,} {name}" for split, name in enumerate(SPLIT_NAMES)]
    summary = (
        f"A retrain would have {', '.join(counts)} windows; training ends on {sequences.boundaries['train_end']},"
        f" validation on {sequences.boundaries['validation_end']}."
    )
    if recipe:
        summary += f" {recipe}"
    if sentences := sequences.notes.sentences():
        summary += f" {' '.join(sentences)}"
    if len(series) < len(rows):
        summary += f" {len(rows) - len(series):,} rows, which lack the past that the features need, are left out."
    return Rehearsal(None, as_problems(list(_left_out(series, sequences))), summary)


def _refused(sentence: str) -> Rehearsal:
    whole = {"severity": ERROR, "rule": "refused", "unique_id": "", "ds": pd.NaT, "row": 0, "column": "", "value": ""}
    return Rehearsal(sentence, as_problems([{**whole, "problem": sentence.rstrip(".")}]), None)


def _left_out(series: pd.DataFrame, sequences: Sequences) -> Iterator[dict[str, Any]]:
    counts = series["unique_id"].value_counts(sort=False)
    for name in counts.index.difference(list(sequences.unique_ids)):
        problem = "but fewer than two of its values are known before the test; the series is left out"
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
