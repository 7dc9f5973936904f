"""A workspace in one file, taken while runs write, and put back.

Why a backup is consistent: no file of a workspace is changed in place. Files and folders get their names when they are
whole, so what is copied is never half of something; what was replaced while it was copied is copied again. What names
something is copied before what it names, since that was there earlier: forecasts and reports, then models, then their
data. While a model is copied, its registry is locked: no version comes or goes, and no decision is made. Prefect's
database is copied by SQLite, as of one moment. At the end, every file of the copy is read and checked.
"""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from gatecast.data.errors import InputError, naming
from gatecast.data.leftovers import remove, temporary_beside
from gatecast.data.locks import lock_file
from gatecast.data.store import is_damaged_sqlite, read_json, settled, sha256_file, sync, write_json
from gatecast.flows.registry.inventory import LEFT_OVER, NOT_STORED, Found, examine
from gatecast.flows.settings.workspace import Workspace

MANIFEST = "backup.json"
SUFFIXES = (".tar.gz", ".tgz")
FIRST = ("reports", "forecasts", "models")
"""Folders that are copied before the others, since they name what is in those"""
OF_THE_SERVER = ("dashboard.json",)
"""What only the server that runs can use"""
ATTEMPTS = 5
TRAINING = ".training"


class Backup(NamedTuple):
    """What a backup holds.

    Attributes
    ----------
    path : Path
    files : int
    damaged : list of Found
        Files that are damaged in the workspace too.
    """

    path: Path
    files: int
    damaged: list[Found]


def back_up(workspace: Workspace, target: Path) -> Backup:
    """Copy a workspace to a file, ``.tar.gz``, or a folder, whole or not at all; runs may go on meanwhile.

    Raises
    ------
    InputError
        There is no workspace, or `target` exists or is inside the workspace.
    """
    target = target.expanduser().absolute()
    if not workspace.root.is_dir() or not any(workspace.root.iterdir()):
        raise InputError(f"{workspace.root} holds no workspace to back up; name one with --workspace.")
    if os.path.lexists(target):
        raise InputError(f"{target} exists already and is not overwritten; choose another name for the backup.")
    if target.resolve().is_relative_to(workspace.root):
        raise InputError(f"{target} is inside the workspace; choose a place outside it, best on another disk.")
    with naming(target), _staged_beside(target) as staging:
        _copy_workspace(workspace, staging)
        damaged = _copy_damaged_again(workspace, staging)
        files = {path.relative_to(staging).as_posix(): sha256_file(path) for path in _files(staging)}
        made_at = datetime.now(UTC).isoformat(timespec="seconds")
        write_json(staging / MANIFEST, {"gatecast": version("gatecast"), "made_at": made_at, "files": files})
        if target.name.endswith(SUFFIXES):
            _pack(staging, target)
        else:
            _sync_all(staging)
            staging.rename(target)
        sync(target.parent)
    return Backup(target, len(files), damaged)


def restore(source: Path, workspace: Workspace) -> int:
    """Put a backup into a workspace that is empty or does not exist; return the number of files.

    Raises
    ------
    InputError
        The backup is missing or damaged, or the workspace is not empty.
    """
    root = workspace.root
    if root.exists() and any(root.iterdir()):
        raise InputError(f"{root} is not empty; name a new folder with --workspace, or move that one away.")
    if not source.exists():
        raise InputError(f"{source} does not exist; check the path of the backup.")
    with _staged_beside(root) as staging:
        if source.is_dir():
            if any(path.is_symlink() for path in source.rglob("*")):
                raise InputError(f"{source} holds links, which no backup of Gatecast does; do not trust it.")
            shutil.copytree(source, staging, dirs_exist_ok=True)
        else:
            _unpack(source, staging)
        files = _require_whole(staging, source)
        (staging / MANIFEST).unlink()
        with naming(root):
            _sync_all(staging)
            if root.exists():
                root.rmdir()
            staging.rename(root)
            sync(root.parent)
    return files


# ---------------------------------------------------------------- copying


