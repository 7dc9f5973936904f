"""The exceptions that bad input and a failing source raise.

::

    ValueError
    └── InputError                the input is wrong
        ├── SettingsError         a setting is unknown or wrong
        ├── DamagedFileError      a stored file is not what was written there
        └── CheckpointError       a saved model cannot be read, or must not be overwritten
            ├── DamagedError      files are missing, changed or incomplete: restore it, or train the model again
            ├── FormatError       it is whole, but an older or newer Gatecast wrote it: use that Gatecast
            └── KindError         it is whole, but a model of another kind: use what that kind is for
    RuntimeError
    └── SourceError               a source did not give what it should

The three of checkpoints are told apart because only a damaged model may be replaced without asking. `naming` lets an
error of the disk say which file it is about.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gatecast.data.display import one_line
from gatecast.data.secrets import masked


class InputError(ValueError):
    """The input is wrong; the message is one sentence: which file, row or value, what is wrong, and what to do.

    It is on one line and shows no secret, whatever is in the names and URLs that it is made of.
    """

    def __init__(self, message: str) -> None:
        super().__init__(one_line(masked(message)))


class SettingsError(InputError):
    """A setting is unknown or wrong.

    Attributes
    ----------
    problem : mapping
        What pydantic says of it: ``loc``, ``type``, ``msg``, ``input`` and ``ctx``.
    """

    def __init__(self, sentence: str, problem: Mapping[str, Any]):
        super().__init__(sentence)
        self.problem = problem

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.problem)


class DamagedFileError(InputError):
    """A stored file is not what was written there; the message names it and says what makes it whole again."""


class CheckpointError(InputError):
    """A saved model cannot be read, or must not be overwritten."""


class DamagedError(CheckpointError):
    """Files of a saved model are missing, changed or incomplete."""


class FormatError(CheckpointError):
    """A saved model is whole, but was written by an older or newer Gatecast, which this one cannot read."""


class KindError(CheckpointError):
    """A saved model is whole, but of another kind than the one that is asked for."""


class SourceError(RuntimeError):
    """A source did not give what it should; the message, as that of `InputError`, has the real cause and what to do."""

    def __init__(self, message: str) -> None:
        super().__init__(one_line(masked(message)))


@contextmanager
def naming(path: Path, temporary: Path | None = None) -> Iterator[None]:
    """Let the errors of the disk in the block name `path`: those of reading, writing and syncing name no file.

    Parameters
    ----------
    path : Path
    temporary : Path, optional
        What the file is called meanwhile; nobody would know that name.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None:  # Arrow has a text only
            raise OSError(errno.EIO, " ".join(str(error).split()), str(path)) from error
        if error.filename is None:
            error.filename = str(path)
        elif temporary is not None:
            error.filename = str(error.filename).replace(str(temporary), str(path))
        raise
