"""The settings of a forecaster."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from gatecast.lstm.config.network import NetworkSettings
from gatecast.lstm.config.training import NO_LIMIT, Schedule

__all__ = ["ForecasterSettings"]

_PLAIN: Mapping[str, str] = MappingProxyType(
    {
        "window_scaling": "none",
        "season": "none",
        "residual": "none",
        "linear_skip": "none",
        "loss": "mse",
        "fit_until": "training",
    }
)
"""The method of 0.1.0, which knew these settings by no name"""
_PLAIN_SIZES: Mapping[str, Any] = MappingProxyType(
    {
        "lookback": 60,
        "learning_rate": 1e-3,
        "schedule": "cosine",
        "steps_per_epoch": None,
        "patience": 5,
        "weight_average": "none",
        "scaling": "standard",
        "transform": "none",
    }
)
"""What 0.1.0 took by default for settings that may be left to the data now"""
_RESIDUALS: Mapping[str, Literal["last", "seasonal"]] = MappingProxyType({"first": "last", "seasonal": "seasonal"})
"""What forecasts are added to, by the differences that the network reads"""
_CENTRED = ("standard", "minmax", "robust")
"""Scalings after which a value near the center is small, whatever its size"""
_STORED_BY_EARLIER_VERSIONS = 20
"""Settings that 0.1.0 stored of a forecaster, at least: all it had, where a user gives a few"""


class ForecasterSettings(NetworkSettings):
    """What a `Forecaster` is made from."""

    lookback: Annotated[int, Field(gt=0)] | Literal["auto"] = Field(
        default="auto",
        description="Past rows that the model sees; auto spans the season and what the rows are enough for",
        json_schema_extra={"panel": "Model"},
    )
    window_scaling: Literal["auto", "none", "last", "mean", "standard"] = Field(
        default="auto",
        description="What each window is scaled by: its last value is taken away (last), it is divided by its mean size"
        " (mean), or both its mean and deviation are taken out (standard)",
    )
    season: Literal["auto", "none"] | tuple[Annotated[int, Field(ge=2)], ...] = Field(
        default="auto", description="Rows of a season, or of two; auto looks for them in the training rows"
    )
    residual: Literal["auto", "none", "last", "seasonal"] = Field(
        default="auto",
        description="What the network corrects: the last value, the value of a season before, or nothing",
    )
    differences: Literal["none", "first", "seasonal"] = Field(
        default="none",
        description="What of y a window holds: its values, or their changes from the row before (first) or from the"
        " season before (seasonal), which the forecasts are then added to",
    )
    linear_skip: Literal["auto", "none", "window"] = Field(
        default="auto",
        description="A linear path from the window past the LSTM to the forecast, begun as ridge regression",
    )
    loss: Literal["auto", "mse", "mae", "huber", "smape"] = Field(
        default="auto", description="What training makes small, in the unit of the scaled windows"
    )
    weight_column: str | None = Field(
        default=None,
        description="Column that says how much each row counts as a target of training and validation; it is no"
        " covariate",
    )
    step_weights: tuple[Annotated[float, Field(ge=0)], ...] | None = Field(
        default=None, description="How much each step ahead counts, as many numbers as the horizon; by default alike"
    )
    series_embedding: int = Field(
        default=0,
        ge=0,
        le=1_024,
        description="Numbers learnt for each series, which the network reads at every row; for a series that it was not"
        " trained on they are 0",
    )
    horizon: int = Field(
        default=1,
        gt=0,
        description="Rows ahead that the model predicts, all at once",
        json_schema_extra={"panel": "What to forecast"},
    )
    learning_rate: Annotated[float, Field(gt=0)] | Literal["auto"] = Field(
        default="auto",
        description="Step size of Adam, the greatest of its course; where stateful, 0.01 suits better",
        json_schema_extra={"panel": "Training"},
    )
    schedule: Schedule | Literal["auto"] = Field(
        default="auto", description="Course of the learning rate over training"
    )
    weight_decay: float = Field(default=1e-2, ge=0, description="Decoupled weight decay of AdamW")
    batch_size: int = Field(default=64, gt=0, description="Windows of one step; streams, where stateful")
    steps_per_epoch: Annotated[int, Field(gt=0)] | Literal["auto"] | None = Field(
        default="auto",
        description="Batches of an epoch at most; the next epoch takes the windows that follow. auto is short enough to"
        " stop early on a large panel; not with stateful",
    )
    max_minutes: float | None = Field(
        default=None,
        gt=0,
        description="Time for training, at most; it is turned into a number of steps, which is kept",
        json_schema_extra={"options": ["--minutes", "--max-minutes"]},
    )
    max_epochs: Annotated[int, Field(gt=0)] | Literal["auto"] = Field(
        default="auto",
        description="Epochs, at most; with max_minutes as many as it allows",
        json_schema_extra={"options": ["--epochs", "--max-epochs"]},
    )
    patience: Annotated[int, Field(gt=0)] | Literal["auto"] = Field(
        default="auto", description="Epochs without a better validation loss before training stops"
    )
    gradient_clip: float = Field(default=1.0, gt=0, description="Greatest norm of a gradient")
    weight_average: Literal["auto", "none", "ema"] = Field(
        default="auto",
        description="What is validated and kept: the weights themselves (none) or their exponential moving average"
        " (ema)",
    )
    ema_decay: float = Field(
        default=0.999, gt=0, lt=1, description="Share of that average which a step leaves; the first steps leave less"
    )
    fit_until: Literal["auto", "training", "validation"] = Field(
        default="auto",
        description="End of the rows that are learnt; validation trains again with those rows, once they have said for"
        " how long, as auto does where there are few windows",
    )
    n_models: int = Field(
        default=1,
        gt=0,
        le=100,
        description="Networks, of this seed and those after it, trained side by side on the cores, kept as one model",
    )
    ensemble: Literal["mean", "median"] = Field(
        default="mean", description="How the forecasts of several networks become one"
    )
    scaling: Literal["auto", "standard", "minmax", "robust", "size", "none"] = Field(
        default="auto",
        description="Scaler of each series, fitted on its training rows; auto is standard, or size where a window is"
        " divided by its mean size or the loss is relative",
    )
    transform: Literal["auto", "none", "log", "log1p", "boxcox"] = Field(
        default="auto",
        description="What y goes through before it is scaled, where its deviations grow with its level: its logarithm,"
        " that of 1 + y, or the power of Box-Cox that suits each series; auto is none",
    )
    stateful: bool = Field(
        default=False,
        description="Carry the state along each series from batch to batch and learn from every step: many times"
        " faster an epoch",
    )

    @model_validator(mode="before")
    @classmethod
    def _of_earlier_versions(cls, settings: Any) -> Any:
        """Read what 0.1.0 wrote, where `residual` was what `residual_layers` is, and windows were not scaled."""
        if not isinstance(settings, Mapping):
            return settings
        settings = dict(settings)
        is_stored = not settings.keys() & _PLAIN.keys() - {"residual"} and len(settings) >= _STORED_BY_EARLIER_VERSIONS
        if isinstance(settings.get("residual"), bool):
            settings["residual_layers"] = settings.pop("residual")
        if len(settings) >= _STORED_BY_EARLIER_VERSIONS:
            settings.setdefault("transform", "none")
        return {**_PLAIN, **settings} if is_stored else settings

    @field_validator("season", mode="before")
    @classmethod
    def _one_season(cls, season: Any) -> Any:
        return (season,) if isinstance(season, int) else season

    @field_validator("season")
    @classmethod
    def _seasons_each_once(cls, season: Any) -> Any:
        if not isinstance(season, str) and len(set(season)) < len(season):
            raise ValueError("season names a length twice; give each once")
        return season

    @property
    def window(self) -> int:
        """Rows of a window: the lookback, once it is chosen."""
        assert self.lookback != "auto", "the lookback is chosen by the data; see `lstm.forecasting.recipe`"
        return self.lookback

    @property
    def with_residual(self) -> Self:
        """These settings with the residual that follows from the differences."""
        residual = _RESIDUALS.get(self.differences, self.residual)
        return self.model_copy(update={"residual": residual})

    def with_lookback(self, lookback: int) -> Self:
        """Return these settings with the lookback that sequences have, where it is left open."""
        return self.model_copy(update={"lookback": lookback}) if self.lookback == "auto" else self

    @property
    def is_weighted(self) -> bool:
        """Whether some targets count more than others."""
        return self.weight_column is not None or self.step_weights is not None

    @property
    def skip_size(self) -> int:
        """Rows of the target that the linear skip reads; 0 where there is none."""
        return self.window if self.linear_skip == "window" else 0

    @property
    def scaler(self) -> Literal["standard", "minmax", "robust", "size", "none"]:
        """The scaler of each series, once it is chosen."""
        assert self.scaling != "auto", "the scaler follows from other settings; see `lstm.forecasting.recipe`"
        return self.scaling

    @property
    def of_y(self) -> Literal["none", "log", "log1p", "boxcox"]:
        """The transform of y, once it is chosen."""
        assert self.transform != "auto", "the transform is chosen with other settings; see `lstm.forecasting.recipe`"
        return self.transform

    @property
    def epoch_steps(self) -> int | None:
        """Batches of an epoch at most, once it is chosen; None for all windows."""
        return None if isinstance(self.steps_per_epoch, str) else self.steps_per_epoch

    @property
    def is_open(self) -> bool:
        """Whether the data decide some of these settings: one says ``auto``."""
        return any(getattr(self, name) == "auto" for name in (*_PLAIN_SIZES, *_PLAIN, "max_epochs"))

    @property
    def plain(self) -> Self:
        """These settings with the method of 0.1.0 wherever they say ``auto``."""
        choices = {**_PLAIN_SIZES, **_PLAIN, "max_epochs": 30 if self.max_minutes is None else NO_LIMIT}
        if self.is_relative:
            choices["scaling"] = "size"
        return self.model_copy(update={name: choices[name] for name in choices if getattr(self, name) == "auto"})

    @property
    def is_relative(self) -> bool:
        """Whether the size of values counts, which a scaler that centres them takes away."""
        return self.window_scaling == "mean" or self.loss == "smape"

    @property
    def average_decay(self) -> float | None:
        """The decay of the weights' average; None where they are not averaged."""
        return self.ema_decay if self.weight_average == "ema" else None

    @model_validator(mode="after")
    def _has_a_plain_stateful_form(self) -> Self:
        if self.stateful:
            for name, plain in _PLAIN.items():
                if getattr(self, name) not in ("auto", plain):
                    raise ValueError(f"stateful reads whole series, not windows; leave {name} out")
        return self

    @model_validator(mode="after")
    def _has_plain_targets_where_stateful(self) -> Self:
        given = {
            "differences": self.differences != "none",
            "weight_column": self.weight_column is not None,
            "step_weights": self.step_weights is not None,
            "series_embedding": self.series_embedding > 0,
        }
        if self.stateful and any(given.values()):
            name = next(name for name, is_given in given.items() if is_given)
            raise ValueError(f"stateful reads whole series, not windows; leave {name} out")
        return self

    @model_validator(mode="after")
    def _weighs_every_step(self) -> Self:
        if self.step_weights is None:
            return self
        if len(self.step_weights) != self.horizon:
            raise ValueError(
                f"step_weights has {len(self.step_weights)} numbers for a horizon of {self.horizon}; give one for each"
                " step ahead"
            )
        if not any(self.step_weights):
            raise ValueError("step_weights are all 0; give the steps that count a greater weight")
        return self

    @model_validator(mode="after")
    def _adds_differences_up(self) -> Self:
        residual = _RESIDUALS.get(self.differences)
        if residual is not None and self.residual not in ("auto", residual):
            raise ValueError(
                f"differences {self.differences} are added to the residual {residual}, not {self.residual}; leave"
                " residual out"
            )
        return self

    @model_validator(mode="after")
    def _keeps_the_size_of_values(self) -> Self:
        if self.is_relative and self.scaling in _CENTRED:
            relative = "window_scaling mean" if self.window_scaling == "mean" else "loss smape"
            raise ValueError(
                f"{relative} goes by the size of values, which the scaling {self.scaling} takes away; leave scaling"
                " out, or choose size or none"
            )
        return self

    @model_validator(mode="after")
    def _sees_no_future(self) -> Self:
        if self.stateful and self.bidirectional:
            raise ValueError("stateful learns from every step, where bidirectional would show what follows; choose one")
        if self.stateful and self.steps_per_epoch not in ("auto", None):
            raise ValueError("stateful reads the series from end to end in an epoch; leave out steps_per_epoch")
        if self.stateful and self.attention != "none":
            raise ValueError("stateful learns from every step, attention looks back from the last one; choose one")
        return self
