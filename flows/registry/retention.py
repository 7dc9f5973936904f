"""What of the files of a workspace is not needed any more, and how it is removed.

There are two kinds of files. What people look at or go back to, versions and reports, stays for the newest `keep` of
each model. What a training works with, and what can be made again from data, stays only while it is in use: by the
champion, by the one before it, or by the newest run.

Something is first renamed to the name of a temporary file, under the locks of those who use it, and then removed. So a
version is whole or absent at any moment, and what a killed process leaves is swept like any other leftover.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gatecast.data.errors import InputError
from gatecast.data.leftovers import put_aside, remove
from gatecast.data.locks import open_lock_file, try_lock
from gatecast.flows.registry.registry import Registry
from gatecast.flows.settings.retention import RetentionSettings
from gatecast.flows.settings.workspace import Workspace

_LOGGER = logging.getLogger(__name__)
DAY = 24 * 60 * 60
IN_USE_DAYS = 1
"""Data that was read this lately may be in use by a run that has not come to its version yet"""
RESUMABLE_DAYS = 7
"""For so long, an interrupted training is kept although a newer one has begun"""
FORECASTS = 400
"""Forecasts on file that always stay: the monitor judges by them, and they are small"""
_KEYED = re.compile(r"(?:(.+)-)?[0-9a-f]{12}(?:\.txt)?")


@dataclass(frozen=True)
class Item:
    """A file or folder that is not needed any more.

    Attributes
    ----------
    kind : str
        In words, for people.
    path : Path
    size : int
        Bytes on the disk.
    moment : float
        When it was last changed, in seconds since 1970.
    """

    kind: str
    path: Path
    size: int
    moment: float

    @classmethod
    def of(cls, kind: str, path: Path) -> Item:
        """Look at a path."""
        parts = [path, *path.rglob("*")] if path.is_dir() else [path]
        return cls(kind, path, sum(map(_size_on_disk, parts)), changed_at(path))


@dataclass(frozen=True)
class Rule:
    """How long things are kept.

    Attributes
    ----------
    settings : RetentionSettings
    now : float
        In seconds since 1970.
    """

    settings: RetentionSettings
    now: float

    @classmethod
    def at_present(cls, settings: RetentionSettings) -> Rule:
        """Return the rule by today's clock."""
        return cls(settings, time.time())

    def old(self, paths: Iterable[Path], keep: int, days: float = 0.0) -> list[Path]:
        """Return the paths that are neither among the newest `keep` nor younger than so many days."""
        after = self.now - DAY * max(days, self.settings.keep_days)
        return [path for path in sorted(paths, key=changed_at, reverse=True)[keep:] if changed_at(path) <= after]


def changed_at(path: Path) -> float:
    """Return when a file, or the newest file in a folder, was last written; 0 if it has just gone.

    A folder's own time changes with every part that is removed from it.
    """
    with suppress(OSError):
        files = [part for part in path.rglob("*") if not part.is_dir()] if path.is_dir() else []
        return max(part.lstat().st_mtime for part in files or [path])
    return 0.0


def _size_on_disk(path: Path) -> int:
    with suppress(OSError):
        status = path.lstat()
        return getattr(status, "st_blocks", 0) * 512 or status.st_size
    return 0


def superfluous(workspace: Workspace, rule: Rule) -> Iterator[Item]:
    """Yield what `clean_up` would remove."""
    for name in model_names(workspace):
        yield from of_model(Registry(workspace, name), rule)
    yield from of_data(workspace, rule)
    yield from of_results(workspace, rule)


def clean_up(workspace: Workspace, rule: Rule) -> Iterator[Item]:
    """Remove what is not needed any more, and yield it.

    A model that is being trained is left alone until the next time.
    """
    for name in model_names(workspace):
        yield from _cleaned_model(Registry(workspace, name), rule)
    yield from _cleaned(of_data(workspace, rule))
    yield from _cleaned(of_results(workspace, rule))
    workspace.tidy_up()


def _cleaned_model(registry: Registry, rule: Rule) -> list[Item]:
    with open_lock_file(registry.directory / ".retrain.lock") as lock:
        if not try_lock(lock):
            _LOGGER.info("%s is being trained; it is cleaned up the next time.", registry.name)
            return []
        with registry.locked():
            items = list(of_model(registry, rule))
            aside = [put_aside(item.path) for item in items]
    for path in aside:
        remove(path)
    return items


def _cleaned(items: Iterable[Item]) -> Iterator[Item]:
    for item in list(items):
        with suppress(FileNotFoundError):  # another process has removed it
            remove(put_aside(item.path))
            yield item


def model_names(workspace: Workspace) -> list[str]:
    """Return the names of the models that have a folder, sorted."""
    return sorted(path.name for path in workspace.models.glob("*") if path.is_dir() and not path.name.startswith("."))


def in_use(registry: Registry) -> list[str]:
    """Return the champion, pinned or not, and the one that a rollback would go back to.

    Raises
    ------
    InputError
        It is not on record who the champion is.
    """
    return [version for version in (registry.champion(), *registry.former_champions()[:1]) if version is not None]


