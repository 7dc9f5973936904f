"""A model at work: daily forecasts on file, and the data that came afterwards."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd

from gatecast import load
from gatecast.data.sources.source import Selection, open_source
from gatecast.data.store import read_json, sha256_file, write_json, write_parquet
from gatecast.flows.forecast import predict_next
from gatecast.flows.registry.registry import Decision, Registry
from gatecast.flows.settings.workspace import Workspace
from gatecast.lstm.training.checkpoint import fingerprint

NOTHING: Mapping[str, str] = MappingProxyType({})
NAME = "sample-range"
DAYS = 40


@dataclass
class Life:
    """A workspace with forecasts from `DAYS` origins after the training, and the bars of that time as a file."""

    workspace: Workspace
    bars: pd.DataFrame
    path: Path

    @property
    def registry(self) -> Registry:
        return Registry(self.workspace, NAME)


def live(workspace: Workspace, folder: Path, *, shifted: bool = False, days: int = DAYS) -> Life:
    """Let the champion forecast day by day; a shift makes the days eightfold as stormy."""
    bars = open_source("sample", None).read(Selection(("sp500",), None, None, None))
    first = int((bars["ds"] <= "2015-06-30").sum())
    bars = bars.head(first + days).reset_index(drop=True)
    if shifted:
        stormy = bars.index >= first
        for column in ("open", "high", "low"):
            ratio = (bars[column] / bars["close"]).where(~stormy, (bars[column] / bars["close"]) ** 8)
            bars[column] = bars["close"] * ratio
        bars["high"] = bars[["open", "high", "low", "close"]].max(axis=1)
        bars["low"] = bars[["open", "high", "low", "close"]].min(axis=1)
    life = Life(workspace, bars, folder / "bars.csv")
    write_bars(life)
    forecast_daily(life, str(life.registry.champion()), first)
    return life


def write_bars(life: Life) -> None:
    life.bars.to_csv(life.path, index=False)


def forecast_daily(life: Life, version: str, first: int) -> None:
    """Write what `gatecast forecast` would have written after each day."""
    registry = life.registry
    model = load(registry.path(version))
    settings = registry.settings(version)
    for known in range(first, len(life.bars)):
        frame = life.bars.iloc[max(0, known - 100) : known]
        forecasts, _ = predict_next(model, frame, settings)
        last = f"{frame['ds'].iloc[-1]:%Y-%m-%d}"
        metadata = {"model": NAME, "version": version, "target": "range"}
        write_parquet(forecasts, life.workspace.forecasts / NAME / f"{last}.parquet", metadata)


def log_variance(bars: pd.DataFrame) -> np.ndarray:
    """Garman and Klass's, written out."""
    high_low = np.log(bars["high"] / bars["low"])
    close_open = np.log(bars["close"] / bars["open"])
    return np.log((0.5 * high_low**2 - (2 * np.log(2) - 1) * close_open**2).clip(lower=1e-8)).to_numpy()


def of_another_gatecast(registry: Registry, files: Mapping[str, str] = NOTHING, **document: object) -> str:
    """Make a whole new champion of other settings, scores or parts of ``model.json`` than this Gatecast writes."""
    original = registry.path(registry.versions()[0])
    candidate = registry.candidate()
    shutil.copytree(original, candidate, ignore=shutil.ignore_patterns("lineage.json"))
    stated = read_json(candidate / "model.json")
    for name, content in files.items():
        (candidate / name).write_text(content)
        stated["files"][name] = sha256_file(candidate / name)
    whole = {**stated, **document}
    whole.pop("sha256", None)
    whole["sha256"] = hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()
    write_json(candidate / "model.json", whole)
    version = registry.add(candidate, fingerprint(candidate), registry.lineage(original.name))
    registry.record(Decision(version, registry.champion(), True, "another Gatecast did it.", version, "manual"))
    return version
