"""What the tortures work on: a workspace with a trained model of each kind, data, and one Prefect server for all."""

from __future__ import annotations

import hashlib
import importlib
import json
import math
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

from tests.torture.forks import Harm, Outcome, run

DAYS = 120
NEWER_DAYS = 130
TEXT = "the cat sat on the mat, the dog sat on the log.\n" * 30
SMALL_TAGGER = {
    "word_size": 6, "character_size": 4, "character_hidden_size": 4, "casing_size": 2, "affix_size": 2,
    "hidden_size": 6, "batch_size": 8, "learning_rate": 0.05,
}  # fmt: skip
TIMES = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?")
SECONDS = re.compile(r'"(seconds|milliseconds_per_step|cached)": [^,}\n]+')
NOT_COMPARED = re.compile(r"(^|/)(prefect|\.training)/|\.lock$|(^|/)\.started$|\.prom$|/last_runs\.json$")


class Ground:
    """The folder that everything happens in.

    Parameters
    ----------
    folder : Path
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "workspace"
        self.template = folder / "template"
        self.environment = {
            "GATECAST_HOME": str(self.root),
            "PREFECT_HOME": str(self.root / "prefect"),
            "PREFECT_LOGGING_LEVEL": "ERROR",
            "PREFECT_TASKS_DEFAULT_RETRY_DELAY_SECONDS": "0",
            "PREFECT_LOGGING_TO_API_ENABLED": "false",
        }
        self._server: Any = None

    def prepare(self) -> None:
        """Write the data, start the server, import what jobs need, and train a model of each kind.

        What an earlier run has kept in the folder is used again.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        write_inputs(self.folder)
        print("starting Prefect's server", flush=True)
        self._start_server()
        import_all()
        imported = self.folder / "imported.json"
        if not self.template.exists():
            shutil.rmtree(self.root, ignore_errors=True)
            modules = [self._train(name) for name in ("retrain", "fleet", "text", "tag")]
            imported.write_text(json.dumps(sorted(set().union(*modules))))
            self.root.rename(self.template)
        # What is imported here once need not be imported by each job.
        for module in json.loads(imported.read_text()):
            if module not in sys.modules and not module.startswith(("tests", "__")):
                with suppress(Exception):
                    importlib.import_module(module)

    def _train(self, name: str) -> list[str]:
        """Train a first model of a kind, and return the modules that it needed."""
        print(f"training: {name}", flush=True)

        def job() -> list[str]:
            JOBS[name](self.folder, 1)
            return list(sys.modules)

        outcome = self.run(job)
        if outcome.error or outcome.was_killed:
            raise RuntimeError(f"{name}: {outcome.message}\n{outcome.output}")
        return outcome.value

    def _start_server(self) -> None:
        from gatecast.flows.engine import server
        from gatecast.flows.settings.workspace import Workspace

        home = self.folder / "server"
        os.environ |= {"GATECAST_HOME": str(home), "PREFECT_HOME": str(home / "prefect")}
        os.environ.pop("LD_PRELOAD", None)
        self._server = server.Server(Workspace(home))
        with patch.object(server, "START_LIMIT_SECONDS", 600):  # a busy machine is no broken promise
            self._server.start()
        self.environment["PREFECT_API_URL"] = self._server.url

    def close(self) -> None:
        """Stop the server."""
        if self._server is not None:
            self._server.stop()

    def restore(self) -> None:
        """Make the workspace what it was after the preparation."""
        shutil.rmtree(self.root, ignore_errors=True)
        shutil.copytree(self.template, self.root, symlinks=True)

    def run(self, job: Callable[[], Any], **how: Any) -> Outcome:
        """Run a job in a process of its own, as a command would."""

        def as_command() -> Any:
            from gatecast.flows.engine.orchestration import start_embedded_server

            start_embedded_server()
            return job()

        return run(as_command, self.folder / "jobs", self.environment, **how)

    def everything(self, **how: Any) -> Harm:
        """Return the harm of file calls in the workspace."""
        return Harm(self.root, **how)


