"""A secret is planted in every place that takes a URL, and looked for in all that is stored, logged, shown or sent."""

from __future__ import annotations

import shutil
import sqlite3
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError
from typer.testing import CliRunner, Result

from gatecast.data.errors import InputError, SettingsError, SourceError
from gatecast.flows.backtest import backtest
from gatecast.flows.cli import app
from gatecast.flows.commands.run import with_settings
from gatecast.flows.deployments import ServeSettings, build, read_settings, register_in_pool
from gatecast.flows.engine.runs import WEBHOOK
from gatecast.flows.fleet import fleet
from gatecast.flows.forecast import forecast_latest
from gatecast.flows.ingest import ingest_data
from gatecast.flows.monitor import monitor
from gatecast.flows.retrain import retrain
from gatecast.flows.settings.champion import MonitorSettings
from gatecast.flows.settings.data import DataSettings
from gatecast.flows.settings.runs import BacktestSettings, FleetSettings, RetrainSettings
from gatecast.flows.settings.tagging import TaggingSettings
from gatecast.flows.settings.workspace import Workspace
from gatecast.flows.tagging import train_tagger
from gatecast.flows.text import TextSettings, train_text
from tests.data.sources.test_files import serving
from tests.flows.conftest import small_settings
from tests.webhook import listening

SECRET = "Gee7aiPh4ooQu2"
LOCATIONS = [
    f"http://me:{SECRET}@127.0.0.1:9/x.csv",
    f"http://127.0.0.1:9/x.parquet?a=1&token={SECRET}",
    f"postgres:/me:{SECRET}@127.0.0.1/db",
    f"nowhere/me:{SECRET}@host/x.csv",
]
OPTIONS = [
    ["retrain", "--path"],
    ["retrain", "--source", "sql", "--query", "SELECT 1", "--url"],
    ["retrain", "--source", "sql", "--url", "sqlite://", "--query"],
    ["retrain", "--symbols-file"],
    ["retrain", "--symbols-file", __file__, "--runner", "dask", "--cluster"],
    ["backtest", "--path"],
    ["fetch", "--path"],
    ["data", "check"],
    ["forecast", "--path"],
    ["monitor", "--path"],
    ["monitor", "--prometheus"],
    ["text", "train"],
    ["text", "evaluate"],
    ["tag", "train"],
    ["tag", "train", __file__, "--vectors"],
    ["tag", "train", __file__, "--dev"],
    ["tag", "evaluate"],
    ["tag", "predict"],
    ["models", "compare", "sample-range", "1", "2", "--path"],
    ["export"],
    ["serve", "--check", "--file"],
]
SETTINGS: list[tuple[str, Callable[..., Any], Callable[..., Any], Callable[[str], dict[str, Any]]]] = [
    ("retrain", retrain, RetrainSettings, lambda url: {"data": {"path": url}}),
    ("retrain", retrain, RetrainSettings, lambda url: {"data": {"source": "sql", "url": url, "query": "SELECT 1"}}),
    ("retrain", retrain, RetrainSettings, lambda url: {"data": {"url": "sqlite://", "query": f"LOAD '{url}'"}}),
    ("backtest", backtest, BacktestSettings, lambda url: {"data": {"path": url}}),
    ("fleet", fleet, FleetSettings, lambda url: {"cluster": url}),
    ("fleet", fleet, FleetSettings, lambda url: {"retrain": {"data": {"path": url}}}),
    ("ingest", ingest_data, DataSettings, lambda url: {"path": url}),
    ("monitor", monitor, MonitorSettings, lambda url: {"path": url}),
    ("monitor", monitor, MonitorSettings, lambda url: {"prometheus": url}),
    ("text", train_text, TextSettings, lambda url: {"paths": [url]}),
    ("tagging", train_tagger, TaggingSettings, lambda url: {"train": url}),
    ("tagging", train_tagger, TaggingSettings, lambda url: {"train": "a", "vectors": url}),
]


def gatecast(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "500"})


def plant_in_options(workspace: Workspace, patch: pytest.MonkeyPatch) -> None:
    for url in LOCATIONS:
        done = gatecast("retrain", "--workspace", url)
        assert (done.exit_code, SECRET in done.output) == (2, False)
    patch.setenv("GATECAST_HOME", str(workspace.root))
    for options in OPTIONS:
        for url in LOCATIONS:
            if options[-1] == "--query" and "://" not in url:
                continue
            done = gatecast(*options, url)
            assert done.exit_code == 2, (options, url, done.output)
            assert SECRET not in done.output
    assert gatecast("models", "promote", "sample-range", "2", "--reason", f"see {LOCATIONS[0]}").exit_code == 0
    assert gatecast("models", "rollback", "sample-range", "--reason", f"see {LOCATIONS[1]}").exit_code == 0


