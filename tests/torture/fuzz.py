"""Input that nobody meant: frames, settings, files and arguments."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.torture.forks import run
from tests.torture.torture import Broken, Torture, one_sentence, require

BATCH = 25
JUNK: tuple[Any, ...] = (
    None, "", " ", "x", "-1", -1, 0, 1, 2, 1.5, 10**12, 10**400, 1e300, float("nan"), float("inf"), True, [], {},
    [None], "../x\n<b>", "\x00", "é" * 300, "$HOME", "{}", "1e999", b"\xff", ("a", "b"), {"a": 1}, object, "2020-02-30",
    "auto",
)  # fmt: skip
TYPED = (
    "",
    "-1",
    "0",
    "1e300",
    "nan",
    "x",
    "../x\n<b>",
    "\x1b[31m",
    "é" * 200,
    "{",
    "[1",
    "2020-02-30",
    "--",
    "@",
    "a,b,,",
)
BYTES = (
    b"\x00",
    b"\xff\xfe",
    b",",
    b"\n",
    b'"',
    b"\r",
    b";",
    b"\t",
    b"1e999",
    b"nan",
    b"\xe2\x80\xa8",
    b"=",
    b"[",
    b"'''",
)
TOML = (b"1e400", b"nan", b"[]", b"{}", b"''", b"-1", b"true", b"2020-02-29", b"[[1]]", b'"../x\\n<b>"', b'"$NONE"')
COMMANDS = (
    ("retrain", "--path", "load.csv", "--epochs", "1"), ("forecast", "--name", "load"), ("monitor", "--name", "load"),
    ("backtest", "--name", "load", "--refit", "0"), ("export", "--name", "load"), ("data", "check", "load.csv"),
    ("fetch", "--path", "load.csv"), ("models", "list"), ("models", "show", "load"), ("models", "promote", "load"),
    ("models", "pin", "load"), ("models", "compare", "load"), ("models", "history", "load"),
    ("models", "prune", "load"), ("text", "train", "novel.txt", "--epochs", "1"), ("text", "generate"),
    ("text", "evaluate", "novel.txt"), ("tag", "predict", "test.conll"), ("tag", "evaluate", "test.conll"),
    ("run", "nightly"),
)  # fmt: skip


class Fuzz(Torture):
    """Whatever is given, the answer is a result or one sentence, and of a command exit status 2, never a traceback.

    Frames, settings, CSV and CoNLL files, ``gatecast.toml`` and arguments that are random, each 25 to a trial, in a
    process of its own.
    """

    name = "fuzz"
    short = 6
    share = 2.0

    def prepare(self) -> None:
        self.ground.restore()

    def trial(self, seed: int, number: int) -> str:
        kind = list(KINDS)[number % len(KINDS)]
        folder = self.ground.folder

        def job() -> None:
            import os

            os.chdir(folder)
            warnings.simplefilter("ignore")
            for each in range(BATCH if kind != "arguments" else BATCH // 5):
                KINDS[kind](folder, random.Random(f"{kind} {seed} {each}"))

        outcome = self.ground.run(job) if kind == "arguments" else run(job, folder / "jobs", self.ground.environment)
        if outcome.error == "Broken":
            raise Broken(f"{kind}: {outcome.message}")
        require(not outcome.error and not outcome.was_killed, f"{kind}: {outcome.error}: {outcome.message[-400:]}")
        return f"times {BATCH if kind != 'arguments' else BATCH // 5} {kind}"


def frames(folder: Path, draw: random.Random) -> None:
    """Fit and forecast a frame of odd columns."""
    import pandas as pd

    from gatecast import Forecaster

    rows = draw.choice((0, 1, 3, 40, 40, 40))
    days: list[Any] = list(pd.date_range("2020-01-01", periods=rows))
    frame = pd.DataFrame({"unique_id": ["a", "b"] * (rows // 2) + ["a"] * (rows % 2), "ds": days, "y": range(rows)})
    frame["y"] = frame["y"].astype(float) % 7
    done = []
    for _ in range(draw.randrange(1, 3)):
        column = draw.choice(("unique_id", "ds", "y"))
        how = draw.choice(("value", "values", "missing", "repeat", "order", "type", "extra", "category", "zone"))
        done.append((how, column))
        if column not in frame or not len(frame):
            continue
        if how == "value":
            frame[column] = frame[column].astype(object)
            frame.iloc[draw.randrange(rows), frame.columns.get_loc(column)] = draw.choice(JUNK)
        elif how == "values":
            frame[column] = [draw.choice(JUNK) for _ in range(rows)]
        elif how == "missing":
            frame = frame.drop(columns=column)
        elif how == "repeat":
            frame = pd.concat([frame, frame])
            rows *= 2
        elif how == "order":
            frame = frame.sample(frac=1, random_state=draw.randrange(1000))
        elif how == "type":
            frame[column] = frame[column].astype(str)
        elif how == "extra":
            frame[draw.choice(("x\n<b>", 7, "ds2", "y_hat", ""))] = draw.choice((1.0, "x", None))
        elif how == "category":
            frame[column] = frame[column].astype("category")
        elif column == "ds" and pd.api.types.is_datetime64_any_dtype(frame["ds"]):
            frame["ds"] = frame["ds"].dt.tz_localize(
                draw.choice(("UTC", "Europe/Berlin")), nonexistent="NaT", ambiguous="NaT"
            )
    with one_sentence(f"a frame of {rows} rows with {done}"):
        import numpy as np

        y_hat = Forecaster(lookback=5, hidden_size=3, max_epochs=1).fit(frame).predict()["y_hat"]
        require(np.isfinite(y_hat).all(), f"a frame with {done}: the forecast is not finite")


def settings(folder: Path, draw: random.Random) -> None:
    """Make settings of odd values."""
    from gatecast.data.settings import Settings
    from gatecast.flows.settings.champion import ForecastSettings, MonitorSettings
    from gatecast.flows.settings.data import DataSettings
    from gatecast.flows.settings.runs import FleetSettings, RetrainSettings
    from gatecast.flows.settings.tagging import TaggingSettings
    from gatecast.flows.settings.text import TextSettings
    from gatecast.lstm.config import CharLMSettings, ForecasterSettings, TaggerSettings

    kinds: tuple[type[Settings], ...] = (
        ForecasterSettings, CharLMSettings, TaggerSettings, RetrainSettings, FleetSettings, DataSettings,
        MonitorSettings, ForecastSettings, TextSettings, TaggingSettings,
    )  # fmt: skip
    kind = draw.choice(kinds)
    names = [*kind.model_fields, "no such"]
    given = {draw.choice(names): draw.choice(JUNK) for _ in range(draw.randrange(1, 4))}
    with one_sentence(f"{kind.__name__}(**{given})"):
        kind(**given)


def csv(folder: Path, draw: random.Random) -> None:
    """Read a CSV file with odd bytes."""
    from gatecast.data.sources.source import Selection, open_source

    path = folder / "fuzzed.csv"
    path.write_bytes(_mutated((folder / "load.csv").read_bytes()[: draw.choice((200, 4000))], draw))
    with one_sentence(f"{path.read_bytes()[:120]!r}"):
        open_source("csv", path).read(Selection(None, None, None, None))


def conll(folder: Path, draw: random.Random) -> None:
    """Read a CoNLL file with odd bytes."""
    from gatecast.data.language.tagging import read_conll

    path = folder / "fuzzed.conll"
    path.write_bytes(_mutated((folder / "train.conll").read_bytes()[:600], draw))
    with one_sentence(f"{path.read_bytes()[:120]!r}"):
        read_conll(path)


def toml(folder: Path, draw: random.Random) -> None:
    """Read a gatecast.toml with odd bytes, lines or values."""
    from gatecast.flows.deployments import read_settings

    path = folder / "fuzzed.toml"
    whole = (Path(__file__).parents[2] / "gatecast.toml").read_bytes()
    if draw.random() < 0.5:
        lines = whole.split(b"\n")
        valued = [number for number, line in enumerate(lines) if b" = " in line]
        number = draw.choice(valued)
        lines[number] = lines[number].partition(b" = ")[0] + b" = " + draw.choice(TOML)
        path.write_bytes(b"\n".join(lines))
    else:
        path.write_bytes(_mutated(whole, draw))
    with one_sentence("a gatecast.toml"):
        read_settings(path)


def arguments(folder: Path, draw: random.Random) -> None:
    """Type a command with odd options and values."""
    from typer.testing import CliRunner

    from gatecast.flows.cli import app

    command = list(draw.choice(COMMANDS))
    options = _options_of(command)
    for _ in range(draw.randrange(1, 3)):
        command.append(draw.choice([*options, "--no-such-option"]))
        if draw.random() < 0.9:
            command.append(draw.choice(TYPED))
    done = CliRunner().invoke(app, command, env={"COLUMNS": "300"})
    ended = done.exception is None or isinstance(done.exception, SystemExit)
    require(ended, f"gatecast {command}: {done.exception!r}")
    require(done.exit_code in (0, 2, 3), f"gatecast {command}: status {done.exit_code}: {done.output[-300:]}")
    require("Traceback" not in done.output, f"gatecast {command}: {done.output[-300:]}")


KINDS: dict[str, Callable[[Path, random.Random], None]] = {
    "frames": frames, "settings": settings, "csv": csv, "conll": conll, "toml": toml, "arguments": arguments,
}  # fmt: skip


def _mutated(content: bytes, draw: random.Random) -> bytes:
    """Return bytes with a few places changed, left out, repeated or cut off."""
    changed = bytearray(content)
    for _ in range(draw.randrange(1, 5)):
        place = draw.randrange(len(changed) + 1)
        how = draw.randrange(5)
        if how == 0:
            changed[place:place] = draw.choice(BYTES)
        elif how == 1:
            changed[place : place + draw.randrange(1, 20)] = b""
        elif how == 2:
            changed[place:place] = changed[place : place + 60]
        elif how == 3:
            changed[place : place + 1] = bytes([draw.randrange(256)])
        else:
            del changed[max(place, 1) :]
    return bytes(changed)


def _options_of(command: list[str]) -> list[str]:
    """Return the options that a command takes, without those that would go on for long or leave the folder."""
    from gatecast.flows.cli import ENTRIES

    found: Any = ENTRIES[command[0]].load(command[0])
    if hasattr(found, "commands") and len(command) > 1 and command[1] in found.commands:
        found = found.commands[command[1]]
    left_out = {"--workspace", "--debug", "--help", "--runner", "--cluster", "--webhook", "--source", "--database"}
    return [name for each in found.params for name in each.opts if name.startswith("--") and name not in left_out]
