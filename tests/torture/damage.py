"""Stored files of which a bit flips, or that end early."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from tests.torture.ground import JOBS, NOT_COMPARED, command, lasting
from tests.torture.torture import Torture, require

READERS = {
    "models list": lambda folder: command("models", "list"),
    "models show": lambda folder: [command("models", "show", name, "1") for name in ("load", "novel", "names")],
    "forecast": lambda folder: JOBS["forecast"](folder, 2),
    "monitor": lambda folder: JOBS["monitor"](folder, 2),
    "retrain": lambda folder: JOBS["retrain"](folder, 1),
    "text": lambda folder: JOBS["text"](folder, 1),
    "tag": lambda folder: JOBS["tag"](folder, 1),
    "fleet": lambda folder: JOBS["fleet"](folder, 1),
}


class Damage(Torture):
    """No damaged file is read as if nothing were: it is made again, set aside, or named in one sentence.

    One bit of a stored file flips, or the file ends early; then the commands that read it run. What they leave and what
    they print is the same as without the damage, or the error names the file.
    """

    name = "damage"
    short = 6
    share = 3.0

    def prepare(self) -> None:
        self._whole: dict[str, Any] = {}
        template = self.ground.template
        stored = [path for path in template.rglob("*") if path.is_file() and path.stat().st_size]
        names = [str(path.relative_to(template)) for path in stored]
        self._files = sorted(name for name in names if not NOT_COMPARED.search(name))

    def trial(self, seed: int, number: int) -> str:
        draw = random.Random(seed)
        name = draw.choice(self._files)
        readers = _readers_of(name)
        reader = readers[draw.randrange(len(readers))]
        wanted = self._undisturbed(reader)
        self.ground.restore()
        path = self.ground.root / name
        how = _harm(path, draw)
        what = f"{name} {how}, then {reader}"
        outcome = self.ground.run(lambda: READERS[reader](self.ground.folder))
        if outcome.error:
            one_line = "\n" not in outcome.message.split("Error: ")[-1].strip() or reader.startswith("models")
            require(one_line, f"{what}: the error has several lines: {outcome.message}")
            named = path.name in outcome.message or path.parent.name in outcome.message
            require(named, f"{what}: the error does not name the file: {outcome.error}: {outcome.message[:300]}")
            return "named"
        found = lasting_or_damaged(self.ground.root)
        others = sorted(
            other for other in wanted[1]
            if other != name and found.get(other) != wanted[1][other] and not other.endswith(".html")
        )  # fmt: skip
        require(not others, f"{what}: no error, but these files say something else: {others[:4]}")
        require(outcome.value == wanted[0], f"{what}: no error, but the command prints something else")
        return "made again" if found.get(name) == wanted[1].get(name) else "not read or set aside"

    def _undisturbed(self, reader: str) -> Any:
        if reader not in self._whole:
            self.ground.restore()
            outcome = self.ground.run(lambda: READERS[reader](self.ground.folder))
            require(not outcome.error, f"{reader}, undamaged: {outcome.error}: {outcome.message}")
            self._whole[reader] = (outcome.value, lasting_or_damaged(self.ground.root))
        return self._whole[reader]


def lasting_or_damaged(root: Path) -> dict[str, str]:
    """Return `lasting`, without files that were set aside."""
    return {name: value for name, value in lasting(root).items() if ".damaged" not in name}


def _readers_of(name: str) -> list[str]:
    """Return the commands that read a file of the template."""
    for part, readers in {
        "models/load/": ["models list", "models show", "forecast", "monitor", "retrain"],
        "models/novel": ["models list", "models show", "text"],
        "models/names": ["models list", "models show", "tag"],
        "models/": ["models list", "fleet"],
        "texts/": ["text"],
        "tagged/": ["tag"],
        "forecasts/": ["monitor"],
    }.items():
        if name.startswith(part):
            return readers
    return ["retrain", "fleet"]


def _harm(path: Path, draw: random.Random) -> str:
    content = bytearray(path.read_bytes())
    if draw.random() < 0.3:
        length = draw.randrange(len(content))
        path.write_bytes(content[:length])
        return f"ends after {length} of {len(content)} bytes"
    place = draw.randrange(len(content))
    content[place] ^= 1 << draw.randrange(8)
    path.write_bytes(content)
    return f"with a bit of byte {place} of {len(content)} flipped"
