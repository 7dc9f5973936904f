"""What the monitor judges of the forecasts: live errors, coverage, and drift of errors."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from gatecast.data.dates.panels import local_times
from gatecast.data.errors import InputError
from gatecast.data.sequences.latest import ScaledFrame
from gatecast.data.sequences.sequences import Sequences, build_sequences
from gatecast.data.sequences.splits import TEST
from gatecast.flows.engine.ingested import read_ingested
from gatecast.flows.judging.evaluation import MODEL, NAIVE, in_unit, known_rows, sequence_settings
from gatecast.flows.judging.live import rows_between_origins
from gatecast.flows.judging.targets import series_frame, target_of
from gatecast.flows.judging.yardsticks import Yardstick
from gatecast.flows.registry.kinds import FORECASTER
from gatecast.flows.registry.registry import Registry
from gatecast.flows.settings.champion import MonitorSettings
from gatecast.flows.settings.runs import RetrainSettings
from gatecast.lstm.forecasting.drift import (
    STATISTICS,
    Rows,
    chance_greatest,
    foreseen_greatest,
    longest_constant,
    usual_greatest,
)
from gatecast.lstm.forecasting.forecaster import Forecaster
from gatecast.lstm.forecasting.metrics import skill
from gatecast.lstm.forecasting.significance import fewest_origins
from gatecast.lstm.forecasting.verdict import judge

_LOGGER = logging.getLogger(__name__)
ERROR_INTERVAL = 90
"""Percent of the test errors in the interval that live errors are compared with if forecasts have no intervals"""


@dataclass(frozen=True)
class Check:
    """One figure and its limit.

    Attributes
    ----------
    name : str
        What was checked.
    value, limit : float or None
        The figure, and the limit that it must not pass; None if there are too few rows to judge, the figure also where
        it would be infinite.
    breached : bool
    note : str
        How the figure was obtained, for people.
    retrain : bool
        Whether a retrain may help if it is breached; what is wrong with the data itself would only be learnt.
    """

    name: str
    value: float | None
    limit: float | None
    breached: bool
    note: str
    retrain: bool = True


@dataclass(frozen=True)
class Reference:
    """The data that a version was trained and tested on, as the version saw it.

    Attributes
    ----------
    model : Forecaster
    settings : RetrainSettings
        Its own, resolved.
    features : dict of column to dict of unique_id to Rows
        Scaled rows that were known at its training, including its validation and test rows, since its scores on those
        are known.
    constant : dict of unique_id to int
        How often a value came in a row at most.
    errors : DataFrame
        ``unique_id`` and ``error`` of the test rows, in the target's unit and in chronological order.
    lost : str or None
        Why its data cannot be read; then nothing is compared with it, and features and errors are empty.
    """

    model: Forecaster
    settings: RetrainSettings
    features: dict[str, dict[str, Rows]]
    constant: dict[str, int]
    errors: pd.DataFrame
    lost: str | None = None


def read_reference(registry: Registry, version: str) -> Reference:
    """Read what a version was trained and tested on; warn if its data cannot be read any more.

    Raises
    ------
    InputError
        The version cannot be read any more.
    """
    model = registry.model(version, FORECASTER)
    settings = registry.settings(version, FORECASTER)
    try:
        # What one model of a fleet learnt from lies among the series of the others.
        frame = read_ingested(registry.data(version)).query("unique_id in @model.scalers")
    except InputError as error:
        _LOGGER.warning("%s Until there is another champion, drift is not judged.", error)
        return Reference(model, settings, {}, {}, pd.DataFrame(columns=["unique_id", "error"]), f"not judged: {error}")
    series = series_frame(frame, settings.target, settings.features)
    sequences = build_sequences(series, sequence_settings(settings), scalers=model.scalers)
    tested = known_rows(in_unit(model.predict_windows(sequences, TEST), frame, target_of(settings)))
    tested = tested.sort_values("cutoff")
    errors = pd.DataFrame({"unique_id": tested["unique_id"], "error": tested["y_hat"] - tested["y"]})
    features = rows_by_series(sequences, sequences.columns)
    constant = {name: longest for name, (_, longest) in constant_runs(frame).items()}
    return Reference(model, settings, features, constant, errors)


def rows_by_series(sequences: Sequences | ScaledFrame, columns: Sequence[str]) -> dict[str, dict[str, Rows]]:
    """Return the rows of each column by series."""
    bounds = sequences.offsets[1:-1]
    times = np.split(local_times(sequences.ds.view(np.int64), sequences.timezone), bounds)
    return {
        column: dict(zip(sequences.unique_ids, map(Rows, times, np.split(values, bounds)), strict=True))
        for column, values in zip(columns, sequences.values.T.astype(np.float64), strict=True)
    }


def constant_runs(frame: pd.DataFrame) -> dict[str, tuple[int, int]]:
    """Return for each series how often its last value has come in a row, and how often any did before at most."""
    column = "y" if "y" in frame.columns else "close"
    return {str(name): longest_constant(rows.to_numpy()) for name, rows in frame.groupby("unique_id")[column]}


def check_forecasts(
    reference: Reference, live: pd.DataFrame, yardstick: Yardstick, settings: MonitorSettings
) -> list[Check]:
    """Judge the live forecasts; `flows.judging.data_checks` judges the data.

    Parameters
    ----------
    reference : Reference
        Of the champion.
    live : DataFrame
        The latest scored forecasts, see `flows.judging.live.score_forecasts`.
    yardstick : Yardstick
        Made the baselines' forecasts of them.
    settings : MonitorSettings
        The limits.
    """
    return [
        check_skill("live skill", live, yardstick, settings),
        *check_coverage(reference, live, settings),
        check_errors(reference, live, settings),
    ]


def check_skill(name: str, live: pd.DataFrame, yardstick: Yardstick, settings: MonitorSettings) -> Check:
    """Tell whether the forecasts are worse than the best baseline's, and by more than luck.

    The baseline is the one that the verdict on these rows names. One of several is the best by luck alone, so that the
    p-value has to be as many times smaller as there are baselines.
    """
    if len(live) < settings.minimum_rows:
        return _too_few(name, len(live), settings.minimum_rows)
    labels = yardstick.labels
    if settings.skill_against == "naive":
        labels = {NAIVE: labels[NAIVE]}
    share = 1 - settings.skill_limit
    # Forecasts with the errors of the baselines, each reduced by the share that the limit asks for.
    bounds = live.assign(**{label: live["y"] + share * (live[label] - live["y"]) for label in labels})
    scores = yardstick.score(bounds, [MODEL, *labels])
    step_size = rows_between_origins(live, yardstick.series)
    verdict = judge(scores, MODEL, labels, step_size, settings.significance / len(labels))
    best_score = verdict.best_score / share
    value = skill(verdict.score, best_score)
    figures = f"{verdict.measure} {verdict.score:.4g} against {best_score:.4g} of {labels[verdict.best]}"
    note = f"{figures}, {len(live):,} rows"
    if verdict.p_value is None:
        needed = fewest_origins(-(-int(live["step"].max()) // step_size))
        return Check(name, None, None, False, f"{note}, {verdict.origins} origins; {needed} are needed to judge")
    note += f", p = {verdict.p_value:.2g} that the distance from the limit is luck"
    known = value if math.isfinite(value) else None
    return Check(name, known, settings.skill_limit, verdict.outcome == "worse", note)


def check_coverage(reference: Reference, live: pd.DataFrame, settings: MonitorSettings) -> Iterator[Check]:
    """Tell whether the intervals contain the actual values as often as they claim.

    If the forecasts have no intervals, the interval is that of the middle 90 % of the test errors of each series.
    """
    levels = [name.removeprefix("covered-") for name in map(str, live) if name.startswith("covered-")]
    if len(live) < settings.minimum_rows:
        yield _too_few("coverage", len(live), settings.minimum_rows)
    elif levels:
        for level in levels:
            covered = live[f"covered-{level}"].dropna().astype(bool)
            check = _coverage(covered, float(level), f"{level} % intervals of the forecasts", settings)
            yield check if len(levels) == 1 else replace(check, name=f"coverage of {level} %")
    elif reference.lost:
        yield Check("coverage", None, None, False, reference.lost)
    else:
        tail = (100 - ERROR_INTERVAL) / 200
        tested = reference.errors.groupby("unique_id")["error"]
        error, low, high = (
            live[MODEL] - live["y"], *(live["unique_id"].map(tested.quantile(share)) for share in (tail, 1 - tail)),
        )  # fmt: skip
        covered = (error >= low) & (error <= high)
        note = f"errors within the middle {ERROR_INTERVAL} % of the test errors"
        yield _coverage(covered[low.notna()], ERROR_INTERVAL, note, settings)


def _coverage(covered: pd.Series, level: float, note: str, settings: MonitorSettings) -> Check:
    from scipy.stats import binomtest

    if len(covered) < settings.minimum_rows:
        return _too_few("coverage", len(covered), settings.minimum_rows)
    value = float(covered.mean())
    limit = level / 100 - settings.coverage_tolerance
    p_value = float(binomtest(int(covered.sum()), len(covered), level / 100, "less").pvalue)
    breached = value < limit and p_value < settings.significance
    return Check("coverage", value, limit, breached, f"{note}, {len(covered):,} rows")


def check_errors(reference: Reference, live: pd.DataFrame, settings: MonitorSettings) -> Check:
    """Tell whether live errors are distributed like the test errors, each series in units of its own test error."""
    if len(live) < settings.minimum_rows:
        return _too_few("drift of errors", len(live), settings.minimum_rows)
    if reference.lost:
        return Check("drift of errors", None, None, False, reference.lost)
    scale = reference.errors.groupby("unique_id")["error"].std().replace(0, np.nan)
    tested = [
        (rows["error"] / scale[unique_id]).to_numpy() for unique_id, rows in reference.errors.groupby("unique_id")
    ]
    values = ((live[MODEL] - live["y"]) / live["unique_id"].map(scale)).dropna().to_numpy(np.float64)
    known = [errors for errors in tested if np.isfinite(errors).all()]
    if not known or not len(values):
        return _too_few("drift of errors", 0, settings.minimum_rows)
    per_series = max(2, len(values) // max(1, live["unique_id"].nunique()))
    return drift("drift of errors", known, values, per_series, settings, "test errors")


def drift(
    name: str, reference: Sequence[np.ndarray], values: np.ndarray, length: int, settings: MonitorSettings, what: str
) -> Check:
    """Tell whether values are distributed otherwise than the reference, by more than its own stretches are.

    Parameters
    ----------
    name : str
        Of the check.
    reference : sequence of (n_k,) arrays
        One for each series.
    values : (m,) array
    length : int
        Rows of a stretch in each series.
    settings : MonitorSettings
    what : str
        The reference in words.
    """
    if not len(values) or not sum(map(len, reference)):
        return Check(name, None, None, False, "no value is known")
    value = STATISTICS[settings.drift_test](np.concatenate(reference), values)
    rows = sum(map(len, reference))
    test = settings.drift_test
    limit = max(
        settings.drift_limit,
        usual_greatest(reference, length, test),
        foreseen_greatest(reference, length, test),
        chance_greatest(rows, len(values), test),
    )
    note = f"{settings.drift_test.upper()} of the last {len(values):,} against the {what}"
    return Check(name, value, limit, value > limit, note)


def _too_few(name: str, rows: int, wanted: int) -> Check:
    return Check(name, None, None, False, f"{rows:,} scored forecasts; {wanted} are needed to judge")