@contextmanager
def _staged_beside(path: Path) -> Iterator[Path]:
    """Give a new folder next to `path`; what is left of it at the end is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with temporary_beside(path, is_directory=True) as staging:
        yield staging


def _copy_workspace(workspace: Workspace, staging: Path) -> None:
    names = [path.name for path in workspace.root.iterdir() if not _is_left_out(path)]
    for name in sorted(names, key=lambda name: (FIRST.index(name) if name in FIRST else len(FIRST), name)):
        if name != "models":
            _copy(workspace.root / name, staging / name)
            continue
        for model in sorted(path for path in workspace.models.iterdir() if path.is_dir()):
            copy = staging / "models" / model.name
            with lock_file(model / ".lock"):
                _copy(model, copy, without=TRAINING)
            # Long trainings need not wait for it: a checkpoint that goes meanwhile is followed by a later one.
            _copy(model / TRAINING, copy / TRAINING)


def _copy(source: Path, target: Path, without: str = "") -> None:
    """Copy a file or folder; one that is replaced meanwhile is copied again, and one that goes is left out."""
    for _ in range(ATTEMPTS):
        before = settled(source)
        remove(target)
        if before.identity is None:
            return
        if before.path.is_dir():
            target.mkdir(parents=True)
            for path in _entries(before.path):
                if path.name != without and not _is_left_out(path):
                    _copy(path, target / path.name)
            after = settled(source)
            if after.path == before.path and after.identity and after.identity[0] == before.identity[0]:
                return
        elif _copy_file(before.path, target):
            return


def _copy_file(source: Path, target: Path) -> bool:
    """Copy a file, with its times; return whether it was there to the end."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.suffix == ".db" and not is_damaged_sqlite(source):
        try:
            with closing(sqlite3.connect(source)) as present, closing(sqlite3.connect(target)) as copy:
                present.backup(copy)
        except sqlite3.Error as error:
            raise OSError(errno.EIO, str(error), str(source)) from error
        return True
    try:
        with naming(source):
            shutil.copy2(source, target)  # it has one content for as long as it is open
    except FileNotFoundError:
        return False
    return True


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _is_left_out(path: Path) -> bool:
    """Tell whether a backup has no use for a file or folder: locks, sockets, and what killed runs left."""
    if LEFT_OVER.fullmatch(path.name):
        return True
    if path.is_dir():
        return False
    return not path.is_file() or NOT_STORED.fullmatch(path.name) is not None or path.name in OF_THE_SERVER


def _copy_damaged_again(workspace: Workspace, staging: Path) -> list[Found]:
    """Copy again what is damaged in the copy, since it may have been replaced or removed while it was copied.

    Returns
    -------
    list of Found
        What is damaged in the workspace itself.
    """
    copy = Workspace(staging)
    for _ in range(ATTEMPTS):
        damaged = [found for found in examine(copy) if found.state == "damaged"]
        present = {found.path for found in examine(workspace) if found.state == "damaged"} if damaged else set()
        # A file of a checkpoint or of a folder of data belongs to the others in its folder.
        folders = {found.path.parent for found in damaged if found.path not in present}
        if not folders:
            return damaged
        for folder in folders:
            _copy(workspace.root / folder, staging / folder)
    return damaged


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def _sync_all(folder: Path) -> None:
    for path in folder.rglob("*"):
        sync(path)
    sync(folder)


# ---------------------------------------------------------------- files


def _pack(staging: Path, target: Path) -> None:
    with temporary_beside(target) as temporary:
        with tarfile.open(temporary, "w:gz", compresslevel=6) as archive:
            archive.add(staging / MANIFEST, MANIFEST)
            for path in _files(staging):
                if path.name != MANIFEST or path.parent != staging:
                    archive.add(path, path.relative_to(staging).as_posix())
        sync(temporary)
        try:
            os.link(temporary, target)  # unlike a rename, it replaces nothing
        except FileExistsError as error:
            raise InputError(f"{target} exists already and is not overwritten; choose another name.") from error
        except OSError:  # a file system without links
            temporary.rename(target)


def _unpack(source: Path, staging: Path) -> None:
    try:
        with tarfile.open(source, "r:*") as archive:
            for member in archive:
                if not (member.isfile() or member.isdir()):
                    raise InputError(f"{source} holds {member.name!r}, which is no file; it is no backup of Gatecast.")
                archive.extract(member, staging, filter="data")
    except tarfile.FilterError as error:
        raise InputError(f"{source} leads out of the workspace ({error}); do not trust it.") from error
    except (tarfile.TarError, EOFError, zlib.error, UnicodeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{source} is damaged or no backup of Gatecast ({error}); use another one.") from error
    except OSError as error:
        if error.errno is None:  # what gzip raises
            raise InputError(f"{source} is damaged or no backup of Gatecast ({error}); use another one.") from error
        raise


def _require_whole(staging: Path, source: Path) -> int:
    """Compare what was unpacked with the list in the backup; return the number of files."""
    if not (staging / MANIFEST).is_file():
        raise InputError(f"{source} has no {MANIFEST}; it is damaged or no backup of Gatecast, use another one.")
    try:
        listed = read_json(staging / MANIFEST, dict[str, object])["files"]
    except (InputError, LookupError) as error:
        raise InputError(f"{MANIFEST} in {source} is damaged; use another backup.") from error
    found = {path.relative_to(staging).as_posix() for path in _files(staging)} - {MANIFEST}
    differing = found.symmetric_difference(listed) or {
        name for name in found if sha256_file(staging / name) != listed[name]
    }
    if differing:
        raise InputError(f"{min(differing)} in {source} is not what was backed up; it is damaged, use another backup.")
    return len(found)
