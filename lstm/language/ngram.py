"""Counts of short contexts as a predictor of text: what a language model has to beat."""

from __future__ import annotations

import math

import numpy as np

__all__ = ["ngram_cross_entropy"]


def ngram_cross_entropy(training: np.ndarray, tokens: np.ndarray, vocabulary_size: int, context: int) -> np.ndarray:
    """Return the loss of counts of contexts on each token of a text but the first, in nats.

    Contexts of each length up to `context` are interpolated by the method of Witten & Bell (1991; Chen & Goodman 1998,
    §2.4)::

        p_k(x | c) = (count(c, x) + distinct(c) p_{k-1}(x | shorter c)) / (count(c) + distinct(c))

    where distinct(c) is how many different tokens followed c, and p_{-1} is uniform.

    Parameters
    ----------
    training, tokens : (n,) int64 arrays
        Below `vocabulary_size`.
    vocabulary_size : int
    context : int
        0 looks at the frequencies of the tokens alone. Longer contexts than 62 bits can number are shortened.

    Returns
    -------
    (n - 1,) array
    """
    longest = int(62 / math.log2(max(2, vocabulary_size))) - 1
    probability = np.full(len(tokens) - 1, 1 / vocabulary_size)
    for length in range(min(context, longest, len(training) - 1, len(tokens) - 1) + 1):
        seen, contexts = (_numbered(array, length, vocabulary_size) for array in (training, tokens))
        grams, gram_counts = np.unique(seen, return_counts=True)
        starts, first, distinct = np.unique(grams // vocabulary_size, return_index=True, return_counts=True)
        totals = np.add.reduceat(gram_counts, first)
        # The first tokens have no context of this length; they keep the values of shorter ones.
        known = probability[max(0, length - 1) :]
        numbers = contexts[1:] if length == 0 else contexts
        count = _looked_up(numbers, grams, gram_counts)
        total = _looked_up(numbers // vocabulary_size, starts, totals)
        kinds = _looked_up(numbers // vocabulary_size, starts, distinct)
        known[:] = np.where(total > 0, (count + kinds * known) / np.maximum(total + kinds, 1), known)
    return -np.log(probability)


def _numbered(tokens: np.ndarray, length: int, vocabulary_size: int) -> np.ndarray:
    """Return a number for each run of `length` + 1 tokens: the context's times the vocabulary's size, plus the last."""
    numbers = np.zeros(len(tokens) - length, np.int64)
    for place in range(length + 1):
        numbers = numbers * vocabulary_size + tokens[place : len(tokens) - length + place]
    return numbers


def _looked_up(numbers: np.ndarray, keys: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the value of each number among the sorted keys, 0 for a number that is not a key."""
    places = np.minimum(np.searchsorted(keys, numbers), len(keys) - 1)
    return np.where(keys[places] == numbers, values[places], 0)
