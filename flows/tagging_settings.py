"""What a training of a tagger is told."""

from __future__ import annotations

import re
from typing import Any

from pydantic import Field

from flows.locations import LocalPath
from flows.settings import NAME_PATTERN, Settings
from lstm.config import TaggerSettings


class TaggingSettings(Settings):
    """Everything that decides what `flows.tagging.train_tagger` does."""

    train: LocalPath = Field(description="CoNLL file to learn from")
    dev: LocalPath | None = Field(
        None, description="CoNLL file to choose the best epoch by; every tenth training sentence if left empty"
    )
    test: LocalPath | None = Field(None, description="CoNLL file to score on at the end; the dev file if left empty")
    name: str | None = Field(None, pattern=NAME_PATTERN, description="Name of the model; the file's if left empty")
    word_column: int = Field(0, description="Column of the words: 0 is the first, -1 the last")
    tag_column: int = Field(-1, description="Column of the tags: 0 is the first, -1 the last")
    vectors: LocalPath | None = Field(None, description="Word vectors to begin with, as text of GloVe or word2vec")
    max_vectors: int = Field(50_000, gt=0, description="How many of them are read; the files begin with the frequent")
    model: TaggerSettings = Field(TaggerSettings(), description="The tagger and its training")

    @property
    def model_name(self) -> str:
        """The name that is given, or one made from the training file's."""
        stem = re.sub(r"[^A-Za-z0-9._-]+", "-", self.train.stem).strip(".-_")
        return self.name or f"{stem[:40] or 'tagger'}-tags"

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON values."""
        return self.model_dump(mode="json")
