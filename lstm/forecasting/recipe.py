"""What ``auto`` means: the settings of a forecaster that its training rows decide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from gatecast.data.errors import InputError
from gatecast.data.frames import series_of
from gatecast.data.quality.series import validate_series
from gatecast.data.sequences.scaling import require_magnitudes
from gatecast.data.sequences.sequences import Sequences, SequenceSettings
from gatecast.data.sequences.splits import SplitSettings, split_series
from gatecast.data.sequences.transforms import TransformKind, YTransform, is_outside, transformed
from gatecast.data.sequences.windows import FEWEST_KNOWN
from gatecast.lstm.config import ForecasterSettings
from gatecast.lstm.forecasting.lookbacks import best_lookback
from gatecast.lstm.forecasting.panel import Panel
from gatecast.lstm.forecasting.residuals import best_residual
from gatecast.lstm.forecasting.seasons import Seasons, find_seasons, given_seasons

__all__ = ["Recipe", "choose", "panel_of", "recipe_of", "sequence_settings"]

_USUAL_LOOKBACK = 60
"""Rows that are read where there is no season"""
_SEASONS = 14
"""Seasons that are read: two weeks of days, where the rows are enough"""
_MOST_LOOKBACK = 336
_LEAST_LOOKBACK = 4
_SHARE = 0.25
"""Of the training rows of a usual series, what a window takes at most: the rest is windows to learn from"""
_SHORTER = (0.75, 0.5)
"""Shares of the usual lookback that are tried where the rows limit it"""
_LEARNING_RATE = 3e-3
_PASSES = 6
"""Over the training windows, of which overlapping ones are near-duplicates"""
_LEAST_STEPS = 2_000
_MOST_PASSES = 60
_MOST_STEPS = 12_000
_EPOCHS = 20
"""A training is cut into, so that it can end early"""
_PATIENCE = 0.4
"""Share of the epochs: while the learning rate is high, some are no better"""
_NO_LIMIT = 1_000
"""Epochs of a training that a time budget ends"""
_MOST_REFITTED = 50_000
"""Training windows up to which the validation rows are learnt too: of more, they are a small part"""


class Recipe(NamedTuple):
    """Settings without any ``auto``, and why they are so.

    Attributes
    ----------
    settings : ForecasterSettings
    sentence : str
        For the summary of a run.
    """

    settings: ForecasterSettings
    sentence: str

    def to_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps of it."""
        return {"settings": self.settings.model_dump(mode="json"), "sentence": self.sentence}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any], settings: ForecasterSettings) -> Recipe:
        """Undo `to_dict`; what the model's own `settings` do not leave open is theirs, as the backend it moved to."""
        given = {name: value for name, value in settings.model_dump().items() if value != "auto" and name != "season"}
        own = {**given, "backend": settings.backend}  # where auto is not for the data to decide
        return cls(ForecasterSettings(**{**document["settings"], **own}), document["sentence"])


def choose(settings: ForecasterSettings, panel: Panel, validated: np.ndarray | None = None) -> Recipe:
    """Choose what settings leave open, by the training rows of the data; a lookback by the validation rows as well.

    Parameters
    ----------
    settings : ForecasterSettings
    panel : Panel
        The series, as the transform leaves them, and how many rows of each train.
    validated : (n_series,) array, optional
        Rows of each series that train or validate, its first ones; by default the lookback is the usual one.

    Raises
    ------
    InputError
        A seasonal residual is asked for, and no season fits into a window.
    """
    if settings.stateful:
        return Recipe(settings.plain, "")
    settings = settings.with_residual
    seasons = _seasons_of(settings, panel)
    lookback = _lookback(settings, seasons, panel, validated) if settings.lookback == "auto" else settings.window
    spanned = tuple(period for period in seasons.periods if period <= lookback)
    _require_season(settings, seasons, spanned, lookback)
    windows = int(np.maximum(panel.trained - lookback - settings.horizon + 1, 0).sum())
    chosen = _filled(
        settings,
        lookback=lookback,
        window_scaling="standard",
        residual=best_residual(panel, lookback, settings.horizon, spanned) if settings.residual == "auto" else "",
        linear_skip="window",
        loss="mae",
        transform="none",
        learning_rate=_LEARNING_RATE,
        schedule="one_cycle",
        weight_average="ema",
        fit_until="validation" if windows <= _MOST_REFITTED else "training",
        **_lengths(settings, windows),
    ).model_copy(update={"season": spanned})
    chosen = _filled(chosen, scaling="size" if chosen.is_relative else "standard")
    return Recipe(chosen, _sentence(chosen, seasons))


