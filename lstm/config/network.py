"""The settings of a network of LSTM layers and a linear head."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import ConfigDict, Field, model_validator

from gatecast.data.settings import Settings

__all__ = ["NetworkSettings"]


class NetworkSettings(Settings):
    """What a network of LSTM layers and a linear head is made from."""

    model_config = ConfigDict(allow_inf_nan=False)

    hidden_size: int = Field(
        default=32, gt=0, le=65_536, description="Units of each LSTM layer", json_schema_extra={"panel": "Model"}
    )
    num_layers: int = Field(
        default=1,
        gt=0,
        le=1_000,
        description="LSTM layers, one on top of the other",
        json_schema_extra={"options": ["--num-layers", "--layers"]},
    )
    bidirectional: bool = Field(default=False, description="Read each window from both ends; not with stateful")
    residual_layers: bool = Field(
        default=False, description="Add to each layer's output what it read, from the second layer on"
    )
    layer_norm: bool = Field(default=False, description="Normalise what each layer reads, from the second layer on")
    attention: Literal["none", "dot", "general", "additive"] = Field(
        default="none",
        description="Score by which the last hidden state looks back over all of them; not with stateful",
    )
    attention_heads: int = Field(
        default=1,
        gt=0,
        description="Parts of the hidden state that attend each on its own",
        json_schema_extra={"options": ["--attention-heads", "--heads"]},
    )
    dropout: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Share of what a layer hands to the next, and the last to the head, that is dropped in training",
    )
    recurrent_dropout: float = Field(
        default=0.0, ge=0, lt=1, description="Share of the hidden state dropped between steps"
    )
    input_dropout: float = Field(default=0.0, ge=0, lt=1, description="Share of the inputs that is dropped")
    weight_dropout: float = Field(default=0.0, ge=0, lt=1, description="Share of the recurrent weights that is dropped")
    dropout_kind: Literal["variational", "per_step"] = Field(
        default="variational",
        description="One mask for all steps of a window (variational) or another at each step (per_step)",
    )
    dtype: Literal["float32", "float64"] = Field(
        default="float32", description="Precision of the arithmetic", json_schema_extra={"panel": "Training"}
    )
    backend: Literal["cpu", "cuda", "auto"] = Field(
        default="cpu",
        description="Where the arithmetic runs: cpu, cuda (an NVIDIA GPU) or auto (the GPU if there is one)",
    )
    seed: int = Field(default=0, ge=0, description="Seed of everything random; the same seed gives the same bits")

    @property
    def directions(self) -> int:
        """1, or 2 where each window is read from both ends."""
        return 2 if self.bidirectional else 1

    @property
    def has_dropout(self) -> bool:
        """Whether anything is dropped in training."""
        return max(self.dropout, self.recurrent_dropout, self.input_dropout, self.weight_dropout) > 0

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.residual_layers or self.layer_norm) and self.num_layers < 2:
            raise ValueError("residual_layers and layer_norm go between layers; choose num_layers of at least 2")
        if self.attention == "none" and self.attention_heads > 1:
            raise ValueError("attention_heads needs an attention; choose dot, general or additive")
        width = self.directions * self.hidden_size
        if width % self.attention_heads:
            raise ValueError(
                f"attention_heads is {self.attention_heads}; choose a divisor of {width}, the hidden state"
            )
        return self
