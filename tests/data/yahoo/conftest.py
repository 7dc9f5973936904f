"""A Yahoo of this machine's own for each test; yfinance runs as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from gatecast.data.bars.store import BarStore
from gatecast.data.yahoo.client import Policy, YahooClient
from gatecast.data.yahoo.source import YahooSource
from tests.data.yahoo.server import Yahoo, serving

NOW = pd.Timestamp("2024-04-01 22:00", tz="UTC")
FAST = {"requests_per_second": 1000.0, "first_delay": 0.01, "longest_delay": 0.2, "time_limit": 5.0}


@pytest.fixture
def yahoo() -> Iterator[Yahoo]:
    with serving() as server:
        yield server


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """yfinance opens its caches once in a process."""
    return tmp_path_factory.mktemp("yfinance")


@pytest.fixture
def source(yahoo: Yahoo, cache: Path, tmp_path: Path) -> Callable[..., YahooSource]:
    """Make a source that asks the server at a time of its own; all sources of a test have one store."""

    def make(now: pd.Timestamp | str = NOW, address: str | None = None, **options: Any) -> YahooSource:
        moment = pd.Timestamp(now)
        policy = Policy(**{**FAST, **options.pop("policy", {})})
        client = YahooClient(cache, policy, address or yahoo.address, lambda: moment)
        return YahooSource(BarStore(tmp_path / "bars", tmp_path / "quarantine"), client, **options)

    return make