def plant_in_python() -> None:
    for _, flow, model, settings in SETTINGS:
        for url in LOCATIONS:
            given = settings(url)
            if "LOAD" in str(given) and "://" not in url:
                continue  # within a query, only what has a scheme is a URL
            with pytest.raises((SettingsError, ValidationError)) as wrong:
                model(**given)
            assert SECRET not in str(wrong.value)
            with pytest.raises(InputError, match="holds a secret") as refused:
                flow(given)
            assert SECRET not in "".join(traceback.format_exception(refused.value))
    for url in LOCATIONS:
        with pytest.raises(InputError, match="path holds a secret"):
            forecast_latest("sample-range", path=url)


def plant_in_file(folder: Path) -> None:
    file = folder / "gatecast.toml"
    for number, (kind, _, _, settings) in enumerate(SETTINGS):
        given = settings(LOCATIONS[number % 2])
        file.write_text(f"[deployments.a]\nflow = {kind!r}\nsettings = {toml(given)}\n")
        with pytest.raises(InputError, match=r"gatecast.toml: deployments\.a\.settings\.\S+ holds a secret") as wrong:
            read_settings(file)
        assert SECRET not in "".join(traceback.format_exception(wrong.value))
        done = gatecast("serve", "--check", "--file", str(file))
        assert (done.exit_code, SECRET in done.output) == (2, False)
    file.unlink()


def toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {toml(inner)}" for name, inner in value.items()) + "}"
    return "[" + ", ".join(map(toml, value)) + "]" if isinstance(value, list) else f'"{value}"'


def plant_in_form(api: httpx.Client) -> None:
    for deployment in build(ServeSettings()):
        deployment.apply()
    deployments = {each["name"]: each for each in api.post("deployments/filter", json={}).json()}
    started = [
        (kind, {"settings": settings(LOCATIONS[number % 2])}) for number, (kind, *_, settings) in enumerate(SETTINGS)
    ]
    started += [("forecast", {"path": url}) for url in LOCATIONS]
    for kind, parameters in started:
        answer = api.post(f"deployments/{deployments[kind]['id']}/create_flow_run", json={"parameters": parameters})
        assert answer.status_code == 409, (kind, parameters, answer.text)
    for url in LOCATIONS:
        with pytest.raises(InputError, match=r"data\.path holds a secret") as refused:
            with_settings(deployments["retrain"], [f"data.path={url}"])
        assert SECRET not in str(refused.value)
        with pytest.raises(InputError, match=r"paths holds a secret"):
            with_settings(deployments["text"], [f"paths=a.txt,{url}"])


def plant_in_pool() -> None:
    settings = ServeSettings(webhook=f"http://127.0.0.1:9/{SECRET}?token={SECRET}")
    register_in_pool(list(build(settings, "secret-pool")), "secret-pool")


def plant_in_environment(patch: pytest.MonkeyPatch) -> None:
    from gatecast.flows.commands.serve import pass_on

    patch.setenv(WEBHOOK, "")
    pass_on(ServeSettings(webhook=f"http://127.0.0.1:9/{SECRET}"))
    plant_in_pool()
    days = pd.date_range("2020-01-01", periods=60)
    csv = pd.DataFrame({"ds": days, "y": range(60)}).to_csv(index=False).encode()
    model = {"lookback": 4, "hidden_size": 4, "max_epochs": 1}
    with serving({"/sales.csv": csv}, f"me:{SECRET}", SECRET) as host, listening() as (hook, told):
        patch.setenv("SALES", f"http://me:{SECRET}@{host}/sales.csv")
        patch.setenv("TOKEN", SECRET)
        patch.setenv("SALES_DB", f"postgresql+nosuch://me:{SECRET}@127.0.0.1:9/db?password={SECRET}")
        trained = retrain(small_settings(data=DataSettings(path="$SALES"), model=model, name="sales"))
        assert trained["promote"]["champion"]
        assert ingest_data(DataSettings(path=f"http://{host}/sales.csv?token=${{TOKEN}}"))["kind"] == "series"
        patch.setenv(WEBHOOK, f"{hook}?token={SECRET}")
        with pytest.raises(InputError, match=r"none.*token=\*\*\* does not exist"):
            ingest_data(DataSettings(path=f"http://{host}/none.parquet?token=${{TOKEN}}"))
        with pytest.raises(InputError, match="driver that is not installed"):
            ingest_data(DataSettings(source="sql", url="$SALES_DB", query="SELECT 1"))
        assert len(told) == 2
        assert SECRET not in str(told)
    file = DataSettings(path="$SALES")
    sql = DataSettings(source="sql", url="$SALES", query="SELECT 1")
    for wrong, settings in ((LOCATIONS[0], file), (LOCATIONS[2], sql), (SECRET, file), (SECRET, sql)):
        patch.setenv("SALES", wrong)
        with pytest.raises((InputError, SourceError)) as error:
            ingest_data(settings)
        assert SECRET not in "".join(traceback.format_exception(error.value))
    patch.setenv("GATECAST_YAHOO_URL", f"http://me:{SECRET}@127.0.0.1:9/?token={SECRET}")
    with pytest.raises(SourceError, match="cannot be reached"):
        ingest_data(DataSettings(source="yahoo", symbols=("AAPL",), requests_per_second=50))
    patch.setenv("MLFLOW_TRACKING_URI", f"http://me:{SECRET}@127.0.0.1:9/?token={SECRET}")
    tracked = retrain(small_settings())["track"]
    assert tracked is not None
    assert "MLflow at http://me:***@127" in tracked["summary"]
    patch.delenv("MLFLOW_TRACKING_URI")


