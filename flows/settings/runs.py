"""Settings of the flows that train forecasters.

A setting is written once, here, in `flows.settings.data`, in `lstm.config` or in `data.sequences.splits`: its option on
the command line, its field in the dashboard's form and its row in ``docs/settings.md`` are made from it. What only the
command line needs is in ``json_schema_extra``: ``options``, if the spelling is not just the name; ``panel``, the part
of the help that begins with this field; ``metavar``; ``argument``, for positional arguments; and ``defaults``, in
words, of settings within this field whose default depends on others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from gatecast.data.errors import InputError
from gatecast.data.sequences.splits import SAMPLE_SPLIT, SplitSettings
from gatecast.data.settings import NAME_PATTERN, Settings
from gatecast.flows.settings.data import DataSettings
from gatecast.flows.settings.locations import Address
from gatecast.lstm.config import ForecasterSettings

T = TypeVar("T")
BAR_TARGETS = ("range", "return", "close")
"""What a model can forecast of bars; the target of series is one of their columns"""
BREACH = "gatecast.monitor.breach"
"""The Prefect event that says that a model needs a retrain"""
BAD_DATA = "gatecast.monitor.data"
"""The Prefect event that says that something is wrong with the data of a model, so that a retrain would not help"""


class GateSettings(Settings):
    """What a challenger has to show to become the champion, on test rows that neither has seen."""

    minimum_gain: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Share of the champion's RMSE to take away, as 0.01; 0 is not to be worse",
        json_schema_extra={"panel": "Promotion: what a new version has to show"},
    )
    test: Literal["none", "diebold-mariano", "bootstrap"] = Field(
        "none",
        description="Test that the gain is more than luck has to pass; its p-value is recorded in any case",
        json_schema_extra={"options": ["--gate-test"]},
    )
    significance: float = Field(0.05, gt=0, lt=1, description="p-value to stay below in that test")
    must_beat: Literal["best_baseline", "naive", "nothing"] = Field(
        "nothing",
        description="What a new version must not lose to: best_baseline, naive or nothing; with nothing, one that loses"
        " to the best baseline is promoted, but marked, and an alarm is raised",
    )


class RetrainSettings(Settings):
    """Everything that decides what `flows.retrain.retrain` does. What is None is filled in by `resolved`."""

    name: str | None = Field(
        None,
        pattern=NAME_PATTERN,
        description="Name of the model; data and target by default, as sample-range",
        json_schema_extra={"panel": "This run"},
    )
    data: DataSettings = Field(default_factory=DataSettings, description="Which data to read")
    target: str | None = Field(
        None,
        description="What to forecast: of bars range (the next day's volatility, the default), return or close; of"
        " series the name of a column, by default y or the only one of numbers",
        json_schema_extra={"panel": "What to forecast", "metavar": "range|return|close|COLUMN"},
    )
    features: Literal["returns", "slides", "none"] | None = Field(
        None,
        description="What the model sees of bars besides: returns (log return, volume, range), slides (close, volume,"
        " high - low) or none; returns by default",
    )
    split: SplitSettings | None = Field(
        None,
        description="Where training and validation end: 2011 and 2013 for the sample, else shares of each series",
        json_schema_extra={
            "defaults": {
                "train_end": "70 % of each series; sample: 2011-12-31",
                "validation_end": "80 % of each series; sample: 2013-12-31",
            }
        },
    )
    seasonality: tuple[Annotated[int, Field(ge=2)], ...] | None = Field(
        None,
        description="Rows of a season, as 24, or of two, as 24,168, for the seasonal naive forecasts and the scaled"
        " errors; found in the training rows by default",
        json_schema_extra={"panel": "What it is held against", "metavar": "ROWS"},
    )
    baselines: tuple[Literal["AutoETS", "AutoTheta", "AutoARIMA"], ...] = Field(
        (),
        description="Statistical models to fit besides, which take seconds a series and which the extra"
        " baselines installs: AutoETS, AutoTheta, AutoARIMA",
        json_schema_extra={"metavar": "MODELS"},
    )
    model: ForecasterSettings = Field(
        default_factory=ForecasterSettings,
        description="The LSTM and its training",
        json_schema_extra={
            "defaults": {
                "scaling": "standard, minmax for the features slides, or size",
            }
        },
    )
    warm_start: bool = Field(
        False,
        description="Begin with the weights of the champion, which has to have the same columns and shapes; if there is"
        " none, the training starts cold",
        json_schema_extra={"panel": "Training"},
    )
    final_fit: Literal["full", "window", "none"] = Field(
        "full",
        description="What the champion forecasts with: a copy of it that is trained again on all rows, the newest too"
        " (full), on as many of the newest rows as it was trained on (window), or itself (none)",
        json_schema_extra={"panel": "Training"},
    )
    gate: GateSettings = Field(
        default_factory=GateSettings, description="What a new version has to show to become the champion"
    )

    @field_validator("seasonality", "baselines")
    @classmethod
    def _names_each_once(cls, names: tuple[T, ...] | None) -> tuple[T, ...] | None:
        if names is not None and len(set(names)) < len(names):
            raise PydanticCustomError("repeated", "a list without repetitions")
        return names

    @model_validator(mode="before")
    @classmethod
    def _column_of_target(cls, values: Any) -> Any:
        """Hand a target that is a column to the settings of the data, since it is needed when they are read."""
        if not isinstance(values, Mapping) or values.get("target") in (None, *BAR_TARGETS):
            return values
        data = values.get("data") or {}
        given = data.model_dump(exclude_unset=True) if isinstance(data, DataSettings) else data
        if not given.get("path") and given.get("source", "sample") in ("sample", "yahoo"):
            return values  # bars, which have no other targets
        return {**values, "target": None, "data": {**given, "target_column": values["target"]}}

    @field_validator("target")
    @classmethod
    def _target_of_bars(cls, target: str | None) -> str | None:
        if target not in (None, *BAR_TARGETS):
            raise ValueError("'range', 'return' or 'close'")
        return target

    @property
    def subject(self) -> str:
        """What it is about, in a word: the name of the model, or of its data if the model has no name yet."""
        return self.name or self.data.origin

    def resolved(self, kind: str) -> RetrainSettings:
        """Return the settings with nothing left to derive.

        Parameters
        ----------
        kind : {"bars", "series"}
            What the data turned out to be. A series frame brings its own target, ``y``, and its own features.

        Raises
        ------
        InputError
            A target or features were requested of a series frame.
        """
        from gatecast.data.sequences.features import FEATURE_SETS

        split = self.split or (SAMPLE_SPLIT if self.data.source == "sample" else SplitSettings())
        # Models of different horizons answer different questions, and one cannot be the other's champion.
        ahead = f"-{self.model.horizon}-steps" if self.model.horizon > 1 else ""
        model = self.model
        if self.seasonality is not None and model.season == "auto":
            model = model.model_copy(update={"season": self.seasonality})
        if kind == "series":
            if self.target or self.features:
                raise InputError(
                    f"{self.data.path} holds series, which have neither the targets nor the features of bars; leave"
                    " --target and --features out, or name a column that is called so with --target-column."
                )
            name = self.name or f"{self.data.origin}{ahead}"
            return self.model_copy(update={"name": name, "split": split, "model": model})
        target = self.target or "range"
        features = self.features or "returns"
        if model.scaling == "auto" and not model.is_relative:
            model = model.model_copy(update={"scaling": FEATURE_SETS[features].scaling})
        return self.model_copy(
            update={
                "name": self.name or f"{self.data.origin}-{target}{ahead}",
                "target": target,
                "features": features,
                "split": split,
                "model": model,
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON values."""
        return self.model_dump(mode="json")