def import_all() -> None:
    """Import what jobs need."""
    for name in (
        "gatecast.flows.retrain", "gatecast.flows.monitor", "gatecast.flows.fleet", "gatecast.flows.text",
        "gatecast.flows.tagging", "gatecast.flows.cli", "matplotlib.pyplot", "scipy.stats", "typer.testing",
    ):  # fmt: skip
        importlib.import_module(name)


# ------------------------------------------------------------------------ data


def write_inputs(folder: Path) -> None:
    """Write two files of series, of which the second goes on ten days further, a text, and tagged sentences."""
    write_series(folder / "load.csv", DAYS)
    write_series(folder / "newer.csv", NEWER_DAYS)
    (folder / "novel.txt").write_text(TEXT)
    from gatecast.data.language.tagging import write_conll
    from tests.lstm.sentences import tagged_sentences

    sentences, tags = tagged_sentences(60)
    for part, places in (("train", slice(36)), ("dev", slice(36, 48)), ("test", slice(48, 60))):
        with (folder / f"{part}.conll").open("w") as file:
            write_conll(file, sentences[places], tags[places])


def write_series(path: Path, days: int, revised: float = 0.0) -> None:
    """Write two series with a week's season; `revised` is added to all rows of one."""
    numbers = random.Random(0)
    rows = ["unique_id,ds,y"]
    noise = {name: [numbers.gauss(0, 0.2) for _ in range(1000)] for name in "ab"}
    for name, level in (("a", 5.0 + revised), ("b", 9.0)):
        for day in range(days):
            y = level + math.sin(day / 7 * 2 * math.pi) + noise[name][day]
            rows.append(f"{name},{date(2020, 1, 1) + timedelta(days=day)},{y:.3f}")
    path.write_text("\n".join(rows) + "\n")


# ------------------------------------------------------------------------ jobs


def retrain_settings(folder: Path, seed: int, name: str | None = "load", path: str | None = None) -> Any:
    """Return the settings of a retrain; another seed is a model of more epochs, on newer data."""
    from gatecast.flows.settings.data import DataSettings
    from gatecast.flows.settings.runs import RetrainSettings
    from gatecast.lstm.config import ForecasterSettings

    model = {"lookback": 7, "hidden_size": 4, "max_epochs": 1 if seed == 1 else 4, "seed": seed, "learning_rate": 0.02}
    data = DataSettings(path=folder / (path or ("load.csv" if seed == 1 else "newer.csv")))
    return RetrainSettings(name=name, data=data, model=ForecasterSettings(**model))


def retrain(folder: Path, seed: int) -> Any:
    """Ingest, build sequences, train, evaluate, promote, train the copy, forecast, publish."""
    from gatecast.flows.retrain import retrain as flow

    flow(retrain_settings(folder, seed), resume=True)


def fleet(folder: Path, seed: int) -> Any:
    """Train a model of each series."""
    from gatecast.flows.fleet import fleet as flow
    from gatecast.flows.settings.runs import FleetSettings

    shared = retrain_settings(folder, seed, name=None)
    result = flow(FleetSettings(retrain=shared, groups=(("a",), ("b",)), runner="threads", workers=1), resume=True)
    errors = [each["error"] for each in result["outcomes"] if each["error"]]
    if errors:
        raise RuntimeError("; ".join(errors))


def text(folder: Path, seed: int) -> Any:
    """Train a language model."""
    from gatecast.flows.text import TextSettings, train_text
    from gatecast.lstm.config import CharLMSettings

    sizes = {"hidden_size": 8, "embedding_size": 4, "seq_len": 8, "batch_size": 4, "learning_rate": 0.02}
    model = CharLMSettings(**sizes, max_epochs=seed, seed=seed)
    train_text(TextSettings(name="novel", paths=(folder / "novel.txt",), model=model), resume=True)