def recipe_of(settings: ForecasterSettings, frame: pd.DataFrame, split: SplitSettings) -> Recipe:
    """Choose what settings leave open for a series frame; see `choose`."""
    if not settings.is_open:
        return Recipe(settings, "")
    frame = validate_series(frame, "The series frame")
    is_known = frame["y"].notna()
    enough = is_known.groupby(frame["unique_id"]).transform("sum") >= FEWEST_KNOWN
    if not enough.any():
        raise InputError(f"Fewer than {FEWEST_KNOWN} values of each series are known; give more rows.")
    unique_ids, offsets = series_of(frame[enough])
    ds = pd.DatetimeIndex(frame["ds"][enough])
    y = frame["y"].to_numpy(np.float64)[enough]
    for unique_id, (first, stop) in zip(unique_ids, pairwise(offsets), strict=True):
        require_magnitudes(y[first:stop, None], ("y",), unique_id)
    # How many rows train is the same for all lookbacks from the fewest rows that something can be forecast from.
    splits = [
        split_series(ds[first:stop], ~np.isnan(y[first:stop]), split, FEWEST_KNOWN, settings.horizon)
        for first, stop in pairwise(offsets)
    ]
    trained = np.array([of_series.train_rows for of_series in splits], np.int64)
    validated = np.array([of_series.validation_rows for of_series in splits], np.int64)
    if settings.transform != "auto" and settings.transform != "none":
        y = _transformed(y, unique_ids, offsets, trained, settings.transform)
    return choose(settings, Panel(pd.Index(unique_ids), ds, y, offsets, trained), validated)


def _transformed(
    y: np.ndarray, unique_ids: Sequence[str], offsets: np.ndarray, trained: np.ndarray, kind: TransformKind
) -> np.ndarray:
    """Return y as its training rows have it transformed; what the transform does not take becomes missing."""
    y = y.copy()
    for unique_id, (first, stop), count in zip(unique_ids, pairwise(offsets), trained, strict=True):
        of_y = YTransform.fit(y[first : first + count], kind, unique_id)
        rows = y[first:stop]
        rows[is_outside(kind, rows)] = np.nan
        y[first:stop] = transformed(of_y.kind, rows, of_y.power)
    return y


def sequence_settings(settings: ForecasterSettings, frame: pd.DataFrame, split: SplitSettings) -> SequenceSettings:
    """Return how the sequences of a series frame are built for a forecaster of these settings."""
    chosen = recipe_of(settings, frame, split).settings
    return SequenceSettings(
        lookback=chosen.window,
        horizon=chosen.horizon,
        scaling=chosen.scaler,
        transform=chosen.of_y,
        weight_column=chosen.weight_column,
        split=split,
    )


def panel_of(sequences: Sequences) -> Panel:
    """Return the series of sequences, scaled, and how many rows of each train."""
    return Panel(
        pd.Index(sequences.unique_ids),
        sequences.dates(np.arange(len(sequences.ds))),
        sequences.values[:, 0].astype(np.float64),
        sequences.offsets,
        sequences.train_rows,
    )


def _filled(settings: ForecasterSettings, **choices: Any) -> ForecasterSettings:
    """Return the settings with these choices wherever they say ``auto``."""
    given = settings.model_dump()
    open_ones = {name: choice for name, choice in choices.items() if given[name] == "auto"}
    return settings.model_copy(update=open_ones)


