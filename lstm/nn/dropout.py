"""What an `LSTM` drops and where, and the masks of a training step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from gatecast.kernels.masks import NO_MASK, Mask, mask

__all__ = ["NO_MASKS", "DropoutKind", "DropoutRates", "LayerMasks", "checked_rate"]

DropoutKind = Literal["variational", "per_step"]
_INPUT, _RECURRENT, _WEIGHT = range(3)


class LayerMasks(NamedTuple):
    """What one layer and direction drops in one pass."""

    input: Mask
    """Of x_t; in reverse, steps are counted from the end"""
    recurrent: Mask
    """Of h_{t-1} where it enters the gates"""
    weight: Mask
    """Of weight_hh, one for the whole batch"""


NO_MASKS = LayerMasks(NO_MASK, NO_MASK, NO_MASK)


@dataclass(frozen=True)
class DropoutRates:
    """Shares of what becomes zero in training; what stays is multiplied by 1 / (1 - rate).

    Attributes
    ----------
    input : float
        Of the features of `x`.
    between : float
        Of the hidden states that one layer passes to the next, as ``dropout`` of torch.nn.LSTM.
    recurrent : float
        Of h_{t-1} where it enters the gates.
    weight : float
        Of the recurrent matrix: DropConnect, as in AWD-LSTM (Merity et al. 2018, arXiv 1708.02182, §2).
    kind : {"variational", "per_step"}
        One mask for all steps of a sequence (Gal & Ghahramani 2016, arXiv 1512.05287, §4), or another at each step.
    """

    input: float = 0.0
    between: float = 0.0
    recurrent: float = 0.0
    weight: float = 0.0
    kind: DropoutKind = "variational"

    def __post_init__(self):
        for name in ("input", "between", "recurrent", "weight"):
            checked_rate(name, getattr(self, name))
        if self.kind not in ("variational", "per_step"):
            raise ValueError(f"dropout_kind is {self.kind!r}; choose variational or per_step")

    def masks(self, layer: int, place: int, seed: int, step: int) -> LayerMasks:
        """Return the masks of one layer and direction.

        Parameters
        ----------
        layer, place : int
            The layer, and its direction's place among all; both directions of a layer have the same input mask.
        seed, step : int
            Another training step has other masks.
        """
        per_step = self.kind == "per_step"
        rate = self.input if layer == 0 else self.between
        return LayerMasks(
            input=mask(rate, per_step, seed, step, _INPUT, layer),
            recurrent=mask(self.recurrent, per_step, seed, step, _RECURRENT, place),
            weight=mask(self.weight, False, seed, step, _WEIGHT, place),
        )


def checked_rate(name: str, rate: float) -> float:
    """Return `rate`, which must lie between 0 and 1."""
    if not 0 <= rate < 1:
        raise ValueError(f"{name} dropout is {rate}; it must be at least 0 and less than 1")
    return rate
