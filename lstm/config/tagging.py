"""The settings of a tagger."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from gatecast.data.settings import Settings
from gatecast.lstm.config.training import Schedule, epochs

__all__ = ["TaggerSettings"]


class TaggerSettings(Settings):
    """What a `Tagger` is made from."""

    model_config = ConfigDict(allow_inf_nan=False)

    crf: bool = Field(
        default=True,
        description="Choose the tags of a sentence together, by a CRF, instead of one by one",
        json_schema_extra={"panel": "Model"},
    )
    bidirectional: bool = Field(
        default=True,
        description="Read each sentence from both ends, or forward only",
        json_schema_extra={"options": ["--bidirectional/--forward"]},
    )
    scheme: Literal["auto", "BIO", "BIOES", "none"] = Field(
        default="auto",
        description="How the model marks chunks: BIO, or BIOES, whatever the file does; none for tags that mark no"
        " chunks, such as parts of speech; auto is BIO where there are tags of chunks",
    )
    word_size: int = Field(default=100, gt=0, le=65_536, description="Numbers that stand for a word")
    character_size: int = Field(default=25, gt=0, le=65_536, description="Numbers that stand for a character")
    character_hidden_size: int = Field(
        default=25, gt=0, le=65_536, description="Units of the LSTM that spells words, in each direction"
    )
    casing_size: int = Field(
        default=8,
        gt=0,
        le=65_536,
        description="Numbers that stand for how a word is written, as in title or upper case",
    )
    affix_size: int = Field(
        default=16,
        gt=0,
        le=65_536,
        description="Numbers that stand for a word's shape, and for each of its beginnings and ends",
    )
    hidden_size: int = Field(default=100, gt=0, le=65_536, description="Units of each LSTM layer, in each direction")
    num_layers: int = Field(
        default=1,
        gt=0,
        le=1_000,
        description="LSTM layers, one on top of the other",
        json_schema_extra={"options": ["--num-layers", "--layers"]},
    )
    dropout: float = Field(
        default=0.7, ge=0, lt=1, description="Share of the LSTM's inputs and outputs dropped in training"
    )
    word_dropout: float = Field(
        default=1.0,
        ge=0,
        description="Words seen n times in training are hidden at a rate of w / (w + n), w being this",
    )
    min_count: int = Field(default=1, gt=0, description="Rarer words are unknown ones")
    longest_word: int = Field(default=24, gt=0, description="Of a longer word, only beginning and end are spelt out")
    learning_rate: float = Field(
        default=2e-3, gt=0, description="Step size of Adam", json_schema_extra={"panel": "Training"}
    )
    schedule: Schedule = Field(default="cosine", description="Course of the learning rate over training")
    weight_decay: float = Field(default=0.0, ge=0, description="Decoupled weight decay of AdamW")
    batch_size: int = Field(default=32, gt=0, description="Sentences of one step")
    max_minutes: float | None = Field(
        default=None,
        gt=0,
        description="Time for training, at most; it is turned into a number of steps, which is kept",
        json_schema_extra={"options": ["--minutes", "--max-minutes"]},
    )
    max_epochs: int = Field(
        default_factory=epochs(30),
        gt=0,
        description="Passes over the training sentences, at most; with max_minutes as many as it allows, else 30",
        json_schema_extra={"options": ["--epochs", "--max-epochs"]},
    )
    patience: int = Field(
        default=8, gt=0, description="Epochs without a better score on the dev sentences before it stops"
    )
    gradient_clip: float = Field(default=5.0, gt=0, description="Greatest norm of a gradient")
    dtype: Literal["float32", "float64"] = Field(default="float32", description="Precision of the arithmetic")
    backend: Literal["cpu", "cuda", "auto"] = Field(
        default="cpu",
        description="Where the arithmetic runs: cpu, cuda (an NVIDIA GPU) or auto (the GPU if there is one)",
    )
    seed: int = Field(default=0, ge=0, description="Seed of everything random; the same seed gives the same bits")