def stored(root: Path) -> Iterator[tuple[str, str]]:
    """Give every file under a folder as text; of Parquet and SQLite, what is in it."""
    for path in sorted(root.rglob("*")):
        if not path.is_file():
            continue
        content = path.read_bytes()
        yield str(path), content.decode("latin-1")
        if content.startswith(b"PAR1") and content.endswith(b"PAR1"):
            table = pq.read_table(path)
            yield str(path), f"{table.schema.metadata} {table.to_pylist()}"
        if content.startswith(b"SQLite format 3"):
            yield from ((str(path), row) for row in rows_of(path))


def rows_of(database: Path) -> Iterator[str]:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (table,) in tables:
            for row in connection.execute(f'SELECT * FROM "{table}"'):
                yield f"{table}: {row}"


ANSWERS = [
    "flow_runs", "task_runs", "logs", "artifacts", "deployments", "work_pools", "events", "automations", "variables",
    "block_documents", "block_types", "block_schemas", "flows", "work_queues", "concurrency_limits",
]  # fmt: skip


def answers(api: httpx.Client) -> Iterator[tuple[str, str]]:
    """Give what the server answers to whoever asks for everything."""
    for name in ANSWERS:
        asked: dict[str, Any] = {"include_secrets": True} if name == "block_documents" else {}
        offset = 0
        size = None
        while size != 0:
            page = {} if name == "events" else {"limit": 200, "offset": offset}
            answer = api.post(f"{name}/filter", json={**asked, **page})
            answer.raise_for_status()
            found = answer.json()
            yield name, answer.text
            size = 0 if isinstance(found, dict) else len(found)
            offset += size or 0
    for path in ("admin/settings", "collections/views/aggregate-worker-metadata"):
        yield path, api.get(path).text


@pytest.fixture
def database(server: str) -> Path:
    from prefect.settings import PREFECT_API_DATABASE_CONNECTION_URL

    return Path(str(PREFECT_API_DATABASE_CONNECTION_URL.value()).partition(":///")[2])


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")
def test_no_secret_is_stored_logged_shown_or_sent(
    server: str,
    copied: Workspace,
    database: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    registry = copied.models / "sample-range"
    first = next(registry.glob("v0001-*"))
    shutil.copytree(first, first.with_name(first.name.replace("v0001", "v0002")))
    monkeypatch.chdir(tmp_path)
    with httpx.Client(base_url=f"{server}/", timeout=60) as api:
        plant_in_options(copied, monkeypatch)
        plant_in_python()
        plant_in_file(tmp_path)
        plant_in_form(api)
        plant_in_environment(monkeypatch)
        settle(api)
        assert database.is_file()
        everything = [*answers(api), *stored(tmp_path), *stored(database.parent)]
    assert {place for place, text in everything if SECRET in text} == set()
    # What may be shown is found by the same search.
    places = {place for place, text in everything if "$SALES" in text}
    assert {"flow_runs", "logs", str(database)} <= places
    assert any(place.endswith("settings.json") for place in places)
    assert SECRET not in "".join(capfd.readouterr())


def settle(api: httpx.Client) -> None:
    """Wait until the logs of the last runs are there: they travel behind the runs' backs."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        logs = api.post("logs/filter", json={"limit": 50, "sort": "TIMESTAMP_DESC"}).text
        if "me:***@127.0.0.1" in logs:
            return
        time.sleep(0.2)
    raise AssertionError("the log of the last run is not there")