def _seasons_of(settings: ForecasterSettings, panel: Panel) -> Seasons:
    if settings.season == "auto":
        return find_seasons(panel)
    return given_seasons(() if settings.season == "none" else settings.season, panel)


def _require_season(settings: ForecasterSettings, seasons: Seasons, spanned: tuple[int, ...], lookback: int) -> None:
    """Raise InputError if a window is too short for the season that is asked for."""
    if settings.residual != "seasonal":
        return
    is_differenced = settings.differences == "seasonal"
    longest = lookback - 1 if is_differenced else lookback  # a window of one season has no difference
    if spanned and spanned[0] <= longest:
        return
    name, other = ("differences", "first") if is_differenced else ("residual", "last")
    found = f"none of {', '.join(map(str, seasons.periods))} rows is" if seasons.periods else "no season is"
    raise InputError(
        f"{name} seasonal needs a season within a window, but {found} within {longest} rows; set season and lookback,"
        f" or choose {name} {other}."
    )


def _lookback(settings: ForecasterSettings, seasons: Seasons, panel: Panel, validated: np.ndarray | None) -> int:
    """Return how many rows a window has: whole seasons, as many as the series are long enough for.

    Where that is fewer than usual, the rows are few, and fewer still may leave the network more to learn from.
    """
    horizon = settings.horizon
    fewest = 2 if settings.differences == "seasonal" else 1  # a window of one season has no difference
    trained = panel.trained[panel.trained > 0]
    length = float(np.median(trained)) if len(trained) else 0.0
    most = min(max(int(_SHARE * length), _LEAST_LOOKBACK), _MOST_LOOKBACK)
    if not seasons.periods:
        return min(max(_USUAL_LOOKBACK, 2 * horizon), most)
    season = seasons.main
    wanted = max(_SEASONS * season, 2 * max(seasons.periods), 2 * horizon)
    usual = max(min(wanted, most) // season, fewest) * season
    if validated is None or most >= min(wanted, _MOST_LOOKBACK):
        return usual
    shorter = [max(int(share * usual) // season, fewest) * season for share in _SHORTER]
    return best_lookback(panel, validated, list(dict.fromkeys([usual, *shorter])), horizon)


def _lengths(settings: ForecasterSettings, windows: int) -> dict[str, int]:
    """Return how long to train on so many windows: `steps_per_epoch`, `max_epochs` and `patience`."""
    batches = max(1, -(-windows // settings.batch_size))
    steps = min(max(_PASSES * batches, min(_LEAST_STEPS, _MOST_PASSES * batches)), _MOST_STEPS)
    steps_per_epoch = settings.epoch_steps or batches
    if settings.steps_per_epoch == "auto":
        steps_per_epoch = min(batches, -(-steps // _EPOCHS))
    epochs = -(-steps // steps_per_epoch)
    return {
        "steps_per_epoch": steps_per_epoch,
        "max_epochs": epochs if settings.max_minutes is None else _NO_LIMIT,
        "patience": max(5, int(_PATIENCE * epochs)),
    }


def _sentence(settings: ForecasterSettings, seasons: Seasons) -> str:
    how = {
        "none": "as they are",
        "last": "less their last value",
        "mean": "divided by their mean size",
        "standard": "scaled by their own rows",
    }
    added = {
        "none": "",
        "last": " added to the last value",
        "seasonal": f" added to the season of {seasons.main} before",
    }
    of_y = {"none": "", "log": " of logarithms", "log1p": " of logarithms of 1 + y", "boxcox": " of Box-Cox powers"}
    changes = {"none": "", "first": " of changes", "seasonal": " of changes from a season before"}
    windows = f"{settings.window} rows{changes[settings.differences]}{of_y[settings.of_y]}"
    return (
        f"{seasons.sentence} Windows of {windows}, {how[settings.window_scaling]}; forecasts"
        f"{added[settings.residual] or ' of the values themselves'}, trained by {settings.loss}."
    )
