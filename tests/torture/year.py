"""A year of a schedule, with a clock that the torture sets."""

from __future__ import annotations

import asyncio
import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch
from zoneinfo import ZoneInfo

from tests.torture.ground import retrain_settings, write_series
from tests.torture.torture import Torture, require

ZONES = ("America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Tokyo", "UTC", "America/St_Johns")
CRONS = ("30 18 * * *", "30 2 * * *", "0 3 * * mon-fri", "15 1 * * *", "0 0 * * *")
EVENTS = ("usual", "outage", "revised", "bad day", "usual", "clock change", "bad file", "usual")
START = 130


class Year(Torture):
    """A year of nights runs each night once, also where clocks change, and after each night a champion has forecast.

    The scheduler gives the times of a year in a zone with its two clock changes. Then nights follow each other with a
    clock that is set: nights without a machine, a revised history, a day of absurd values, a file that is cut off.
    """

    name = "year"
    short = 1
    share = 1.5

    def trial(self, seed: int, number: int) -> str:
        draw = random.Random(seed)
        self._scheduled(draw.choice(ZONES), draw.choice(CRONS), 2020 + draw.randrange(6))
        self.ground.restore()
        events = list(EVENTS) if self.is_short else draw.choices(EVENTS, k=24)
        draw.shuffle(events)
        outcome = self.ground.run(lambda: nights(self.ground.folder, self.ground.root, events, seed), limit=1800)
        require(not outcome.error, f"{events}: {outcome.error}: {outcome.message[-500:]}")
        return f"of {len(events)} nights"

    def _scheduled(self, zone: str, cron: str, year: int) -> None:
        """Require one run on each day of a year that has one, at the hour that the clocks show."""
        from prefect.server.schemas.schedules import CronSchedule

        local = ZoneInfo(zone)
        start = datetime(year, 1, 1, tzinfo=local)
        end = datetime(year + 1, 1, 1, tzinfo=local)
        schedule = CronSchedule(cron=cron, timezone=zone)
        # Prefect asks for a week at a time.
        found: set[datetime] = set()
        moment = start
        while moment < end:
            upto = min(moment + timedelta(days=7), end)
            dates = asyncio.run(schedule.get_dates(n=100, start=moment, end=upto))
            found |= {datetime.fromtimestamp(date.timestamp(), UTC) for date in dates}
            moment = upto
        minute, hour, *_, days = cron.split()
        wanted = [start.date() + timedelta(days=number) for number in range((end.date() - start.date()).days)]
        if days == "mon-fri":
            wanted = [day for day in wanted if day.weekday() < 5]
        times = sorted(time.astimezone(local) for time in found if time.astimezone(local) < end)
        got = [time.date() for time in times]
        what = f"{cron} in {zone}, {year}"
        require(sorted(set(got)) == wanted, f"{what}: no run on {sorted(set(wanted) - set(got))[:3]}")
        require(len(got) == len(wanted), f"{what}: two runs on {sorted({d for d in got if got.count(d) > 1})[:3]}")
        off = [time for time in times if (time.hour, time.minute) != (int(hour), int(minute))]
        require(len(off) <= 1, f"{what}: these are at another hour: {off[:3]}")


def nights(folder: Path, root: Path, events: list[str], seed: int) -> None:
    """Retrain every night on what is known then."""
    from gatecast.flows.registry.registry import Registry
    from gatecast.flows.retrain import retrain
    from gatecast.flows.settings.workspace import Workspace

    day = START
    path = folder / "year.csv"
    revised = 0.0
    registry = Registry(Workspace(root), "year")
    former: list[Any] = []
    for night, event in enumerate(events):
        day += 1 + 20 * (event == "outage")
        revised += 0.25 * (event == "revised")
        write_series(path, day if event != "outage" else day - 19, revised)
        if event == "bad day":
            spoil(path)
        if event == "bad file":
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2] + b"\x00\xff,,,")
        now = datetime(2020, 1, 1, 3, tzinfo=UTC) + timedelta(days=day, hours=1 if event == "clock change" else 0)
        told = one_night(retrain, retrain_settings(folder, 1, "year", "year.csv"), now)
        what = f"night {night} ({event})"
        if event in ("bad day", "bad file") and told["error"]:
            assert "\n" not in told["error"], f"{what}: {told['error']}"
        else:
            assert not told["error"], f"{what}: {told['error']}"
            assert told["stale"] or event != "outage", f"{what}: old data are not told of"
        if told["error"] and not former:
            continue  # the first night of all was spoilt
        assert registry.champion() is not None, f"{what}: there is no champion"
        history = registry.history()
        assert history[: len(former)] == former, f"{what}: the history has changed"
        former = history
    write_series(path, day + 1, revised)
    last = one_night(retrain, retrain_settings(folder, 1, "year", "year.csv"), now + timedelta(days=1))
    assert not last["error"], f"the night after all: {last['error']}"
    stem = f"{datetime(2020, 1, 1) + timedelta(days=day):%Y-%m-%d}"
    assert (root / "forecasts/year" / f"{stem}.parquet").exists(), f"there is no forecast of {stem}"
    assert json.loads((root / "models/year/champion.json").read_text())["version"] in registry.versions()


def one_night(retrain: Any, settings: Any, now: datetime) -> dict[str, Any]:
    """Retrain at a moment, and return the sentence that refused it, or whether its data were called old."""
    import pandas as pd

    from gatecast.data.errors import InputError, SourceError

    with patch("gatecast.flows.ingest.utc_now", lambda: pd.Timestamp(now)):
        try:
            result = retrain(settings)
        except (InputError, SourceError) as error:
            return {"error": str(error), "stale": False}
    return {"error": None, "stale": result["ingest"]["age"]["is_stale"]}


def spoil(path: Path) -> None:
    """Write absurd values into the last two rows."""
    lines = path.read_text().splitlines()
    lines[-1] = lines[-1].rpartition(",")[0] + ",-1e300"
    lines[-2] = lines[-2].rpartition(",")[0] + ",nonsense"
    path.write_text("\n".join(lines) + "\n")
