"""The settings of a language model."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import ConfigDict, Field, model_validator

from gatecast.data.settings import Settings
from gatecast.lstm.config.training import Schedule, epochs

__all__ = ["CharLMSettings"]


class CharLMSettings(Settings):
    """What a `CharLM` is made from."""

    model_config = ConfigDict(allow_inf_nan=False)

    level: Literal["character", "word"] = Field(
        default="character",
        description="What the model reads and writes one by one",
        json_schema_extra={"panel": "Model"},
    )
    min_count: int | None = Field(
        default=None, gt=0, description="Rarer tokens become <unk>; 1 for characters and 2 for words by default"
    )
    max_vocabulary: int = Field(
        default=20_000, gt=1, description="Tokens that are kept at most, the most frequent ones"
    )
    embedding_size: int | None = Field(
        default=None,
        gt=0,
        le=65_536,
        description="Numbers that stand for a token; 64 by default, with tie_weights the hidden size",
    )
    hidden_size: int = Field(default=384, gt=0, le=65_536, description="Units of each LSTM layer")
    num_layers: int = Field(
        default=1,
        gt=0,
        le=1_000,
        description="LSTM layers, one on top of the other",
        json_schema_extra={"options": ["--num-layers", "--layers"]},
    )
    tie_weights: bool = Field(
        default=False, description="Let embedding and softmax share their weights; for large vocabularies"
    )
    dropout: float = Field(
        default=0.2,
        ge=0,
        lt=1,
        description="Share of the hidden states dropped on their way to the next layer or the softmax",
    )
    recurrent_dropout: float = Field(
        default=0.1, ge=0, lt=1, description="Share of the hidden states dropped on their way to a layer's next step"
    )
    embedding_dropout: float = Field(default=0.0, ge=0, lt=1, description="Share of the embeddings' numbers dropped")
    seq_len: int = Field(
        default=64,
        gt=0,
        description="Steps that a gradient flows back through",
        json_schema_extra={"panel": "Training"},
    )
    batch_size: int = Field(default=32, gt=0, description="Streams of the text that are read side by side")
    learning_rate: float = Field(default=4e-3, gt=0, description="Greatest step size of Adam")
    schedule: Schedule = Field(default="one_cycle", description="Course of the learning rate over training")
    weight_decay: float = Field(default=0.0, ge=0, description="Decoupled weight decay of AdamW")
    gradient_clip: float = Field(default=1.0, gt=0, description="Greatest norm of a gradient")
    max_minutes: float | None = Field(
        default=None,
        gt=0,
        description="Time for training, at most; it is turned into a number of steps, which is kept",
        json_schema_extra={"options": ["--minutes", "--max-minutes"]},
    )
    max_epochs: int = Field(
        default_factory=epochs(20),
        gt=0,
        description="Passes over the training text, at most; with max_minutes as many as it allows, else 20",
        json_schema_extra={"options": ["--epochs", "--max-epochs"]},
    )
    patience: int = Field(default=5, gt=0, description="Epochs without a better validation loss before training stops")
    validation_fraction: float = Field(
        default=0.1, gt=0, lt=1, description="Share of the text, its end, that validates"
    )
    dtype: Literal["float32", "float64"] = Field(default="float32", description="Precision of the arithmetic")
    backend: Literal["cpu", "cuda", "auto"] = Field(
        default="cpu",
        description="Where the arithmetic runs: cpu, cuda (an NVIDIA GPU) or auto (the GPU if there is one)",
    )
    seed: int = Field(default=0, ge=0, description="Seed of everything random; the same seed gives the same bits")

    @property
    def embedding(self) -> int:
        """Size of the embedding that follows from these settings."""
        return self.embedding_size or (self.hidden_size if self.tie_weights else 64)

    @model_validator(mode="after")
    def _can_tie(self) -> Self:
        if self.tie_weights and self.embedding_size not in (None, self.hidden_size):
            raise ValueError(
                f"weights can be tied where embedding_size is hidden_size, {self.hidden_size}; leave embedding_size out"
            )
        return self
