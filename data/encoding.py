"""Sentences as numbers: what a tagger sees of each word, looked up in the vocabularies of its training text.

A text has far fewer different words than words, so everything that depends on the word alone, its characters above all,
is kept once for each *form*, and a sentence is a run of form numbers.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from data.words import CASINGS, Lexicon, casing

__all__ = ["EncodedText", "WordEncoder"]

# Numbers of the words' features, in this order, in `EncodedText.features`.
FEATURES = ("word", "casing", "prefix", "suffix")
_AFFIX = 3
_DIGIT = re.compile(r"\d")


@dataclass(frozen=True, eq=False)
class EncodedText:
    """Sentences as numbers, one after another.

    Attributes
    ----------
    offsets : int64, (n_sentences + 1,)
        Tokens of sentence k are ``offsets[k]:offsets[k + 1]``.
    forms : int64, (n_tokens,)
        Row of each token in the arrays below.
    features : int64, (n_forms, 4)
        Numbers of word, casing, prefix and suffix.
    characters : int64, (n_forms, longest)
        Numbers of the characters, padded with 0 on the right.
    character_lengths : int64, (n_forms,)
    counts : int64, (n_forms,)
        How often the word occurs among these sentences.
    """

    offsets: np.ndarray
    forms: np.ndarray
    features: np.ndarray
    characters: np.ndarray
    character_lengths: np.ndarray
    counts: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each sentence."""
        return np.diff(self.offsets)

    def padded(self, sentences: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Return values of the tokens of some sentences, (n, longest), padded with 0 on the right."""
        lengths = self.lengths[sentences]
        place = np.arange(lengths.max())
        tokens = self.offsets[sentences][:, None] + place
        return np.where(place < lengths[:, None], values[np.minimum(tokens, len(values) - 1)], 0)


@dataclass(frozen=True)
class WordEncoder:
    """The vocabularies of a tagger.

    Attributes
    ----------
    words, prefixes, suffixes, characters : Lexicon
    longest : int
        Of a longer word, its beginning and its end are spelt out.
    """

    words: Lexicon
    prefixes: Lexicon
    suffixes: Lexicon
    characters: Lexicon
    longest: int

    @classmethod
    def of_sentences(
        cls, sentences: Iterable[Sequence[str]], *, min_count: int, longest: int, more_words: Iterable[str] = ()
    ) -> WordEncoder:
        """Collect the vocabularies of a training text.

        Parameters
        ----------
        sentences : iterable of sequence of str
        min_count : int
            Rarer words, affixes and characters are left out.
        longest : int
        more_words : iterable of str
            Words to know beside those of the text.
        """
        words = [word for sentence in sentences for word in sentence]
        known = Lexicon.of(map(normal_form, words), min_count).entries
        more = dict.fromkeys(map(normal_form, more_words))
        return cls(
            words=Lexicon((*known, *(word for word in more if word not in set(known)))),
            prefixes=Lexicon.of((word[:_AFFIX] for word in map(normal_form, words)), max(2, min_count)),
            suffixes=Lexicon.of((word[-_AFFIX:] for word in map(normal_form, words)), max(2, min_count)),
            characters=Lexicon.of((letter for word in words for letter in word), max(2, min_count)),
            longest=longest,
        )

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        """Vectors that each feature's embedding needs, in the order of `EncodedText.features`."""
        return len(self.words), len(CASINGS), len(self.prefixes), len(self.suffixes)

    def encode(self, sentences: Sequence[Sequence[str]]) -> EncodedText:
        """Look sentences up."""
        tokens = [word for sentence in sentences for word in sentence]
        forms = {word: number for number, word in enumerate(dict.fromkeys(tokens))}
        counts = Counter(map(normal_form, tokens))
        spelt = [self._spelling(word) or " " for word in forms]  # nothing at all cannot be read
        width = max((len(letters) for letters in spelt), default=1)
        characters = np.zeros((len(spelt), width), np.int64)
        for row, letters in zip(characters, spelt, strict=True):
            row[: len(letters)] = self.characters.numbers(letters)
        return EncodedText(
            offsets=np.cumsum([0, *map(len, sentences)]).astype(np.int64),
            forms=np.fromiter((forms[word] for word in tokens), np.int64, len(tokens)),
            features=np.array(list(self._features(forms)), np.int64).reshape(-1, len(FEATURES)),
            characters=characters,
            character_lengths=np.fromiter(map(len, spelt), np.int64, len(spelt)),
            counts=np.fromiter((counts[normal_form(word)] for word in forms), np.int64, len(forms)),
        )

    def _features(self, forms: Iterable[str]) -> Iterator[tuple[int, int, int, int]]:
        for word in forms:
            known = normal_form(word)
            prefix, suffix = self.prefixes.number(known[:_AFFIX]), self.suffixes.number(known[-_AFFIX:])
            yield self.words.number(known), casing(word), prefix, suffix

    def _spelling(self, word: str) -> str:
        if len(word) <= self.longest:
            return word
        half = self.longest // 2
        return word[: self.longest - half] + word[-half:]

    def to_dict(self) -> dict[str, Any]:
        """Return the vocabularies as JSON values."""
        names = ("words", "prefixes", "suffixes", "characters")
        return {**{name: list(getattr(self, name).entries) for name in names}, "longest": self.longest}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> WordEncoder:
        """Undo `to_dict`."""
        names = ("words", "prefixes", "suffixes", "characters")
        return cls(**{name: Lexicon(tuple(values[name])) for name in names}, longest=int(values["longest"]))


def normal_form(word: str) -> str:
    """Return a word as it stands in the vocabulary: in small letters, every digit a 0."""
    return _DIGIT.sub("0", word.lower())
