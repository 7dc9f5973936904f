"""What steps hand each other: JSON values, which Prefect stores, under names that a type checker knows.

Each step has a type of its own. What several flows exchange is here; the rest is next to its step.
"""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict


class Result(TypedDict):
    """What every step returns."""

    summary: str
    """A line for people"""


class Written(Result):
    """What a cached step returns."""

    files: dict[str, str]
    """Path and SHA-256 of everything that it wrote, see `flows.engine.caching.hashes`"""


class StepRecord(TypedDict):
    """How a step of a flow run went."""

    name: str
    seconds: float
    """Wall clock, including Prefect's share"""
    cached: bool


class Ingested(Result):
    """Data that was read; see `flows.ingest.ingest`."""

    directory: str
    """Folder of the Parquet files"""
    content_hash: str
    kind: str
    """``bars`` or ``series``"""
    last: str
    """Date of the last row"""
    series: list[dict[str, Any]]
    """A record of each series, see `data.quality.overview.overview`"""
    age: dict[str, Any]
    """How old it is, see `data.dates.ages.Age`"""
    notices: list[str]
    quarantine: str | None
    """File of the refused rows"""


class Trained(Written):
    """A model whose training has ended."""

    model: str
    """Folder of its checkpoint"""
    milliseconds_per_step: float | None
    """Of an optimiser step in the median epoch, validation included; None if no epoch was timed"""


class Versioned(Written):
    """A model that has become a version."""

    version: str
    path: str


class Promoted(Result):
    """What was decided about a version."""

    champion: str | None
    """The champion from now on; None if there is none, since no version has passed the gate"""
    promoted: bool
    """Whether that is the new version"""
    alarming: bool
    """Whether the new champion loses to a baseline, or whether there is no champion"""


class Evaluated(Written):
    """Paths of what the evaluation of a forecaster wrote."""

    evaluation: str
    predictions: str
    picture: str
    losses: str
    errors: dict[str, str]
    """Pictures of the errors, by their kind; see `flows.reporting.errors`"""
    attention: NotRequired[str]


class Forecasts(Written):
    """Forecasts of a champion."""

    path: str
    sentences: list[str]


class Tracked(Result):
    """A run on a tracking server."""

    run_id: str | None
    """None if the server did not answer"""
    experiment: str


class Published(Result):
    """What people see of a retrain."""

    report: str
    """Path of the HTML file"""