class BacktestSettings(RetrainSettings):
    """What `flows.backtest.backtest` does: the settings of a model, and the origins that it forecasts from."""

    n_windows: int = Field(
        120,
        gt=0,
        description="Origins to forecast from; the last one lies before the end",
        json_schema_extra={"panel": "Origins", "options": ["--windows", "--n-windows"]},
    )
    step_size: int = Field(
        1,
        gt=0,
        description="Timestamps from one origin to the next",
        json_schema_extra={"options": ["--step", "--step-size"]},
    )
    refit: int = Field(
        30,
        ge=0,
        description="Origins after which the model is trained again; 0 takes the champion as it is, on rows it has not"
        " seen",
    )
    models: tuple[str, ...] = Field(
        (),
        description="Models to hold against each other, as sales,sales@3,other: champions or versions, as they are"
        " unless refit is given",
        json_schema_extra={"metavar": "NAMES", "panel": "Which models"},
    )
    workers: int | None = Field(
        None, gt=0, description="Trainings at the same time, each in a process; one for each core by default"
    )


class FleetSettings(Settings):
    """Many models of one kind: the settings that they share, and the series that each of them learns."""

    retrain: RetrainSettings = Field(
        default_factory=RetrainSettings, description="What the models share; name, if given, begins the names of all"
    )
    groups: tuple[tuple[str, ...], ...] = Field(
        (),
        description="Series of each model; by default one model for each series of the data",
        json_schema_extra={"options": ["--symbols-file"]},
    )
    runner: Literal["processes", "threads", "dask", "ray"] = Field(
        "processes",
        description="Where they are trained: in processes or threads of this machine, or on a dask or ray cluster",
        json_schema_extra={"panel": "Many models"},
    )
    workers: int | None = Field(None, gt=0, description="Models at the same time; one for each core by default")
    cluster: Address | None = Field(
        None,
        description="Address of the Dask scheduler or Ray head, with the workspace on a disk that all its workers"
        " share; by default one on this machine",
    )


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings under names such as ``model.lookback``."""
    result: dict[str, Any] = {}
    for name, value in settings.items():
        result |= flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return result
