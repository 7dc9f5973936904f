"""Run the tortures: ``python -m tests.torture``, or ``make torture ARGS="--minutes 60 --only kills"``."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

# Read when numba and matplotlib are imported. One thread that can be forked is what the jobs need.
SETTINGS = {
    "NUMBA_NUM_THREADS": "1", "NUMBA_THREADING_LAYER": "workqueue", "MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1", "ARROW_DEFAULT_MEMORY_POOL": "system", "GATECAST_WEBHOOK": "",
}  # fmt: skip


@dataclass
class Tally:
    """What came of a torture."""

    name: str
    promise: str
    trials: int = 0
    broken: list[str] = field(default_factory=list)
    skipped: str = ""
    kinds: Counter[str] = field(default_factory=Counter)


def main() -> int:
    """Run the tortures; return 1 if a promise is broken."""
    arguments = _parsed()
    folder = Path(tempfile.mkdtemp(prefix="gatecast-torture-"))
    if "TORTURE_FOLDER" not in os.environ:  # the shim has to be there from the start of the process
        _start_again(folder)
    folder.rmdir()  # this is that process, which has another folder
    folder = Path(os.environ["TORTURE_FOLDER"])
    from tests.torture.ground import Ground
    from tests.torture.report import cpu_seconds, write
    from tests.torture.tortures import TORTURES

    chosen = [torture for torture in TORTURES if not arguments.only or torture.name in arguments.only]
    ground = Ground(Path(arguments.folder or folder / "ground").resolve())
    tallies = []
    started = time.monotonic()
    try:
        ground.prepare()
        spent = time.monotonic() - started
        print(f"ready after {spent:.0f} s; seed {arguments.seed}", flush=True)
        share = 60 * arguments.minutes / sum(torture.share for torture in chosen)
        for torture in chosen:
            limit = None if arguments.short else share * torture.share
            tallies.append(_run(torture(ground, arguments.short), arguments, limit))
            if arguments.report:  # after each, so that a run that is stopped has told what it found
                write(Path(arguments.report), tallies, arguments)
    finally:
        ground.close()
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{sum(tally.trials for tally in tallies)} trials, {cpu_seconds():.0f} s of CPU time", flush=True)
    return 1 if any(tally.broken for tally in tallies) else 0


def _run(torture, arguments: argparse.Namespace, limit: float | None) -> Tally:
    """Try until the time is up, or as often as the short form does."""
    from tests.torture.report import cpu_seconds
    from tests.torture.torture import Broken, Skipped

    tally = Tally(torture.name, torture.promise)
    wanted = arguments.trials or (torture.short if arguments.short else 0)
    until = time.monotonic() + (limit or 0)
    number = 0
    started = time.monotonic()
    used = cpu_seconds()
    try:
        torture.prepare()
        while number < wanted if wanted else time.monotonic() < until:
            seed = arguments.seed + number
            try:
                tally.kinds[torture.trial(seed, number + arguments.number)] += 1
            except Skipped:
                raise
            except Exception as error:  # Broken, or what nobody has foreseen
                if not isinstance(error, Broken):
                    traceback.print_exc()
                tally.broken.append(f"seed {seed}: {error}")
                again = f"--only {torture.name} --seed {seed} --number {number + arguments.number} --trials 1"
                print(f"BROKEN  {torture.name}: {error}\n        make torture ARGS='{again}'", flush=True)
            number += 1
    except Skipped as error:
        tally.skipped = str(error)
        print(f"SKIPPED {torture.name}: {error}", flush=True)
    tally.trials = number
    word = "ok     " if not tally.broken else "BROKEN "
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(tally.kinds.items()))
    seconds = time.monotonic() - started
    used = cpu_seconds() - used
    told = f"{number} trials, {len(tally.broken)} broken, {seconds:.0f} s, {used:.0f} s of CPU time"
    print(f"{word} {torture.name}: {told} ({kinds})", flush=True)
    return tally


def _parsed() -> argparse.Namespace:
    from tests.torture.tortures import NAMES

    parser = argparse.ArgumentParser(prog="make torture", description=__doc__)
    parser.add_argument("--minutes", type=float, default=40.0, help="how long, without the preparation (default: 40)")
    parser.add_argument("--short", action="store_true", help="a few trials of each, within four minutes")
    parser.add_argument("--only", nargs="+", choices=NAMES, metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--seed", type=int, default=1, help="of the first trial; each later one has the next")
    parser.add_argument("--number", type=int, default=0, help="of the first trial, for those that take turns")
    parser.add_argument("--trials", type=int, default=0, help="how many of each, instead of a time")
    parser.add_argument("--folder", help="where to work; the models in it are kept, and used again by the next run")
    parser.add_argument("--report", help="write the figures of this run into this page, docs/reliability.md")
    return parser.parse_args()


def _start_again(folder: Path) -> None:
    """Replace this process by one with the shim and the settings that libraries read when they are loaded."""
    from tests.torture.ground import build_shim

    library = build_shim(folder)
    environment = {**os.environ, **SETTINGS, "TORTURE_FOLDER": str(folder)}
    if library is not None:
        environment["LD_PRELOAD"] = str(library)
    os.execve(sys.executable, [sys.executable, "-m", "tests.torture", *sys.argv[1:]], environment)


if __name__ == "__main__":
    sys.exit(main())
