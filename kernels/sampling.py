"""Drawing a token from logits: one source for the CPU and the GPU, as `kernels.scalar` is."""

from __future__ import annotations

import math

from numba.extending import register_jitable

__all__ = ["sample"]


@register_jitable
def sample(logits, temperature, top_k, top_p, draw):
    """Return an entry drawn from ``softmax(logits / temperature)``, or from its most probable part.

    Entries are taken from the most probable on, equal ones together, until there are `top_k` of them or they have the
    share `top_p` of the whole probability (Holtzman et al. 2020, arXiv 1904.09751), whichever comes first.

    Parameters
    ----------
    logits : (entries,) array
        Overwritten. An entry of -infinity is never drawn.
    temperature, top_p, draw : numbers of the dtype of `logits`
        A temperature of 0 returns the first of the most probable entries; `draw` is uniform on [0, 1).
    top_k : int
    """
    best = 0
    for j in range(1, logits.shape[0]):
        if logits[j] > logits[best]:
            best = j
    zero = draw - draw
    if temperature == zero:
        return best
    top = logits[best]
    total = zero
    for j in range(logits.shape[0]):
        logits[j] = math.exp((logits[j] - top) / temperature)
        total += logits[j]
    one = logits[best]
    least = zero
    kept = total
    if top_k < logits.shape[0] or top_p < one:
        least = one + one
        kept = zero
        count = 0
        while count < top_k and kept < top_p * total:
            following = -one
            for j in range(logits.shape[0]):
                if following < logits[j] < least:
                    following = logits[j]
            if following < zero:
                break
            least = following
            for j in range(logits.shape[0]):
                if logits[j] == least:
                    count += 1
                    kept += least
    rest = draw * kept
    for j in range(logits.shape[0]):
        if logits[j] >= least:
            rest -= logits[j]
            if rest < zero:
                return j
    return best  # rounding left a rest
