"""The command that was typed, and others made from it; the only place in `flows` that reads `sys.argv`."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path


@dataclass(frozen=True)
class CommandLine:
    """A command as a person types it; as a string, quoted for the shell.

    Attributes
    ----------
    program : str
        What to type for ``gatecast``.
    words : tuple of str
        The words after it.
    """

    program: str
    words: tuple[str, ...]

    @classmethod
    def typed(cls) -> CommandLine:
        """Return the command that this process was started with.

        Its program is a path if ``gatecast`` is not on the search path.
        """
        path = Path(sys.argv[0])
        on_path = path.name != "gatecast" or shutil.which("gatecast")
        return cls("gatecast" if on_path else os.path.relpath(path), tuple(sys.argv[1:]))

    def __str__(self) -> str:
        return shlex.join([self.program, *self.words])

    def option(self, name: str) -> tuple[str, ...]:
        """Return the words that set an option with a value: ``--name value`` or ``--name=value``; empty if none do."""
        for place, word in enumerate(self.words):
            if word == name:
                return self.words[place : place + 2]
            if word.startswith(f"{name}="):
                return (word,)
        return ()

    def without(self, name: str) -> CommandLine:
        """Return the command without an option that has a value, however often it is set."""
        kept = [
            word
            for place, word in enumerate(self.words)
            if word != name and not word.startswith(f"{name}=") and (place == 0 or self.words[place - 1] != name)
        ]
        return replace(self, words=tuple(kept))

    def adding(self, *words: str) -> CommandLine:
        """Return the command with further words at its end, each of which it has only once."""
        return replace(self, words=(*(word for word in self.words if word not in words), *words))

    def spelling(self, spellings: Sequence[str]) -> str:
        """Return the spelling of an option that was typed, or the usual one, which comes first."""
        typed = {word.partition("=")[0] for word in self.words}
        return next((spelling for spelling in spellings if spelling in typed), spellings[0])
