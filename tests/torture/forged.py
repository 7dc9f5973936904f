"""Checkpoints and arrays that somebody forged."""

from __future__ import annotations

import hashlib
import io
import json
import random
import shutil
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.torture.forks import run
from tests.torture.torture import Broken, Torture, one_sentence, require

ABSURD = (None, True, -1, 2**31, 10**12, 10**400, 1e300, "text", "", [], {}, [["a"]], {"a": {"b": 1}}, "\x00", -0.5)
MEMORY = 600_000_000
"""Bytes that a refusal may add to the address space, far less than what the forgeries claim"""


class Forged(Torture):
    """A forged checkpoint is refused in one sentence, before memory goes to what it claims.

    Any value of ``model.json`` becomes absurd, a token becomes a list, headers claim terabytes, an archive of arrays is
    a bomb or holds Python objects. Each is opened in a process that may use 600 MB.
    """

    name = "forged"
    short = 25

    def prepare(self) -> None:
        self.ground.restore()

    def trial(self, seed: int, number: int) -> str:
        draw = random.Random(seed)
        versions = sorted(self.ground.template.glob("models/*/v*/model.json"))
        original = draw.choice(versions).parent
        folder = self.ground.folder / "forged"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(original, folder)
        forge = draw.choice(FORGERIES)
        what = f"{forge.__name__} in a {original.parent.name}"
        forge(folder, draw)

        def look() -> None:
            from gatecast import load

            with one_sentence(what):
                load(folder)

        outcome = run(look, self.ground.folder / "jobs", self.ground.environment, memory=MEMORY, limit=60)
        if outcome.error == "Broken":
            raise Broken(outcome.message)
        require(not outcome.error and not outcome.was_killed, f"{what}: {outcome.error}: {outcome.message[-300:]}")
        return forge.__name__


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Give the way to every value of a document."""
    if path:
        yield path
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else []
    for key in keys:
        yield from places(value[key], (*path, key))


def absurd_value(folder: Path, draw: random.Random) -> None:
    """Replace any value of the document."""
    document = json.loads((folder / "model.json").read_text())
    way = draw.choice(list(places(document)))
    _put(document, way, draw.choice(ABSURD))
    _write(folder, document)


def layers(folder: Path, draw: random.Random) -> None:
    """Claim 2^31 layers, or units."""
    document = json.loads((folder / "model.json").read_text())
    name = draw.choice(("num_layers", "hidden_size", "lookback", "horizon", "embedding_size", "n_models", "word_size"))
    for way in list(places(document)):
        if way[-1] == name:
            _put(document, way, draw.choice((2**31, 2**40, 60_000)))
    _write(folder, document)


def token(folder: Path, draw: random.Random) -> None:
    """Make a list of a word of the vocabulary."""
    document = json.loads((folder / "model.json").read_text())
    texts = [way for way in places(document) if len(way) > 1 and isinstance(way[-1], int)]
    if texts:
        _put(document, draw.choice(texts), draw.choice((["a"], {}, 2**70, None)))
    _write(folder, document)


def terabytes(folder: Path, draw: random.Random) -> None:
    """Let the header of the weights claim what is not there."""
    path = folder / draw.choice([path.name for path in folder.glob("*.safetensors")])
    size = draw.choice((2**42, 2**62, 2**63 - 1, 400))
    shape = draw.choice(([2**20, 2**20], [2**62], [size // 4], [2**40, 0], [-1], [True]))
    header = {"head.weight": {"dtype": draw.choice(("F32", "F64", "F99")), "shape": shape, "data_offsets": [0, size]}}
    text = json.dumps(header).encode()
    length = draw.choice((len(text), 2**62, 2**31, 0))
    path.write_bytes(struct.pack("<Q", length) + text + bytes(8))
    _write(folder, json.loads((folder / "model.json").read_text()))


def not_numbers(folder: Path, draw: random.Random) -> None:
    """Fill a file of weights with random bytes after its header: NaN, infinity and subnormal numbers."""
    path = folder / draw.choice([path.name for path in folder.glob("*.safetensors")])
    whole = path.read_bytes()
    first = 8 + struct.unpack("<Q", whole[:8])[0]
    path.write_bytes(whole[:first] + draw.randbytes(len(whole) - first))
    _write(folder, json.loads((folder / "model.json").read_text()))


def archive(folder: Path, draw: random.Random) -> None:
    """Replace a file of weights with an archive of arrays: a bomb, or one that holds Python objects."""
    path = folder / draw.choice([path.name for path in folder.glob("*.safetensors")])
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bomb:
        header = io.BytesIO()
        kind = draw.choice(("'|O'", "'<f4'"))
        text = f"{{'descr': {kind}, 'fortran_order': False, 'shape': (1099511627776,), }}".ljust(117) + "\n"
        header.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode())
        with bomb.open("head.weight.npy", "w") as member:
            member.write(header.getvalue())
            member.write(bytes(50_000_000))
    _write(folder, json.loads((folder / "model.json").read_text()))


def nested(folder: Path, draw: random.Random) -> None:
    """Make of the document a list in a list in a list."""
    depth = draw.choice((1000, 100_000))
    (folder / "model.json").write_text("[" * depth + "]" * depth)


FORGERIES: tuple[Callable[[Path, random.Random], None], ...] = (
    absurd_value, absurd_value, layers, token, terabytes, not_numbers, archive, nested,
)  # fmt: skip


def _put(document: Any, way: tuple[Any, ...], value: Any) -> None:
    for key in way[:-1]:
        document = document[key]
    document[way[-1]] = value


def _write(folder: Path, document: Any) -> None:
    """Write the document with the hashes of the files as they are now, so that nothing but its content is wrong."""
    if isinstance(document, dict) and isinstance(document.get("files"), dict):
        document["files"] = {
            name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
            for name in document["files"]
            if isinstance(name, str) and (folder / name).is_file()
        }
    if isinstance(document, dict) and isinstance(document.get("sha256"), str):
        del document["sha256"]
        document["sha256"] = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
    (folder / "model.json").write_text(json.dumps(document))
