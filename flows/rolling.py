"""Models in a backtest: which ones, and their forecasts from rolling origins, without Prefect."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from functools import reduce
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from pydantic import BaseModel, ConfigDict

from gatecast.data.errors import InputError
from gatecast.flows.engine.ingested import read_ingested
from gatecast.flows.judging import evaluation
from gatecast.flows.judging.evaluation import KEYS, MODEL
from gatecast.flows.judging.targets import series_frame, target_of
from gatecast.flows.judging.yardsticks import Yardstick
from gatecast.flows.registry.catalogue import find_registry
from gatecast.flows.registry.kinds import FORECASTER
from gatecast.flows.settings.runs import BacktestSettings, RetrainSettings
from gatecast.flows.settings.workspace import Workspace
from gatecast.lstm.forecasting.backtest import cross_validation
from gatecast.lstm.forecasting.forecaster import Forecaster
from gatecast.lstm.models import load


class Entrant(BaseModel):
    """A model in a backtest.

    Attributes
    ----------
    column : str
        Of its forecasts.
    label : str
        What people call it.
    settings : RetrainSettings
        Its own, resolved.
    path : str or None
        Folder of the version that is taken as it is; None trains again.
    """

    model_config = ConfigDict(frozen=True)

    column: str
    label: str
    settings: RetrainSettings
    path: str | None


def entrants_of(settings: BacktestSettings, workspace: Workspace) -> list[Entrant]:
    """Return the models that are named in ``models``, each with the settings that it was trained with.

    Raises
    ------
    InputError
        There is no such model or version, it comes twice, or it does not forecast what the first one forecasts.
    """
    found: list[Entrant] = []
    for text in settings.models:
        name, _, wanted = text.partition("@")
        registry = find_registry(workspace, name)
        registry.require_kind(FORECASTER, "leave it out of --models")
        version = registry.find(wanted or "champion")
        column = f"{name}@{version.split('-')[0]}"
        own = registry.settings(version, FORECASTER)
        if any(column == each.column for each in found):
            raise InputError(f"{text!r} names {column} a second time; give each version once.")
        for what, first, other in (
            ("target", found[0].settings.target or "y", own.target or "y") if found else ("", "", ""),
            ("horizon", found[0].settings.model.horizon, own.model.horizon) if found else ("", "", ""),
        ):
            if first != other:
                raise InputError(
                    f"{found[0].column} has {what} {first} and {column} has {what} {other}; such models cannot be held"
                    " against each other."
                )
        path = None if settings.refit else str(registry.path(version))
        found.append(Entrant(column=column, label=column, settings=own, path=path))
    return found


class Rolled(NamedTuple):
    """Forecasts from rolling origins.

    Attributes
    ----------
    predictions : DataFrame
        ``unique_id, cutoff, ds, step, y``, a column for each model and one for each baseline.
    notes : tuple of str
        Where a baseline lacked rows: one sentence each.
    """

    predictions: pd.DataFrame
    notes: tuple[str, ...]


def forecast_all(
    bars: Path,
    entrants: Sequence[Entrant],
    settings: BacktestSettings,
    pool: Executor | None = None,
    on_windows: Callable[[int], None] | None = None,
) -> Rolled:
    """Let all models and baselines forecast the same rows.

    Parameters
    ----------
    bars : Path
        Folder of the data, see `flows.engine.ingested`.
    entrants : sequence of Entrant
    settings : BacktestSettings
        Of the first of them, resolved: target, origins.
    pool : Executor, optional
        Processes that train and forecast; it is done here if left out.
    on_windows : callable, optional
        Called with a number of further origins that are done.
    """
    work = [(entrant, only) for entrant in entrants for only in stretches(settings, entrant)]
    results: Iterator[pd.DataFrame]
    if pool is None:
        frame = read_ingested(bars)
        results = (forecast_rolling(frame, entrant, settings, only) for entrant, only in work)
    else:
        futures = [pool.submit(_forecast_alone, bars, entrant, settings, only) for entrant, only in work]
        results = (future.result() for future in futures)
    parts: dict[str, list[pd.DataFrame]] = {entrant.column: [] for entrant in entrants}
    for (entrant, only), rows in zip(work, results, strict=True):
        parts[entrant.column].append(rows)
        if on_windows is not None:
            on_windows(len(only))
    each = [
        unseen(pd.concat(parts[entrant.column], ignore_index=True), entrant).rename(columns={MODEL: entrant.column})
        for entrant in entrants
    ]
    rows = reduce(lambda left, right: left.merge(right.drop(columns="y"), on=list(KEYS)), each)
    if rows.empty:
        raise InputError("No row is forecast by all of these models; give later data, or fewer models.")
    return hold_against(rows, read_ingested(bars), entrants, settings)


def stretches(settings: BacktestSettings, entrant: Entrant) -> list[range]:
    """Return the numbers of the origins between one training and the next; all of them if there is no training."""
    length = settings.refit if entrant.path is None else settings.n_windows
    return [
        range(first, min(first + length, settings.n_windows)) for first in range(0, settings.n_windows, max(1, length))
    ]


def _forecast_alone(bars: Path, entrant: Entrant, settings: BacktestSettings, only: range) -> pd.DataFrame:
    """Do the work of a process, on one thread."""
    from gatecast.kernels.backend import use_threads

    use_threads(1)
    return forecast_rolling(read_ingested(bars), entrant, settings, only)


def forecast_rolling(
    frame: pd.DataFrame,
    entrant: Entrant,
    settings: BacktestSettings,
    only: range | None = None,
    on_window: Callable[[int], None] | None = None,
) -> pd.DataFrame:
    """Return ``unique_id, cutoff, ds, step, y`` and the forecasts of a model, `MODEL`, in the unit that people read."""
    own = entrant.settings
    model = Forecaster.from_settings(own.model) if entrant.path is None else load(Path(entrant.path))
    known = frame if entrant.path is None else frame[frame["unique_id"].isin(model.scalers)]
    raw = cross_validation(
        model,
        series_frame(known, own.target, own.features),
        settings.n_windows,
        settings.step_size,
        settings.refit if entrant.path is None else 0,
        split=own.split,
        on_window=on_window,
        only=only,
        gaps="keep",  # those of series are filled where they were read
        asked={"level": ()},
    )
    raw["step"] = raw.groupby(["unique_id", "cutoff"]).cumcount() + 1
    rows = evaluation.in_unit(raw, frame, target_of(own)).rename(columns={"y_hat": MODEL})[[*KEYS, "y", MODEL]]
    return evaluation.known_rows(rows)


def unseen(rows: pd.DataFrame, entrant: Entrant) -> pd.DataFrame:
    """Return the rows that a version which is taken as it is was not trained on or stopped by."""
    if entrant.path is None:
        return rows
    seen_until = load(Path(entrant.path)).ends("validation_end", rows["unique_id"].unique())
    unseen = rows[rows["cutoff"] >= rows["unique_id"].map(seen_until)].reset_index(drop=True)
    if unseen.empty:
        raise InputError(
            f"{Path(entrant.path).name} was trained on all of these rows, up to {seen_until.max():%Y-%m-%d}, so they"
            " are no test of it; give later data, or refit."
        )
    return unseen


def hold_against(
    rows: pd.DataFrame, frame: pd.DataFrame, entrants: Sequence[Entrant], settings: BacktestSettings
) -> Rolled:
    """Add the forecasts of the baselines, which are fitted as often as the models, on the same rows."""
    yardstick = yardstick_of(rows, frame, entrants, settings)
    if all(entrant.path is not None for entrant in entrants):
        forecasts = yardstick.forecast(rows)
        return Rolled(rows.join(forecasts.values), forecasts.notes)
    folds = rows["cutoff"].rank(method="dense").astype(int).sub(1) // settings.refit
    each = [yardstick.until(part["cutoff"].min()).forecast(part) for _, part in rows.groupby(folds)]
    notes = dict.fromkeys(note for forecasts in each for note in forecasts.notes)
    return Rolled(rows.join(pd.concat([forecasts.values for forecasts in each])), tuple(notes))


def yardstick_of(
    rows: pd.DataFrame, frame: pd.DataFrame, entrants: Sequence[Entrant], settings: BacktestSettings
) -> Yardstick:
    """Return the baselines, fitted on what the models knew at first."""
    paths = [entrant.path for entrant in entrants if entrant.path is not None]
    names = frame["unique_id"].unique()
    ends = [load(Path(path)).ends("train_end", names) for path in paths]
    return Yardstick.of(frame, settings, pd.concat(ends, axis=1).max(axis=1) if ends else rows["cutoff"].min())


def labels_of(entrants: Sequence[Entrant]) -> Mapping[str, str]:
    """Return what people call the columns of models."""
    return {entrant.column: entrant.label for entrant in entrants}
