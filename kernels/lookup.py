"""Inputs that are entries of a small vocabulary: what each of them adds to the gates is computed once and looked up."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["Lookup"]


class Lookup(NamedTuple):
    """What `lstm_forward` can read in place of ``x``, and `lstm_backward` write in place of ``dx``.

    An input enters the gates as ``w_ih @ x_t + bias`` and in no other way. If x_t is one of V vectors, a product with V
    rows gives all of these, however many steps there are.
    """

    table: Any
    """(V, 4H): ``w_ih @ embedding + bias`` of each entry; the gradient of that in the backward pass"""
    indices: Any
    """(B, T) int64 from 0 to V - 1, not checked"""
