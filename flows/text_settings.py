"""What a training of a language model is told."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import Field, field_validator

from flows.settings import NAME_PATTERN, Settings
from lstm.config import CharLMSettings


class TextSettings(Settings):
    """Everything that decides what `train_text` does."""

    name: str | None = Field(None, pattern=NAME_PATTERN, description="Name of the model; the file's, if left empty")
    paths: tuple[Path, ...] = Field((), description="Text files in UTF-8, read one after another; empty for the sample")
    model: CharLMSettings = Field(CharLMSettings(max_minutes=3), description="The language model and its training")

    @field_validator("paths")
    @classmethod
    def _absolute(cls, paths: tuple[Path, ...]) -> tuple[Path, ...]:
        return tuple(path.expanduser().resolve() for path in paths)

    @property
    def model_name(self) -> str:
        """The name that is given, or one made from the first file's."""
        stem = re.sub(r"[^A-Za-z0-9._-]+", "-", self.paths[0].stem if self.paths else "shakespeare").strip(".-_")
        words = "-words" if self.model.level == "word" else ""
        return self.name or f"{stem[:40] or 'text'}-text{words}"
