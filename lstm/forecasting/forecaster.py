"""`Forecaster`: one LSTM for many series, from a long frame to what comes next."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self, Unpack

import numpy as np
import pandas as pd

from gatecast.data.dates.panels import in_words
from gatecast.data.dates.rules import DateRules, require_closed
from gatecast.data.errors import CheckpointError, InputError
from gatecast.data.quality.series import validate_series
from gatecast.data.sequences.regular import regular_frame
from gatecast.data.sequences.scaling import Scaler
from gatecast.data.sequences.sequences import FOUND, Gaps, Sequences, build_sequences
from gatecast.data.sequences.splits import TEST, TRAIN, VALIDATION, SplitSettings, ends_of
from gatecast.data.sources.columns import Columns
from gatecast.data.sources.given import ColumnNames, GivenFrame, columns_of, read_frame
from gatecast.kernels.window_scaling import WindowScaling
from gatecast.lstm.config import ForecasterSettings
from gatecast.lstm.forecasting import checks
from gatecast.lstm.forecasting.calibration import Calibration
from gatecast.lstm.forecasting.context import Context
from gatecast.lstm.forecasting.ensemble import Ensemble, ScaledForecast
from gatecast.lstm.forecasting.fitting import Fitting, has_gaps, last_rows
from gatecast.lstm.forecasting.members import fit_members, member_checkpoint, parts_of_members
from gatecast.lstm.forecasting.names import SeriesNames
from gatecast.lstm.forecasting.network import Network
from gatecast.lstm.forecasting.prediction import frame_of_windows
from gatecast.lstm.forecasting.reader import Predicted
from gatecast.lstm.forecasting.recipe import Recipe, choose, panel_of, sequence_settings
from gatecast.lstm.forecasting.scaled_windows import scaling_of
from gatecast.lstm.forecasting.uncertainty import DEFAULT_LEVELS, Wanted, intervals
from gatecast.lstm.forecasting.validation import calibrate
from gatecast.lstm.forecasting.window_steps import make_steps
from gatecast.lstm.nn.initialisation import count_weights
from gatecast.lstm.training.checkpoint import Checkpoint
from gatecast.lstm.training.loop import EpochRecord
from gatecast.lstm.training.model import Arrays, TrainedModel, require_checkpoint_options
from gatecast.lstm.training.signature import takes_settings

__all__ = ["Forecaster"]

# A stateful model has seen the whole past in training; what is more than this many lookbacks back has faded, so
# `predict` reads no further.
_STATEFUL_CONTEXT = 8


class Forecaster(TrainedModel[Network]):
    """Predict the next `horizon` rows of each series from its last `lookback` rows, all at once (direct multi-step).

    One network serves every ``unique_id``, or `n_models` of them together; each series is scaled by its own training
    rows. Columns other than ``y`` are historical covariates: known up to the row a forecast is made from. One object
    serves one thread at a time.

    Parameters
    ----------
    **settings
        The fields of `lstm.config.ForecasterSettings`.
    """

    kind = "Forecaster"
    settings: ForecasterSettings

    @takes_settings(ForecasterSettings)
    def __init__(self, **settings: Any) -> None:
        """Make a Forecaster that is not fitted yet."""
        super().__init__()
        self.settings = ForecasterSettings(**settings)
        self._recipe: Recipe | None = None
        self.sees_missing = False
        """Whether the network reads which rows are missing"""
        self.columns: tuple[str, ...] = ()
        """Columns of the training data, ``y`` first; empty before `fit`"""
        self.scalers: dict[str, Scaler] = {}
        """One for each ``unique_id``"""
        self.started_from = ""
        """SHA-256 of the weights that training began with, if a model was given to start from"""
        self.boundaries: dict[str, str] = {}
        """Last timestamps of training and validation, the latest over all series"""
        self.own_boundaries: dict[str, dict[str, str]] = {}
        """The same of each series that has other ones"""
        self.step_variance: np.ndarray | None = None
        """Of the errors of scaled forecasts, to put the mean of transformed values back; None where nothing is put back
        so, and in a checkpoint of an epoch"""
        self.calibration: Calibration | None = None
        """How far forecasts are off, for intervals; None in a checkpoint of an epoch, and in models of
        before"""
        self._validated: Predicted | None = None
        self._context: Context | None = None
        self._names: SeriesNames | None = None
        self._members: tuple[Self, ...] = ()

    # ---------------------------------------------------------------- training

    def fit(
        self,
        df: pd.DataFrame,
        split: SplitSettings | None = None,
        *,
        gaps: Gaps = "mask",
        id_column: str | Sequence[str] | None = None,
        time_column: str | None = None,
        target: str | None = None,
        exclude: Sequence[str] = (),
        **options: Any,
    ) -> Self:
        """Train on a long frame.

        Parameters
        ----------
        df : DataFrame
            ``unique_id``, ``ds``, ``y``; further numeric columns are historical covariates. Values may be missing.
            Other usual names are known, whole numbers in place of dates are steps, and a frame without a column of
            names is one series.
        split : SplitSettings, optional
            Where training and validation end; by default the last tenth of each series validates and nothing is held
            back for a test.
        gaps : {"mask", "keep"}
            Put rows that are missing on the calendar of a series in, as missing values, or take the rows around a gap
            for neighbours.
        id_column : str or list of str, optional
            The column with the names of the series, or several that name them together. Forecasts have the names of
            the frame, so that they can be merged with it, and other frames of the same form can be forecast.
        time_column, target : str, optional
            The columns with the timestamps and with what is forecast.
        exclude : sequence of str
            Columns to leave out.
        **options
            As for `fit_sequences`.
        """
        asked = columns_of(id_column, time_column, target, exclude)
        given = read_frame(df, asked)
        frame = validate_series(given.frame, "The series frame")
        rules = DateRules(options.get("freq"), require_closed(options.get("closed", ())), options.get("calendar"))
        if gaps == "mask":
            frame = regular_frame(frame, rules).frame
        settings = sequence_settings(self.settings, frame, split or SplitSettings(test_fraction=0))
        sequences = build_sequences(frame, settings.model_copy(update={"gaps": gaps}), rules=rules)
        self._names = SeriesNames.of_frame(given, asked.exclude)
        return self.fit_sequences(sequences, **options)

    def fit_sequences(
        self,
        sequences: Sequences,
        *,
        checkpoints: Path | None = None,
        keep: int = 3,
        resume: bool = False,
        on_epoch: Callable[[EpochRecord], None] | None = None,
        freq: str | None = None,
        closed: Sequence[str] = (),
        calendar: str | None = None,
        start: Forecaster | None = None,
    ) -> Self:
        """Train on sequences that are scaled and split already.

        Parameters
        ----------
        sequences : Sequences
        checkpoints : Path, optional
            Folder for a loadable checkpoint after each epoch.
        keep : int
            How many of them stay.
        resume : bool
            Go on from the newest whole checkpoint in that folder; the end is the same, bit for bit, as without the
            interruption. False starts from scratch and removes the folder's checkpoints.
        on_epoch : callable, optional
            Called with the record of each epoch of each network, those before a resumption included.
        freq : str, optional
            Exactly when rows come, for the dates of the forecasts, as pandas writes it: D, B, W-FRI, MS, h, 30min. By
            default the open days and hours, or the days of the month, are found in the rows.
        closed : sequence of str
            Days of the week on which none comes, as ``SUN``.
        calendar : str, optional
            Exchange on whose sessions alone they come, as XNYS; by default the one whose holidays the rows keep.
        start : Forecaster, optional
            A fitted model to begin with the weights of, which must have the same columns and shapes. They are validated
            as epoch 0, and kept if no epoch is better. Of an ensemble, each network begins with the one of its number.

        Raises
        ------
        InputError
            When lookback or horizon of the sequences are not the model's, or `start` has other columns or shapes.
        TrainingError
            When training diverges.
        ValueError
            When `resume` is asked for without a folder, or `keep` is below 1.
        """
        require_checkpoint_options(checkpoints, keep, resume)
        rules = DateRules(freq, require_closed(closed), calendar)
        starts = () if start is None else start.members
        weights = None
        if start is not None:
            # A trial, so that this model stays as it was if the weights do not fit.
            trial = type(self).from_settings(self.settings)._adopt(sequences, rules)
            checks.require_same_series(start.unique_ids, sequences.unique_ids, self.settings)
            checks.require_same_gaps(start.sees_missing, has_gaps(sequences))
            weights = checks.weights_to_start(start.network, start.columns, trial, sequences.columns)
        network = self._adopt(sequences, rules)
        learnt = start is not None and checks.has_learnt_validation(start.boundaries, start.own_boundaries, sequences)
        self.started_from = "" if weights is None else checks.hash_of_weights(weights)
        if self.settings.n_models > 1:
            options = {"keep": keep, "resume": resume, "freq": freq, "closed": closed, "calendar": calendar}
            self._unite(fit_members(self, sequences, starts, checkpoints, on_epoch, options))
            return self._calibrate(sequences, start if learnt else None)
        stopped = self._stopped(checkpoints, resume, self.data_hash)
        if stopped is not None and stopped.started_from != self.started_from:
            raise CheckpointError(f"What {checkpoints} holds began with other weights; train again without resume.")
        fitting = Fitting(self.chosen, sequences, self.scaling)
        if weights is not None:
            network.parameters.load(weights)
        elif stopped is None:
            fitting.begin(network, TRAIN)
        validation = fitting.validation(network)
        self._train(
            network, fitting.batches(network, TRAIN), validation, fold_losses=validation.fold_losses,
            stopped=stopped, checkpoints=checkpoints, keep=keep, on_epoch=on_epoch, make_steps=make_steps,
            average_decay=self.chosen.average_decay, validate_first=start is not None or network.skip is not None,
        )  # fmt: skip
        self.step_variance = fitting.step_variance(network)
        trained = self._require_snapshot()
        self._validated = validation.cross_forecasts(trained)
        self._snapshot = trained.without_folds
        self._calibrate(sequences, start if learnt else None)
        if fitting.is_refitted and start is None:
            self._refit(fitting)
        return self

    def _calibrate(self, sequences: Sequences, former: Forecaster | None) -> Self:
        """Measure how far forecasts of the validation rows are off, by the common forecast of all members.

        `former` is a model that this one began with and that has learnt those rows, which say nothing of it: what was
        measured for that model stays.
        """
        forecasts = [member._validated for member in self.members]
        calibration = former.calibration if former else calibrate(self.chosen, sequences, forecasts)
        for model in (self, *self.members):
            model.calibration = calibration
        return self

    def _refit(self, fitting: Fitting) -> None:
        """Train again, with the validation rows too, for as many steps as were best."""
        assert self._snapshot is not None, "the training has a snapshot"
        network = self._new_network()
        snapshot = fitting.train_until(VALIDATION, network, self._snapshot)
        self._network = network
        self._snapshot = snapshot
        self.boundaries = {**self.boundaries, "train_end": self.boundaries["validation_end"]}
        self.own_boundaries = {
            name: {**ends, "train_end": ends["validation_end"]} for name, ends in self.own_boundaries.items()
        }

    def refit(self, sequences: Sequences, *, rules: DateRules = FOUND) -> Self:
        """Return a model like this one that has learnt all rows, those of validation and test as well.

        Each network is trained anew, from its seed, for as many steps as were best when it was validated. What the data
        chose stays as it was.

        Parameters
        ----------
        sequences : Sequences
            Of any split, built with this model's settings and ``fit_scalers_on`` all.
        rules : DateRules
            What is said of the dates.

        Raises
        ------
        InputError
            The sequences have other sizes.
        """
        refitted = []
        for member in self.members:
            model = type(self).from_settings(member.chosen)
            network = model._adopt(sequences, rules)
            assert member._snapshot is not None, "a fitted model has a snapshot"
            fitting = Fitting(model.chosen, sequences, model.scaling)
            model._snapshot = fitting.train_until(TEST, network, member._snapshot)
            model.total_steps = member.total_steps
            model.step_variance = member.step_variance
            model.calibration = self.calibration
            model.boundaries, model.own_boundaries = last_rows(sequences)
            model._names = self._names
            refitted.append(model)
        if len(refitted) == 1:
            return refitted[0]
        united = type(self).from_settings(self.chosen)
        united._adopt(sequences, rules)
        return united._unite(tuple(refitted))

    def _unite(self, members: tuple[Self, ...]) -> Self:
        """Become the ensemble of these; `history`, and whatever there is of one network, are of the first."""
        self._members = members
        of_training = "_network", "_snapshot", "total_steps", "boundaries", "own_boundaries"
        for name in (*of_training, "step_variance", "calibration"):
            setattr(self, name, getattr(members[0], name))
        return self

    @property
    def members(self) -> tuple[Self, ...]:
        """The forecasters of one network each that this one is made of; itself if it has a single one."""
        return self._members or (self,)

    def _adopt(self, sequences: Sequences, rules: DateRules) -> Network:
        self._recipe = choose(self.settings.with_lookback(sequences.settings.lookback), panel_of(sequences))
        checks.require_sizes(sequences, self.chosen)
        self.columns = sequences.columns
        self.boundaries = sequences.boundaries
        self.own_boundaries = sequences.own_boundaries
        self.scalers = dict(zip(sequences.unique_ids, sequences.scalers, strict=True))
        self.sees_missing = has_gaps(sequences)
        if self.sees_missing and self.chosen.stateful:
            raise InputError(
                "A stateful model carries its state along complete series, and some rows have no value; leave stateful"
                " out."
            )
        self.data_hash = sequences.content_hash
        self._context = Context.of_sequences(sequences, self.context_rows, rules)
        if self._names and not set(self._names.names) >= set(sequences.unique_ids):
            self._names = None  # of a frame that it was fitted on before
        self._network = self._new_network()
        self._snapshot = None
        self._members = ()
        self.calibration = None
        self._validated = None
        return self._network

    def _make_network(self) -> Network:
        settings = self.chosen
        columns = len(self.columns) + self.sees_missing
        embedding = len(self.unique_ids), settings.series_embedding
        return Network(columns, settings.horizon, settings, settings.skip_size, settings.loss, embedding)

    def _least_weights(self) -> int:
        settings = self.chosen
        sizes = settings.hidden_size, settings.num_layers, settings.directions
        of_a_step = settings.directions * settings.hidden_size + settings.skip_size
        of_series = len(self.unique_ids) * settings.series_embedding
        columns = len(self.columns) + settings.series_embedding
        return count_weights(columns, *sizes) + settings.horizon * of_a_step + of_series

    # ---------------------------------------------------------------- results

    def predict(
        self,
        df: pd.DataFrame | None = None,
        *,
        level: Sequence[float] | None = None,
        quantiles: Sequence[float] = (),
        n_samples: int = 0,
        seed: int = 0,
    ) -> pd.DataFrame:
        """Forecast what follows each series.

        Parameters
        ----------
        df : DataFrame, optional
            Long frame, columns as in training, or ``unique_id``, ``ds`` and ``y``; by default the data the model was
            fitted on is continued. Its series need not be those of the training; one with less than two known values is
            left out, with a warning.
        level : sequence of float, optional
            Probability of each interval in percent; () gives none. By default 80 and 95 where nothing else is asked
            for; none of a model that an older Gatecast trained, and 90 with `n_samples`.
        quantiles : sequence of float
            Shares between 0 and 1.
        n_samples : int
            Number of samples of Monte-Carlo dropout that mean, intervals and quantiles are taken from; see `sample`.
        seed : int
            Of the samples.

        Returns
        -------
        DataFrame
            ``unique_id`` and ``ds``, as the frame calls them, and ``y_hat``: `horizon` rows for each series; also
            ``y_hat-lo-80`` and ``y_hat-hi-80`` for a level of 80, and ``y_hat-q-10`` for a quantile of .1.

        Raises
        ------
        InputError
            A level is not between 0 and 100, a quantile not between 0 and 1, or one comes twice; or the model has no
            errors to make intervals of.
        """
        ensemble = self._ensemble()
        if n_samples:
            frame, samples = self.sample(df, n_samples=n_samples, seed=seed, dropout=True)
            by_default = () if len(quantiles) else (90,)
            return frame.assign(**intervals(samples, by_default if level is None else level, quantiles))
        wanted = self._wanted(level, quantiles)
        context, names = self._given(df)
        scaled = ensemble.forecast_next(context)
        columns = {"y_hat": ensemble.y_hat(scaled), **self._bounds(ensemble, scaled, wanted)}
        rows = context.next_rows(self.settings.horizon)
        forecast = rows.assign(**{name: values.ravel() for name, values in columns.items()})
        return names.restored(forecast) if names else forecast

    def sample(
        self, df: pd.DataFrame | None = None, *, n_samples: int = 100, seed: int = 0, dropout: bool = False
    ) -> tuple[pd.DataFrame, np.ndarray]:
        """Draw courses of what follows each series.

        The forecast is added to errors as large, and as alike over the steps ahead, as those of the validation rows
        were (a Gaussian copula), so that sums over the steps, peaks and the like have the right spread. Series are
        drawn independently of each other.

        Parameters
        ----------
        df : DataFrame, optional
            As for `predict`.
        n_samples : int
        seed : int
            The same seed draws the same samples.
        dropout : bool
            Drop out as in training, and add what remains of the errors: see `uncertainty.calibrated`.

        Returns
        -------
        frame : DataFrame
            ``unique_id`` and ``ds``, `horizon` rows for each series.
        samples : (n_samples, rows) array
            Of those rows, in y's unit; a sample is one course over all the steps ahead.

        Raises
        ------
        InputError
            When `dropout` is asked of a model that was trained without, or samples of one without known errors.
        """
        ensemble = self._ensemble()
        context, names = self._given(df)
        checks.require_samples(n_samples, self.settings, dropout)
        if dropout:
            losses = [min(record.validation_loss for record in member.history) for member in self.members]
            loss = sum(losses) / len(losses)
            values = ensemble.sample_dropout(context, self.calibration, loss, n_samples, seed)
        else:
            values = ensemble.sample(ensemble.forecast_next(context), self._known_errors(), n_samples, seed)
        values = values.reshape(n_samples, -1)
        rows = context.next_rows(self.settings.horizon)
        return (names.restored(rows), values[:, names.order_of(rows)]) if names else (rows, values)

    def attention_weights(self, df: pd.DataFrame | None = None) -> pd.DataFrame:
        """Return how much the forecast of each series looks at each of its last rows.

        Parameters
        ----------
        df : DataFrame, optional
            As for `predict`.

        Returns
        -------
        DataFrame
            ``unique_id``, ``head`` (from 0), ``ds`` and ``weight``, of several networks their mean; the weights of a
            series and head add up to 1.
        """
        context, names = self._given(df)
        weights = self._attending().attention_weights(context)
        return names.restored(weights) if names else weights

    def attention_of_windows(self, sequences: Sequences, split: int) -> tuple[pd.DataFrame, np.ndarray]:
        """Return how much the forecasts of `predict_windows` look at each row of their windows.

        Returns
        -------
        windows : DataFrame
            ``unique_id`` and ``cutoff`` of each window.
        weights : (n, heads, lookback) array
        """
        windows = sequences.windows_of(split)
        unique_ids = np.array(sequences.unique_ids, dtype=object)[windows.series]
        frame = pd.DataFrame({"unique_id": unique_ids, "cutoff": sequences.dates(windows.end - 1)})
        return frame, self._attending().attention_of_windows(sequences, windows)

    def _wanted(self, level: Sequence[float] | None, quantiles: Sequence[float]) -> Wanted:
        if level is None:
            level = DEFAULT_LEVELS if self.calibration is not None and len(quantiles) == 0 else ()
        return Wanted(level, quantiles)

    def _bounds(self, ensemble: Ensemble, forecast: ScaledForecast, wanted: Wanted) -> dict[str, np.ndarray]:
        if not wanted.columns:
            return {}
        bounds = ensemble.bounds(forecast, self._known_errors(), wanted.probabilities)
        return wanted.of_bounds(list(bounds))

    def _known_errors(self) -> Calibration:
        if self.calibration is None:
            raise InputError(
                "The model does not know how far its forecasts are off, since an older Gatecast trained it or its"
                " training was not over; train it again for intervals, or leave them out with level=()."
            )
        return self.calibration

    def _ensemble(self) -> Ensemble:
        networks = tuple(member.network for member in self.members)
        variances = tuple(member.step_variance for member in self.members)
        return Ensemble(networks, self.chosen, self.scaling, variances, self.unique_ids)

    def _attending(self) -> Ensemble:
        if self.network.attention is None:
            raise InputError("The model has no attention; train it with attention dot, general or additive.")
        return self._ensemble()

    def _given(self, df: pd.DataFrame | None) -> tuple[Context, SeriesNames | None]:
        """Return the end of each series of `df`, by default of the data the model was fitted on, and their names."""
        if df is None:
            return self._own_context, self._names
        given = self._read(df)
        context = Context.of_frame(given.frame, self.columns, self.scalers, self.context_rows, self._context)
        return context, SeriesNames.of_frame(given)

    def _read(self, df: pd.DataFrame) -> GivenFrame:
        """Read a frame as that of the training."""
        return self._names.read(df) if self._names else read_frame(df, Columns())

    @property
    def _own_context(self) -> Context:
        assert self._context is not None  # there is a network only if there is a context
        return self._context

    def ends(self, name: Literal["train_end", "validation_end"], unique_ids: Iterable[str]) -> pd.Series:
        """Return the last timestamp of training or validation for each of several series, by ``unique_id``."""
        return ends_of(name, unique_ids, self.boundaries, self.own_boundaries)

    def cross_validation(
        self,
        df: pd.DataFrame,
        n_windows: int = 1,
        step_size: int = 1,
        refit: bool | int = False,
        *,
        level: Sequence[float] | None = None,
        quantiles: Sequence[float] = (),
        **columns: Unpack[ColumnNames],
    ) -> pd.DataFrame:
        """Forecast the end of a long frame from several origins, each time with what was known then.

        Parameters
        ----------
        df : DataFrame
            As for `fit`.
        n_windows : int
            How many origins of each series. The last lies `horizon` of its rows before its end.
        step_size : int
            Rows from one origin to the next.
        refit : bool or int
            True trains again, with these settings, at every origin; a number n at every n-th. False uses this model as
            it is, whatever it was fitted on; one that is not fitted is trained once, at the first origin.
        level, quantiles : sequence of float
            As for `predict`.
        **columns
            ``id_column``, ``time_column``, ``target`` and ``exclude``, as for `fit`; by default those of the training.

        Returns
        -------
        DataFrame
            ``unique_id``, ``ds``, ``cutoff`` (last row known), ``y``, ``y_hat``, and what else `predict` returns,
            origin by origin, as the frame calls them. A series that was not trained on is left out, and origins with
            fewer than two rows up to them. A training stops at the earliest origin of a window.

        Raises
        ------
        InputError
            There are too few rows for `n_windows` windows, or a number is below 1.
        """
        from gatecast.lstm.forecasting import backtest

        # A model that was not trained on masked gaps, as of bars, is not tested on them either.
        gaps = self._context.gaps if self._context else "mask"
        given = read_frame(df, columns_of(**columns)) if columns else self._read(df)
        asked = {"level": level, "quantiles": quantiles}
        forecasts = backtest.cross_validation(self, given.frame, n_windows, step_size, refit, gaps=gaps, asked=asked)
        names = SeriesNames.of_frame(given)
        return names.renamed(forecasts) if names else forecasts

    def predict_windows(
        self, sequences: Sequences, split: int, *, level: Sequence[float] = (), quantiles: Sequence[float] = ()
    ) -> pd.DataFrame:
        """Forecast every window of a split, for scoring.

        Parameters
        ----------
        sequences : Sequences
            Built with this model's lookback, horizon and scalers.
        split : int
            TRAIN, VALIDATION or TEST of `data.sequences.splits`.
        level, quantiles : sequence of float
            As for `predict`; none by default.

        Returns
        -------
        DataFrame
            ``unique_id``, ``cutoff`` (last input ds), ``ds``, ``step`` (1 to horizon), ``y`` and ``y_hat`` in y's unit,
            and the bounds that are asked for.
        """
        ensemble = self._ensemble()
        checks.require_sizes(sequences, self.chosen)
        checks.require_known(sequences, self.columns, self.scalers)
        windows = sequences.windows_of(split)
        forecast = ensemble.forecast_windows(sequences, windows)
        bounds = self._bounds(ensemble, forecast, Wanted(level, quantiles))
        return frame_of_windows(sequences, windows, ensemble.y_hat(forecast), bounds)

    @property
    def recipe(self) -> Recipe:
        """The settings without any ``auto``, and why they are so; chosen by `fit`."""
        return self._recipe or Recipe(self.settings, "")

    @property
    def chosen(self) -> ForecasterSettings:
        """The settings without any ``auto``; after `fit`."""
        return self.recipe.settings

    @property
    def _training_settings(self) -> ForecasterSettings:
        return self.chosen

    @property
    def scaling(self) -> WindowScaling | None:
        """What each window is scaled by; None where it is taken as it is."""
        return scaling_of(self.chosen, self.sees_missing)

    @property
    def unique_ids(self) -> tuple[str, ...]:
        """The series that the model was trained on, by whose places it knows them."""
        return () if self._context is None else self._context.unique_ids

    @property
    def dates_in_words(self) -> str:
        """When the rows of the training data come, as ``business days``, which decides the dates of the forecasts."""
        context = self._own_context
        return in_words(context.schedules, context.schedule)

    @property
    def context_rows(self) -> int:
        """How many rows back from its origin a forecast looks."""
        return self.chosen.window * (_STATEFUL_CONTEXT if self.settings.stateful else 1)

    # ---------------------------------------------------------------- checkpoints

    def _to_checkpoint(self) -> tuple[dict[str, Any], Arrays]:
        context = self._own_context
        document = {
            "columns": list(self.columns),
            "scalers": {unique_id: scaler.to_dict() for unique_id, scaler in self.scalers.items()},
            "boundaries": self.boundaries,
            "own_boundaries": self.own_boundaries,
            "context": context.to_dict(),
            "names": self._names.to_dict() if self._names else None,
            "recipe": self.recipe.to_dict(),
            "sees_missing": self.sees_missing,
            "started_from": self.started_from,
            "step_variance": None if self.step_variance is None else self.step_variance.tolist(),
        }
        of_members, arrays = parts_of_members(self._members)
        of_errors = {} if self.calibration is None else {"calibration": self.calibration.to_arrays(self.unique_ids)}
        return {**document, **of_members}, {"context": context.to_arrays(), **of_errors, **arrays}

    def _restore(self, document: Mapping[str, Any], arrays: Mapping[str, Mapping[str, np.ndarray]]) -> None:
        self.columns = tuple(document["columns"])
        self.boundaries = document["boundaries"]
        self.own_boundaries = document.get("own_boundaries", {})  # none in models of before, whose series had the same
        self.scalers = {name: Scaler.from_dict(state) for name, state in document["scalers"].items()}
        self._context = Context.from_arrays(arrays["context"], self.scalers, **document["context"])
        names = document.get("names")  # as good as None in models of 0.1.0
        self._names = SeriesNames.from_dict(names) if names else None
        if recipe := document.get("recipe"):
            self._recipe = Recipe.from_dict(recipe, self.settings)
        self.sees_missing = bool(document.get("sees_missing", False))
        self.started_from = document.get("started_from", "")
        variance = document.get("step_variance")  # none in models of before
        self.step_variance = None if variance is None else np.array(variance, np.float64)
        if "calibration" in arrays:
            self.calibration = Calibration.from_arrays(arrays["calibration"], self.unique_ids, self.settings.horizon)
        if any(scaler.columns != self.columns for scaler in self.scalers.values()):
            raise ValueError("a scaler is of other columns")
        if self._context.values.shape[1] != len(self.columns):
            raise ValueError("its last rows have other columns")

    def _restore_rest(self, contents: Checkpoint, path: str | Path, backend: str | None) -> None:
        if self.settings.n_models > 1:
            parts = (member_checkpoint(contents, number) for number in range(self.settings.n_models))
            self._unite(tuple(self.from_checkpoint(part, path, backend) for part in parts))
