"""The exceptions that bad input and a failing source raise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class InputError(ValueError):
    """The input is wrong; the message is one sentence that names the file, row or value and the mend."""


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


class SourceError(RuntimeError):
    """A source did not give what it should; the message is one sentence with the real cause and what to do."""
