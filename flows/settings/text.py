"""Settings of the training of a language model."""

from __future__ import annotations

import re

from pydantic import Field, field_validator

from gatecast.data.settings import NAME_PATTERN, Settings
from gatecast.flows.settings.locations import LocalPath
from gatecast.lstm.config import CharLMSettings

MINUTES = 3.0


class TextSettings(Settings):
    """Everything that decides what `flows.text.train_text` does."""

    name: str | None = Field(
        None,
        pattern=NAME_PATTERN,
        description="Name of the model; that of the first file by default, as novel-text",
        json_schema_extra={"panel": "This run"},
    )
    paths: tuple[LocalPath, ...] = Field(
        (),
        description="Text files in UTF-8, read one after another; a megabyte of Shakespeare by default",
        json_schema_extra={"argument": True, "metavar": "FILE…"},
    )
    model: CharLMSettings = Field(
        default_factory=lambda: CharLMSettings(max_minutes=MINUTES),
        description="The language model and its training, which takes three minutes unless minutes or epochs are given",
        json_schema_extra={
            "defaults": {"max_minutes": f"{MINUTES:g}; no limit with max_epochs"},
        },
    )

    @field_validator("model")
    @classmethod
    def _ends(cls, model: CharLMSettings) -> CharLMSettings:
        """Limit the time of a training if nothing else limits it; how long an epoch takes depends on the text."""
        if {"max_minutes", "max_epochs"} & model.model_fields_set:
            return model
        return CharLMSettings(**model.model_dump(exclude_unset=True), max_minutes=MINUTES)

    @property
    def model_name(self) -> str:
        """The given name, or one made from the first file's."""
        stem = re.sub(r"[^A-Za-z0-9._-]+", "-", self.paths[0].stem if self.paths else "shakespeare").strip(".-_")
        words = "-words" if self.model.level == "word" else ""
        return self.name or f"{stem[:40] or 'text'}-text{words}"