def tag(folder: Path, seed: int) -> Any:
    """Train a tagger."""
    from gatecast.flows.settings.tagging import TaggingSettings
    from gatecast.flows.tagging import train_tagger
    from gatecast.lstm.config import TaggerSettings

    files = {part: folder / f"{part}.conll" for part in ("train", "dev", "test")}
    model = TaggerSettings(**SMALL_TAGGER, max_epochs=seed, seed=seed)
    train_tagger(TaggingSettings(**files, name="names", model=model), resume=True)


def forecast(folder: Path, seed: int) -> Any:
    """Forecast from newer data."""
    from gatecast.flows.forecast import forecast_latest

    forecast_latest("load", folder / "newer.csv")


def monitor(folder: Path, seed: int) -> Any:
    """Score the forecasts on file with newer data."""
    from gatecast.flows.monitor import monitor as flow
    from gatecast.flows.settings.champion import MonitorSettings

    flow(MonitorSettings(name="load", path=folder / "newer.csv"))


def pin(folder: Path, seed: int) -> Any:
    """Pin the champion."""
    command("models", "pin", "load", "1")


def backup(folder: Path, seed: int) -> Any:
    """Make a backup of the workspace."""
    command("workspace", "backup", str(folder / "backup.tar"))


def command(*arguments: str) -> str:
    """Run a command of `gatecast` in this process, and return what it prints."""
    from typer.testing import CliRunner

    from gatecast.flows.cli import app

    done = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "300"})
    if done.exit_code:
        raise RuntimeError(f"gatecast {' '.join(arguments)}: status {done.exit_code}: {done.output[-500:]}")
    return done.output


JOBS: dict[str, Callable[[Path, int], Any]] = {
    "retrain": retrain, "fleet": fleet, "text": text, "tag": tag, "forecast": forecast, "monitor": monitor, "pin": pin,
}  # fmt: skip


def has_backup() -> bool:
    """Tell whether this Gatecast has ``gatecast workspace backup``."""
    from gatecast.flows.cli import ENTRIES

    return "workspace" in ENTRIES


# ----------------------------------------------------------------- what is on disk


def lasting(root: Path) -> dict[str, str]:
    """Return a hash of what each file of a workspace says, but for times, and for locks and Prefect's own files."""
    found = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if path.is_file() and not NOT_COMPARED.search(name):
            found[name] = _said(path)
    return found


def _said(path: Path) -> str:
    if path.suffix == ".parquet":
        from gatecast.data.store import content_hash, read_parquet

        frame, _ = read_parquet(path)
        return content_hash(frame[sorted(frame.columns)].astype(object).astype(str))
    content = path.read_bytes()
    if path.suffix in (".json", ".jsonl", ".html", ".toml", ".txt", ".csv"):
        text = content.decode(errors="replace")
        if path.name == "promotions.jsonl":
            return _decisions(text)
        if path.suffix == ".json":
            text = _without_hash(text)
        content = SECONDS.sub("", TIMES.sub("", text)).encode()
    return hashlib.sha256(content).hexdigest()


def _without_hash(text: str) -> str:
    """Return a document without the hash of its own content, which is of its times too."""
    with suppress(ValueError):
        document = json.loads(text)
        if isinstance(document, dict):
            return json.dumps({name: said for name, said in document.items() if name not in ("created_at", "sha256")})
    return text


def _decisions(text: str) -> str:
    """Return who won each time; the same decision again, of a run that was repeated, is one."""
    told = [json.loads(line) for line in text.splitlines()]
    lines = [json.dumps([each.get(name) for name in ("version", "champion", "winner", "action")]) for each in told]
    return "\n".join(line for number, line in enumerate(lines) if line not in lines[:number])


def compiler() -> str | None:
    """Return the C compiler of this machine, None if there is none."""
    return next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)


def build_shim(folder: Path) -> Path | None:
    """Compile the shim; None where there is no compiler, or the system is not Linux."""
    cc = compiler()
    if cc is None or not sys.platform.startswith("linux"):
        return None
    library = folder / "shim.so"
    source = Path(__file__).with_name("shim.c")
    done = subprocess.run([cc, "-O1", "-shared", "-fPIC", "-o", library, source, "-ldl"], capture_output=True)
    return library if done.returncode == 0 else None
