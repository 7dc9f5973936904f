"""Settings of the training of a tagger."""

from __future__ import annotations

import re
from typing import Any

from pydantic import Field

from gatecast.data.settings import NAME_PATTERN, Settings
from gatecast.flows.settings.locations import LocalPath
from gatecast.lstm.config import TaggerSettings


class ColumnSettings(Settings):
    """Where words and tags are in a CoNLL file."""

    word_column: int = Field(
        0, description="Column of the words: 0 is the first, -1 the last", json_schema_extra={"panel": "Data"}
    )
    tag_column: int = Field(-1, description="Column of the tags: 0 is the first, -1 the last")


class TaggingSettings(ColumnSettings):
    """Everything that decides what `flows.tagging.train_tagger` does."""

    train: LocalPath = Field(
        description="CoNLL file to learn from: a token a line, its tag in a column",
        json_schema_extra={"argument": True},
    )
    dev: LocalPath | None = Field(
        None,
        description="CoNLL file by which the best epoch is chosen; every tenth training sentence by default",
        json_schema_extra={"panel": "Data"},
    )
    test: LocalPath | None = Field(None, description="CoNLL file to score on at the end; the dev file by default")
    name: str | None = Field(
        None,
        pattern=NAME_PATTERN,
        description="Name of the model; that of the training file by default",
        json_schema_extra={"panel": "This run"},
    )
    vectors: LocalPath | None = Field(
        None, description="Word vectors to begin with, in the text format of GloVe or word2vec"
    )
    max_vectors: int = Field(
        50_000, gt=0, description="How many of them are read; the files begin with the frequent words"
    )
    model: TaggerSettings = Field(
        default_factory=TaggerSettings,
        description="The tagger and its training",
        json_schema_extra={
            "defaults": {"word_size": "100, or that of the vectors", "max_epochs": "30; no limit with max_minutes"}
        },
    )

    @property
    def model_name(self) -> str:
        """The given name, or one made from the training file's."""
        stem = re.sub(r"[^A-Za-z0-9._-]+", "-", self.train.stem).strip(".-_")
        return self.name or f"{stem[:40] or 'tagger'}-tags"

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON values."""
        return self.model_dump(mode="json")