def of_model(registry: Registry, rule: Rule) -> Iterator[Item]:
    """Yield what is not needed any more of a model's versions, copies, trainings, sequences, reports and forecasts."""
    try:
        used = in_use(registry)
    except InputError as error:
        _LOGGER.warning("%s Nothing of %s is removed until then.", error, registry.name)
        return
    kept = rule.settings.keep
    versions = (registry.path(version) for version in registry.versions()[:-kept] if version not in used)
    for path in rule.old(versions, 0):
        yield Item.of("versions", path)
    copies = {registry.refit_path(version) for version in used}
    for path in rule.old((path for path in registry.directory.glob("refits/*-refit") if path not in copies), 0):
        yield Item.of("copies that forecast", path)
    yield from _of_trainings(registry, rule)
    yield from _of_reports(registry.workspace.reports / registry.name, rule)
    forecasts = (registry.workspace.forecasts / registry.name).glob("*.parquet")
    for path in rule.old(forecasts, max(kept, FORECASTS)):
        yield Item.of("forecasts", path)
    sequences = registry.workspace.sequences.glob(f"{registry.name}-*")
    for path in rule.old((path for path in sequences if _owner(path) == registry.name), 1):
        yield Item.of("sequences", path)


def _of_trainings(registry: Registry, rule: Rule) -> Iterator[Item]:
    """Yield what no run can continue from: the epochs of trainings that have ended, and all but the newest of these."""
    folders = [path for path in registry.directory.glob(".training/*") if path.is_dir()]
    ended = [path for path in folders if _has_ended(path)]
    interrupted = [path for path in folders if path not in ended]
    gone = [*rule.old(ended, 1), *rule.old(interrupted, 1, RESUMABLE_DAYS)]
    epochs = [epoch for path in ended if path not in gone for epoch in _epochs(path)]
    for path in (*gone, *rule.old(epochs, 0)):
        yield Item.of("trainings", path)


def _has_ended(training: Path) -> bool:
    """Tell whether a training has left its model, and has not begun again since."""
    model = training / "model"
    return model.is_dir() and all(changed_at(epoch) <= changed_at(model) for epoch in _epochs(training))


def _epochs(training: Path) -> list[Path]:
    return [path for path in training.iterdir() if path.is_dir() and path.name.startswith(("epoch-", "member-"))]


def _of_reports(folder: Path, rule: Rule) -> Iterator[Item]:
    """Yield old reports, and the parts of older ones that are in their page too or that only the newest needs."""
    reports = [path for path in folder.glob("*") if path.is_dir() and _KEYED.fullmatch(path.name)]
    backtests = [path for path in reports if path.name.startswith("backtest-")]
    trainings = [path for path in reports if path not in backtests]
    gone = [*rule.old(backtests, rule.settings.keep), *rule.old(trainings, rule.settings.keep)]
    for path in gone:
        yield Item.of("reports", path)
    for report in rule.old(trainings, 1):
        if report not in gone and (report / "report.html").exists():
            for path in (*report.glob("*.png"), *report.glob("*.parquet")):
                yield Item.of("parts of old reports", path)


def of_data(workspace: Workspace, rule: Rule) -> Iterator[Item]:
    """Yield the snapshots of data that no champion, none before it and no newest run has learnt from."""
    used: set[Path] = set()
    for name in model_names(workspace):
        registry = Registry(workspace, name)
        try:
            used |= {registry.data(version).resolve() for version in _known(registry)}
        except InputError as error:
            _LOGGER.warning("%s No data is removed until then.", error)
            return
    for folder in (workspace.bars, workspace.texts, workspace.tagged):
        snapshots: dict[str | None, list[Path]] = {}
        for path in folder.glob("*"):
            if not path.name.startswith(".") and _KEYED.fullmatch(path.name):
                snapshots.setdefault(_owner(path), []).append(path)
        for paths in snapshots.values():
            for path in rule.old(paths, 1, IN_USE_DAYS):
                if path.resolve() not in used:
                    yield Item.of("data", path)


def _known(registry: Registry) -> list[str]:
    """Return the versions in use that know their data."""
    return [version for version in in_use(registry) if registry.lineage(version).get("data") is not None]


def of_results(workspace: Workspace, rule: Rule) -> Iterator[Item]:
    """Yield the stored results of steps whose files are gone: the next run does not use them."""
    for path in rule.old((workspace.prefect / "storage").glob("*"), 0, IN_USE_DAYS):
        try:
            result = json.loads(json.loads(path.read_bytes())["result"])["value"]
            files = [] if result is None else list(result["files"])
        except (OSError, ValueError, LookupError, TypeError):
            continue  # not a result of ours
        if result is None or not all((workspace.root / file).exists() for file in files):
            yield Item.of("results of steps", path)


def _owner(path: Path) -> str | None:
    """Return what comes before the key in the name of a folder."""
    match = _KEYED.fullmatch(path.name)
    return match[1] if match else None
