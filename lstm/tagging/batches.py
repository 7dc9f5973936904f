"""Batches of sentences, gathered from an encoded text as they are needed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np

__all__ = ["SentenceBatches", "Sentences", "gather_sentences", "in_order_of_length"]

# Sentences are drawn at random, and sorted by length only within this many batches: little padding, and still
# different neighbours in every epoch.
_POOL = 16
# A longer sentence is a separate batch: padding the others to its length would take the memory of hundreds.
_LONG = 512


class EncodedText(Protocol):
    """What is read of `data.language.encoding.EncodedText`."""

    @property
    def forms(self) -> np.ndarray: ...
    @property
    def features(self) -> np.ndarray: ...
    @property
    def characters(self) -> np.ndarray: ...
    @property
    def character_lengths(self) -> np.ndarray: ...
    @property
    def counts(self) -> np.ndarray: ...
    @property
    def lengths(self) -> np.ndarray: ...

    def padded(self, sentences: np.ndarray, values: np.ndarray) -> np.ndarray: ...


class Sentences(NamedTuple):
    """Some sentences, padded on the right to the longest."""

    features: np.ndarray
    """(batch, seq, n_features): numbers of the word and of its other features"""
    spelling: np.ndarray
    """(batch, seq): row of each word in `characters`"""
    characters: np.ndarray
    """(forms, longest): numbers of the characters of each different word"""
    character_lengths: np.ndarray
    """(forms,)"""
    lengths: np.ndarray
    """(batch,)"""
    tags: np.ndarray
    """(batch, seq)"""


def gather_sentences(
    text: EncodedText,
    tags: np.ndarray,
    chosen: np.ndarray,
    word_dropout: float = 0.0,
    generator: np.random.Generator | None = None,
) -> Sentences:
    """Return some sentences of a text.

    Parameters
    ----------
    text : EncodedText
    tags : (n_tokens,) array
        Number of each token's tag.
    chosen : (batch,) int64 array
        Sentences, each of one token at least.
    word_dropout : float
        A word that occurs n times is shown as an unknown one with probability ``word_dropout / (word_dropout + n)``, so
        that the vector of unknown words is learnt too (Kiperwasser & Goldberg 2016, arXiv 1603.04351, §4).
    generator : Generator, optional
        Draws these words; None for none.
    """
    forms = text.padded(chosen, text.forms)
    features = text.features[forms]
    if generator is not None:
        rates = word_dropout / (word_dropout + text.counts[forms])
        features[generator.random(forms.shape) < rates, 0] = 0
    different, spelling = np.unique(forms, return_inverse=True)
    lengths = text.character_lengths[different]
    characters = text.characters[different, : lengths.max()]
    return Sentences(
        features, spelling.reshape(forms.shape), characters, lengths, text.lengths[chosen], text.padded(chosen, tags)
    )


def in_order_of_length(text: EncodedText, batch_size: int) -> Iterator[np.ndarray]:
    """Give all sentences that are not empty, batch by batch, sentences of about the same length together."""
    order = np.argsort(text.lengths, kind="stable")
    yield from _batches(order[text.lengths[order] > 0], text.lengths, batch_size)


class SentenceBatches:
    """Sentences in random order, the same for the same seed and epoch.

    Parameters
    ----------
    text : EncodedText
    tags : (n_tokens,) array
    batch_size : int
    word_dropout : float
        As for `gather_sentences`.
    seed : int
    """

    def __init__(self, text: EncodedText, tags: np.ndarray, batch_size: int, word_dropout: float, seed: int):
        self._text = text
        self._tags = tags
        self._batch_size = batch_size
        self._word_dropout = word_dropout
        self._seed = seed
        self._sentences = np.flatnonzero(text.lengths > 0)
        long = int((text.lengths > _LONG).sum())
        self.steps_per_epoch = long - (long - len(self._sentences)) // batch_size

    def epoch(self, number: int) -> Iterator[Sentences]:
        """Give the sentences of an epoch in its own order."""
        generator = np.random.default_rng((self._seed, number))
        order = generator.permutation(self._sentences)
        lengths = self._text.lengths
        size = _POOL * self._batch_size
        pools = [order[first : first + size] for first in range(0, len(order), size)]
        order = np.concatenate([pool[np.argsort(lengths[pool], kind="stable")] for pool in pools])
        batches = list(_batches(order, lengths, self._batch_size))
        for place in generator.permutation(len(batches)):
            yield gather_sentences(self._text, self._tags, batches[place], self._word_dropout, generator)


def _batches(order: np.ndarray, lengths: np.ndarray, batch_size: int) -> Iterator[np.ndarray]:
    is_long = lengths[order] > _LONG
    usual = order[~is_long]
    for first in range(0, len(usual), batch_size):
        yield usual[first : first + batch_size]
    for sentence in order[is_long]:
        yield np.array([sentence])
