"""Settings of the models: frozen, validated where they are made, stored with every checkpoint."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = ["ForecasterSettings"]


class ForecasterSettings(BaseModel):
    """What a `Forecaster` is made from."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    lookback: int = Field(60, gt=0, description="Past rows that the model sees")
    horizon: int = Field(1, gt=0, description="Rows ahead that it predicts, all at once")
    hidden_size: int = Field(32, gt=0, description="Units of each LSTM layer")
    num_layers: int = Field(1, gt=0, description="LSTM layers, one on top of the other")
    bidirectional: bool = Field(False, description="Read each window from both ends; not with stateful")
    learning_rate: float = Field(1e-3, gt=0, description="Step size of Adam; where stateful, 1e-2 suits better")
    schedule: Literal["constant", "cosine"] = Field("cosine", description="Course of the learning rate over training")
    weight_decay: float = Field(1e-2, ge=0, description="Decoupled weight decay of AdamW")
    batch_size: int = Field(64, gt=0, description="Windows of one step; streams, where stateful")
    max_epochs: int = Field(30, gt=0, description="Passes over the training windows, at most")
    patience: int = Field(5, gt=0, description="Epochs without a better validation loss before training stops")
    gradient_clip: float = Field(1.0, gt=0, description="Greatest norm of a gradient")
    scaling: Literal["standard", "minmax", "robust", "none"] = Field(
        "standard", description="Scaler of each series, fitted on its training rows"
    )
    stateful: bool = Field(
        False, description="Carry the state from batch to batch along each series, and learn from every step"
    )
    dtype: Literal["float32", "float64"] = Field("float32", description="Precision of the arithmetic")
    backend: Literal["cpu", "cuda", "auto"] = Field("cpu", description="Where the arithmetic runs")
    seed: int = Field(0, ge=0, description="Seed of everything random")

    @model_validator(mode="after")
    def _sees_no_future(self) -> Self:
        if self.stateful and self.bidirectional:
            raise ValueError("stateful learns from every step, where bidirectional would show what follows; choose one")
        return self
