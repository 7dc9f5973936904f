"""What a training of a language model is told."""

from __future__ import annotations

import re

from pydantic import Field

from flows.locations import LocalPath
from flows.settings import NAME_PATTERN, Settings
from lstm.config import CharLMSettings


class TextSettings(Settings):
    """Everything that decides what `train_text` does."""

    name: str | None = Field(None, pattern=NAME_PATTERN, description="Name of the model; the file's, if left empty")
    paths: tuple[LocalPath, ...] = Field(
        (), description="Text files in UTF-8, read one after another; empty for the sample"
    )
    model: CharLMSettings = Field(CharLMSettings(max_minutes=3), description="The language model and its training")

    @property
    def model_name(self) -> str:
        """The name that is given, or one made from the first file's."""
        stem = re.sub(r"[^A-Za-z0-9._-]+", "-", self.paths[0].stem if self.paths else "shakespeare").strip(".-_")
        words = "-words" if self.model.level == "word" else ""
        return self.name or f"{stem[:40] or 'text'}-text{words}"
