"""Inputs of a run: the workspace it writes to, and the settings of the flows that train forecasters.

A setting is written once, here or in `lstm.config` and `data.sequences.splits`: its option on the command line, its
field in the dashboard's form and its row in ``docs/settings.md`` are made from it. What only the command line needs is
in ``json_schema_extra``: ``options``, if the spelling is not just the name; ``panel``, the part of the help that begins
with this field; ``metavar``; ``argument``, for positional arguments; and ``defaults``, in words, of settings within
this field whose default depends on others.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypedDict, TypeVar

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from gatecast.data.errors import InputError
from gatecast.data.leftovers import sweep
from gatecast.data.secrets import holds_secret
from gatecast.data.sequences.splits import SAMPLE_SPLIT, SplitSettings
from gatecast.data.settings import AGE_PATTERN, NAME_PATTERN, Settings
from gatecast.data.urls import file_name, is_url
from gatecast.data.variables import is_variable, resolved
from gatecast.flows.settings.locations import Address, Location, Query
from gatecast.lstm.config import ForecasterSettings

if TYPE_CHECKING:
    import pandas as pd

    from gatecast.data.sources.columns import Columns
    from gatecast.data.sources.csv_format import CsvFormat

T = TypeVar("T")
BAR_TARGETS = ("range", "return", "close")
"""What a model can forecast of bars; the target of series is one of their columns"""
BREACH = "gatecast.monitor.breach"
"""The Prefect event that says that a model needs a retrain"""


class DatesGiven(TypedDict):
    """What a person says of the dates of the data; see `Forecaster.fit_sequences`."""

    freq: str | None
    closed: tuple[str, ...]
    calendar: str | None


@dataclass(frozen=True)
class Workspace:
    """The folder that holds everything a run writes.

    Attributes
    ----------
    root : Path
        Absolute path; its folders are made when something is written to them.
    """

    root: Path

    @classmethod
    def from_environment(cls) -> Workspace:
        """Return the workspace that ``GATECAST_HOME`` names, ``./workspace`` if it names none."""
        home = os.environ.get("GATECAST_HOME") or "workspace"
        if holds_secret(home):
            raise InputError(
                f"{home} cannot be the workspace, since it holds a secret; name a folder with --workspace."
            )
        root = Path(home).expanduser().resolve()
        if root.exists() and not root.is_dir():
            raise InputError(f"{root} is a file, so it cannot be the workspace; name a folder with --workspace.")
        return cls(root)

    @property
    def bars(self) -> Path:
        """Folder of the data as it was read: one folder per content, one file per series."""
        return self.root / "bars"

    @property
    def quarantine(self) -> Path:
        """Folder of the rows that were refused, with what is wrong with them."""
        return self.root / "quarantine"

    @property
    def yahoo(self) -> Path:
        """Folder of yfinance's caches of cookies and time zones."""
        return self.root / "yahoo"

    @property
    def sequences(self) -> Path:
        """Folder of the scaled training sequences."""
        return self.root / "sequences"

    @property
    def texts(self) -> Path:
        """Folder of the texts that language models were trained on, one file per content."""
        return self.root / "texts"

    @property
    def models(self) -> Path:
        """Folder of the model versions and their champions."""
        return self.root / "models"

    @property
    def tagged(self) -> Path:
        """Folder of the tagged sentences that taggers were trained on, one folder per content."""
        return self.root / "tagged"

    @property
    def forecasts(self) -> Path:
        """Folder of the forecasts."""
        return self.root / "forecasts"

    @property
    def reports(self) -> Path:
        """Folder of the pictures and test predictions of each model's latest evaluation."""
        return self.root / "reports"

    @property
    def prefect(self) -> Path:
        """Folder of Prefect's database and results."""
        return self.root / "prefect"

    def tidy_up(self) -> None:
        """Remove the temporary files that killed processes left in these folders."""
        for folder in (
            self.bars, self.quarantine, self.sequences, self.texts, self.models, self.tagged, self.forecasts,
            self.reports, self.prefect,
        ):  # fmt: skip
            sweep(folder)


