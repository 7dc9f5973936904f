"""Settings of the flows that put a champion to work: forecast and monitor."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from gatecast.data.settings import NAME_PATTERN, Settings
from gatecast.flows.settings.locations import LocalPath


class ChampionSettings(Settings):
    """Which champion is put to work, and on which data."""

    name: str | None = Field(
        None, pattern=NAME_PATTERN, description="Name of the model; may be left out while there is only one"
    )
    path: LocalPath | None = Field(
        None,
        description="Newer data, .parquet or CSV, of the form the model was trained on; by default where that came"
        " from",
    )


class ForecastSettings(ChampionSettings):
    """What `flows.forecast.forecast_latest` does."""

    level: tuple[Annotated[float, Field(gt=0, lt=100)], ...] | None = Field(
        None, description="Intervals of the forecast in percent, as 80,95, which is the default"
    )
    quantiles: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(
        (),
        description="Quantiles of the forecast, as 0.1,0.9",
        json_schema_extra={"options": ["--quantile", "--quantiles"]},
    )
    n_samples: int = Field(
        0,
        ge=0,
        description="Courses to draw over the steps ahead, which intervals and quantiles are then made of; of a model"
        " trained with dropout, by Monte-Carlo dropout. 100 is a good number, 0 draws none",
        json_schema_extra={"options": ["--samples", "--n-samples"]},
    )
    seed: int = Field(0, ge=0, description="Seed of the samples; the same seed draws the same ones")

    @field_validator("level", "quantiles")
    @classmethod
    def _each_once(cls, shares: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if shares is not None and len(set(shares)) < len(shares):
            raise ValueError("one comes twice; give each once")
        return shares

    @field_validator("n_samples")
    @classmethod
    def _is_a_sample(cls, n_samples: int) -> int:
        if n_samples == 1:
            raise ValueError("0, or 2 and more")
        return n_samples


class MonitorSettings(ChampionSettings):
    """What `flows.monitor.monitor` checks, and what counts as a breach."""

    window: int = Field(
        60,
        ge=2,
        description="Latest origins, and latest rows of each series, that are judged",
        json_schema_extra={"panel": "What counts as a breach"},
    )
    minimum_rows: int = Field(20, ge=3, description="Scored forecasts below which errors are not judged")
    skill_against: Literal["best", "naive"] = Field(
        "best", description="What skill is measured against: the best baseline on the same rows, or the naive forecast"
    )
    skill_limit: float = Field(
        0.0, lt=1, description="Skill not to fall below, the share of that error which is gone; 0 is as good"
    )
    significance: float = Field(
        0.05, gt=0, lt=1, description="p-value below which too low a skill or coverage is no accident"
    )
    coverage_tolerance: float = Field(0.1, gt=0, lt=1, description="How far coverage may stay below its nominal level")
    drift_test: Literal["psi", "ks"] = Field(
        "psi",
        description="Measure of drift: population stability index (psi) or Kolmogorov-Smirnov distance (ks)",
    )
    drift_limit: float = Field(
        0.25,
        gt=0,
        description="Drift that is a breach, where it also exceeds chance and the drift within the older rows",
    )
    max_overdue: int | None = Field(
        None,
        ge=1,
        description="Rows that may be overdue, by the calendar of the data; by default as the model's data says",
        json_schema_extra={"metavar": "ROWS"},
    )
    rollback: bool = Field(
        True,
        description="Go back to the former champion where the champion's skill is too low and the former would have"
        " done better",
        json_schema_extra={"panel": "What is done about it"},
    )
    prometheus: LocalPath | None = Field(
        None,
        description="Folder of Prometheus' textfile collector, for forecasts and errors as gatecast-NAME.prom",
    )
