"""Jobs that are killed, or whose file calls fail, and are run again."""

from __future__ import annotations

import errno
import json
import random
import shutil
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.torture.forks import EVERY_CALL, KILL, KINDS, Harm, Outcome, is_preloaded
from tests.torture.ground import JOBS, NOT_COMPARED, Ground, backup, has_backup, lasting
from tests.torture.torture import Skipped, Torture, require

NO_SHIM = "there is no C compiler here, or no Linux, so no file call can be made to fail"
FAILURES = (
    ("write", errno.EIO), ("fsync", errno.EIO), ("rename", errno.EIO), ("create", errno.EACCES), ("full", errno.ENOSPC),
)  # fmt: skip


class Disturbed(Torture):
    """What kills and failing disks have in common: a job is disturbed, and run again undisturbed.

    After both, the workspace is as if nothing had happened.
    """

    def prepare(self) -> None:
        self._undisturbed: dict[str, tuple[dict[str, str], int]] = {}

    def jobs(self) -> dict[str, Callable[[Path, int], Any]]:
        """Return the jobs that take turns."""
        return JOBS | ({"backup": backup} if has_backup() else {})

    def chosen(self, number: int) -> tuple[str, Callable[[], Any]]:
        """Return the job whose turn it is."""
        names = list(self.jobs())
        name = names[number % len(names)]
        return name, partial(self.jobs()[name], self.ground.folder, 2)

    def undisturbed(self, name: str, job: Callable[[], Any], calls: int = EVERY_CALL) -> tuple[dict[str, str], int]:
        """Return what a job leaves if nothing disturbs it, and how many file calls it takes."""
        known = self._undisturbed.get(f"{name} {calls}")
        if known is None:
            self.ground.restore()
            self._clean()
            outcome = self.ground.run(job, harm=self.ground.everything(calls=calls))
            require(not outcome.error, f"{name}, undisturbed: {outcome.error}: {outcome.message}")
            known = self._undisturbed[f"{name} {calls}"] = (lasting(self.ground.root), outcome.calls)
        return known

    def disturb(self, name: str, job: Callable[[], Any], what: str, **how: Any) -> Outcome:
        """Disturb a job, look at the workspace, run it again, and compare with what it leaves undisturbed."""
        self.ground.restore()
        self._clean()
        outcome = self.ground.run(job, **how)
        nothing_lost(self.ground, f"{what}, right after it")
        again = self.ground.run(job)
        require(not again.error, f"{what}: run again, {again.error}: {again.message} {again.output[-400:]}")
        nothing_lost(self.ground, f"{what}, and run again")
        self._compare(what, lasting(self.ground.root), self._undisturbed[name][0])
        return outcome

    def _compare(self, what: str, found: dict[str, str], wanted: dict[str, str]) -> None:
        missing = sorted(wanted.keys() - found.keys())
        require(not missing, f"{what}: run again, these files are missing: {missing[:5]}")
        others = sorted(name for name in wanted if found[name] != wanted[name])
        require(not others, f"{what}: run again, these files have other bits: {others[:5]}")
        left = sorted(found.keys() - wanted.keys())
        require(not left, f"{what}: run again, these files are left behind: {left[:5]}")

    def _clean(self) -> None:
        (self.ground.folder / "backup.tar").unlink(missing_ok=True)
        shutil.rmtree(self.ground.folder / "backup", ignore_errors=True)


class Kills(Disturbed):
    """A process that is killed at any instant of any step loses no champion and no version, and run again gives the
    same bits.

    `kill -9` before the n-th file call of the job or in the middle of that write or, without a C compiler, after a
    random time.
    """

    name = "kills"
    short = 7
    share = 4.0

    def trial(self, seed: int, number: int) -> str:
        draw = random.Random(seed)
        name, job = self.chosen(number)
        _, calls = self.undisturbed(name, job)
        self._undisturbed[name] = self._undisturbed[f"{name} {EVERY_CALL}"]
        if is_preloaded():
            at = draw.randint(1, calls)
            what = f"{name}, killed at its file call {at} of {calls}"
            outcome = self.disturb(name, job, what, harm=self.ground.everything(at=at, what=KILL))
        else:
            seconds = draw.uniform(0.1, 6)
            what = f"{name}, killed after {seconds:.2f} s"
            outcome = self.disturb(name, job, what, kill_after=seconds)
        return f"kills of {name}" if outcome.was_killed else f"{name} too quick to kill"


class Disk(Disturbed):
    """A write, an fsync, a rename that fails, or a disk that is full, loses nothing; the error is one sentence, and run
    again the job gives the same bits.

    The n-th call of one kind on a file of the workspace fails; on a full disk, so do all that write after it.
    """

    name = "disk"
    short = 4
    share = 3.0

    def trial(self, seed: int, number: int) -> str:
        if not is_preloaded():
            raise Skipped(NO_SHIM)
        draw = random.Random(seed)
        name, job = self.chosen(number)
        kind, code = draw.choice(FAILURES)
        calls = KINDS["write"] | KINDS["create"] if kind == "full" else KINDS[kind]
        _, count = self.undisturbed(name, job, calls)
        self._undisturbed[name] = self._undisturbed[f"{name} {calls}"]
        if not count:
            return f"{name} has no {kind}"
        at = draw.randint(1, count)
        what = f"{name}, {kind} {at} of {count} fails ({errno.errorcode[code]})"
        harm = Harm(self.ground.root, calls, at, code)
        outcome = self.disturb(name, job, what, harm=harm)
        if outcome.error:
            require("\n" not in outcome.message.strip(), f"{what}: the error has several lines: {outcome.message}")
            names = str(self.ground.root) in outcome.message or "workspace" in outcome.message
            require(names, f"{what}: the error names no file: {outcome.error}: {outcome.message}")
        return f"{kind} errors"


def nothing_lost(ground: Ground, what: str) -> None:
    """Require that every model has a whole champion, all former versions, and a history that agrees with them."""
    for model in sorted((ground.template / "models").iterdir()):
        folder = ground.root / "models" / model.name
        for version in sorted(model.glob("v*")):
            for file in sorted(path for path in version.iterdir() if not NOT_COMPARED.search(path.name)):
                same = (folder / version.name / file.name).read_bytes() == file.read_bytes()
                require(same, f"{what}: {model.name}/{version.name}/{file.name} has changed")
        champion = json.loads((folder / "champion.json").read_text())["version"]
        require((folder / champion / "model.json").exists(), f"{what}: the champion {champion} is not there")
        lines = [json.loads(line) for line in (folder / "promotions.jsonl").read_text().splitlines()]
        former = (model / "promotions.jsonl").read_text()
        require((folder / "promotions.jsonl").read_text().startswith(former), f"{what}: the history was rewritten")
        promoted = [line for line in lines if line["promoted"] and line["action"] == "gate"]
        told = [(line["version"], line["champion"], line["winner"]) for line in promoted]
        twice = [line for line, next_line in pairwise(told) if line == next_line]
        require(not twice, f"{what}: a decision is in the history twice: {twice}")