class DataSettings(Settings):
    """Which data to read."""

    source: Literal["sample", "csv", "parquet", "sql", "yahoo"] = Field(
        "sample",
        description="Where the data comes from: sample (S&P 500 and NASDAQ, 1999-2018), csv, parquet, sql or yahoo;"
        " with a path, what it ends in",
        json_schema_extra={"panel": "Data"},
    )
    path: Location | None = Field(
        None,
        description="Your data, for csv and parquet: bars (date, open, high, low, close, volume; one or many symbols)"
        " or series (unique_id, ds, y, covariates); s3://, gs:// and https:// work too; $NAME of an environment"
        " variable, or ${NAME} within it, for secrets",
        json_schema_extra={"metavar": "FILE|FOLDER|URL"},
    )
    url: Address | None = Field(
        None,
        description="Your database, for sql: sqlite:///FILE, postgresql+psycopg://HOST/DB; $NAME of an environment"
        " variable, or ${NAME} within the URL, for secrets",
    )
    query: Query | None = Field(None, description="What to select there; columns as in a file")
    symbols: tuple[str, ...] | None = Field(
        None,
        description="Series to keep, all by default; for yahoo, what to fetch, as AAPL and ^GSPC; a name that holds a"
        " comma is quoted",
        json_schema_extra={"metavar": "A,B"},
    )
    start: date | None = Field(None, description="First day to keep")
    end: date | None = Field(None, description="Last day to keep")
    interval: str | None = Field(
        None, description="Merge bars to 1d, 1wk or 1mo; yahoo has 1m to 90m and 1h too; as they are by default"
    )
    max_stale: str | None = Field(
        None,
        pattern=AGE_PATTERN,
        description="How old yahoo's last good rows may be when it fails, as 5d or 12h; any age by default",
        json_schema_extra={"metavar": "AGE"},
    )
    adjustment: Literal["all", "splits", "none"] = Field(
        "all", description="What yahoo's prices are adjusted for: all (splits and dividends), splits or none"
    )
    requests_per_second: float = Field(2.0, gt=0, description="Requests to yahoo at most, all symbols together")
    bad_rows: Literal["refuse", "quarantine"] = Field(
        "refuse",
        description="What a wrong row does: refuse the whole file, or go to quarantine; yahoo's always do that",
        json_schema_extra={"panel": "How the data is written, and what of it is wrong"},
    )
    calendar: str | None = Field(
        None,
        description="Exchange on whose sessions alone rows come, as XNYS, XLON or 24/7, for gaps and the dates of"
        " forecasts; by default the one whose holidays the data keeps",
    )
    freq: str | None = Field(
        None,
        description="Exactly when rows come, for the dates of the forecasts: D, B, W-FRI, MS, ME, QE, SME, h, 30min; by"
        " default the open days and hours, or days of the month, that the data keeps",
    )
    closed: tuple[str, ...] = Field(
        (),
        description="Days of the week on which no row comes, as SUN or SAT,SUN",
        json_schema_extra={"metavar": "DAY,DAY"},
    )
    delimiter: str | None = Field(None, description="Between the fields of a CSV file; found by default")
    decimal: str | None = Field(None, description="Decimal mark of a CSV file, . or ,; found by default")
    date_format: str | None = Field(
        None,
        description="Form of the dates, as %d/%m/%Y, or steps for rows that have whole numbers instead; found by"
        " default",
    )
    encoding: str | None = Field(
        None, description="Encoding of a CSV file, as cp1252; by default UTF-8, or UTF-16 if its first bytes say so"
    )
    id_column: str | None = Field(
        None,
        description="Column with the names of the series, found by default; several that name them together as A,B",
    )
    time_column: str | None = Field(
        None, description="Column with the timestamps, found by default; several that make one together as DATE,TIME"
    )
    target_column: str | None = Field(
        None, description="Column that is forecast, of series; found by default, if there is only one of numbers"
    )
    exclude: tuple[str, ...] = Field((), description="Columns to leave out")
    wide: bool = Field(
        False, description="Take each column of numbers for a series; or each row, where columns are called by dates"
    )

    @model_validator(mode="before")
    @classmethod
    def _source_of_path(cls, values: Any) -> Any:
        """Find the source from the path if only the path is given, whether in options, a form or a file."""
        if isinstance(values, Mapping) and values.get("path") and "source" not in values:
            return {**values, "source": source_of(str(values["path"]))}
        return values

    @field_validator("freq")
    @classmethod
    def _known_freq(cls, freq: str | None) -> str | None:
        from gatecast.data.dates.rules import require_freq

        return None if freq is None else require_freq(freq)

    @field_validator("closed")
    @classmethod
    def _known_days(cls, closed: tuple[str, ...]) -> tuple[str, ...]:
        from gatecast.data.dates.rules import require_closed

        return require_closed(closed) if closed else closed

    @property
    def dates(self) -> DatesGiven:
        """What is said of the dates: `freq`, `closed` and `calendar`, as `Forecaster.fit` takes them."""
        return {"freq": self.freq, "closed": self.closed, "calendar": self.calendar}

    @property
    def is_numbered(self) -> bool:
        """Whether rows have numbers instead of dates."""
        return self.date_format == "steps"

    @property
    def origin(self) -> str:
        """A short name of the data that is safe in file names: ``sample``, ``yahoo`` or the file's stem."""
        named = PurePath(file_name(str(self.path).rstrip("/"))).stem if self.path else self.source
        stem = re.sub(r"[^A-Za-z0-9._-]+", "-", named).strip(".-_")
        return stem[:40] or self.source

    @property
    def description(self) -> str:
        """The data in words, without secrets."""
        return str(self.path or self.url or self.source)

    @property
    def csv_format(self) -> CsvFormat:
        """Format of a CSV file, as far as it is given."""
        from gatecast.data.sources.csv_format import CsvFormat

        return CsvFormat(self.delimiter, self.decimal, self.date_format, self.encoding)

    @property
    def columns(self) -> Columns:
        """What the columns are, as far as it is given."""
        from gatecast.data.sources.columns import Columns

        return Columns(self.id_column, self.time_column, self.target_column, self.exclude, self.wide)

    @property
    def longest_age(self) -> pd.Timedelta | None:
        """`max_stale` as a duration."""
        import pandas as pd

        if self.max_stale is None:
            return None
        length = re.fullmatch(r"(\d+)(d|h|min)", self.max_stale)
        assert length is not None  # the field's pattern
        units = {"d": pd.Timedelta(days=1), "h": pd.Timedelta(hours=1), "min": pd.Timedelta(minutes=1)}
        return int(length[1]) * units[length[2]]

    @property
    def mirror(self) -> str | None:
        """The address of a mirror for Yahoo's requests: ``GATECAST_YAHOO_URL``."""
        return os.environ.get("GATECAST_YAHOO_URL") or None

    def from_file(self, path: Path) -> DataSettings:
        """Return the settings that read the whole of another file as this data is read."""
        place = {"source": source_of(str(path)), "path": path, "url": None, "query": None}
        return self.model_copy(update={**place, "start": None, "end": None})


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


def source_of(path: str) -> Literal["csv", "parquet"]:
    """Return the source that follows from a path's ending, or from what a folder holds: parquet or csv."""
    if is_variable(path):
        with suppress(InputError):  # it need not be set here, for example if a worker reads the data
            path = resolved(path)
    if file_name(path.rstrip("/")).lower().endswith((".parquet", ".pq")):
        return "parquet"
    folder = Path(path).expanduser()
    holds_parquet = not is_url(path) and folder.is_dir() and any(folder.rglob("*.parquet"))
    return "parquet" if holds_parquet else "csv"


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings under names such as ``model.lookback``."""
    result: dict[str, Any] = {}
    for name, value in settings.items():
        result |= flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return result
