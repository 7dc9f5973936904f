"""Sentences as numbers: what a tagger sees of each word, looked up in the vocabularies of its training text.

A text has far fewer different words than words, so everything that depends on the word alone, its characters above all,
is kept once for each *form*, and a sentence is a run of form numbers.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gatecast.data.language.words import CASINGS, Lexicon, casing

__all__ = ["EncodedText", "WordEncoder"]

# Letters at either end of a word, by how the features' names end: three were alone once, and their name is kept.
_AFFIXES = {"1": 1, "2": 2, "": 3, "4": 4}
_SHAPE = 8
_DIGIT = re.compile(r"\d")
_LINK = re.compile(r"https?:|www\.", re.IGNORECASE)
_USER = re.compile(r"@\w")
_RUN = re.compile(r"(.)\1+", re.DOTALL)


@dataclass(frozen=True, eq=False)
class EncodedText:
    """Sentences as numbers, one after another.

    Attributes
    ----------
    offsets : int64, (n_sentences + 1,)
        Tokens of sentence k are ``offsets[k]:offsets[k + 1]``.
    forms : int64, (n_tokens,)
        Row of each token in the arrays below.
    features : int64, (n_forms, n_features)
        Numbers of the features, in the encoder's order; the first is the word.
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
    features : tuple of (str, Lexicon)
        Names of the features that a word has, from those in `FEATURES`, with the values that are known of each.
    characters : Lexicon
    longest : int
        Of a longer word, only the beginning and the end are spelt out.
    merges : bool
        Whether all links are one word, and all users; the first models that were saved took each for another.
    """

    features: tuple[tuple[str, Lexicon], ...]
    characters: Lexicon
    longest: int
    merges: bool = True

    @classmethod
    def of_sentences(
        cls, sentences: Iterable[Sequence[str]], *, min_count: int, longest: int, more_words: Iterable[str] = ()
    ) -> WordEncoder:
        """Collect the vocabularies of a training text.

        Parameters
        ----------
        sentences : iterable of sequence of str
        min_count : int
            Rarer words are left out; so are affixes, shapes and characters that are rarer, or occur once.
        longest : int
        more_words : iterable of str
            Words to know in addition to those of the text.
        """
        counts = Counter(word for sentence in sentences for word in sentence)
        normal = list(map(normal_form, counts))
        often = max(2, min_count)
        known = dict.fromkeys(
            [*Lexicon.of(_total(normal, counts.values()), min_count).entries, *map(normal_form, more_words)]
        )
        lexicons = {"word": Lexicon(tuple(known)), "casing": Lexicon(CASINGS[1:])}
        letters: Counter[str] = Counter()
        for word, count in counts.items():
            for letter in word:
                letters[letter] += count
        return cls(
            features=tuple(
                (name, lexicons.get(name) or Lexicon.of(_total(map(value, counts, normal), counts.values()), often))
                for name, value in FEATURES.items()
            ),
            characters=Lexicon.of(letters, often),
            longest=longest,
        )

    @property
    def words(self) -> Lexicon:
        """The words in their normal form."""
        return dict(self.features)["word"]

    @property
    def sizes(self) -> dict[str, int]:
        """Vectors that each feature's embedding needs."""
        return {name: len(lexicon) for name, lexicon in self.features}

    def normal_form(self, word: str) -> str:
        """Return a word as it is in the vocabulary."""
        return normal_form(word, self.merges)

    def encode(self, sentences: Sequence[Sequence[str]]) -> EncodedText:
        """Look sentences up."""
        tokens = [word for sentence in sentences for word in sentence]
        forms = {word: number for number, word in enumerate(dict.fromkeys(tokens))}
        normal = [self.normal_form(word) for word in forms]
        rows = np.fromiter((forms[word] for word in tokens), np.int64, len(tokens))
        counts = _total(normal, np.bincount(rows, minlength=len(forms)).tolist())
        spelt = [self._spelling(word) or " " for word in forms]  # nothing at all cannot be read
        width = max((len(letters) for letters in spelt), default=1)
        characters = np.zeros((len(spelt), width), np.int64)
        for row, letters in zip(characters, spelt, strict=True):
            row[: len(letters)] = self.characters.numbers(letters)
        return EncodedText(
            offsets=np.cumsum([0, *map(len, sentences)]).astype(np.int64),
            forms=rows,
            features=np.stack(
                [lexicon.numbers(map(FEATURES[name], forms, normal)) for name, lexicon in self.features], axis=1
            ),
            characters=characters,
            character_lengths=np.fromiter(map(len, spelt), np.int64, len(spelt)),
            counts=np.fromiter((counts[word] for word in normal), np.int64, len(forms)),
        )

    def _spelling(self, word: str) -> str:
        if len(word) <= self.longest:
            return word
        half = self.longest // 2
        return word[: self.longest - half] + word[-half:]

    def to_dict(self) -> dict[str, Any]:
        """Return the vocabularies as JSON values."""
        return {
            "features": [[name, list(lexicon.entries)] for name, lexicon in self.features],
            "characters": list(self.characters.entries),
            "longest": self.longest,
            "merges": self.merges,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> WordEncoder:
        """Undo `to_dict`, and what it gave when words had four features."""
        features = values.get("features") or [
            ("word", values["words"]), ("casing", CASINGS[1:]),
            ("prefix", values["prefixes"]), ("suffix", values["suffixes"]),
        ]  # fmt: skip
        return cls(
            features=tuple((name, Lexicon(tuple(entries))) for name, entries in features),
            characters=Lexicon(tuple(values["characters"])),
            longest=int(values["longest"]),
            merges=bool(values.get("merges", False)),
        )


def _total(values: Iterable[str], counts: Iterable[int]) -> Counter[str]:
    """Add up the counts of equal values."""
    total: Counter[str] = Counter()
    for value, count in zip(values, counts, strict=True):
        total[value] += count
    return total


def normal_form(word: str, merges: bool = True) -> str:
    """Return a word in small letters, every digit a 0; if it `merges`, any link as ``http:``, any user as ``@``.

    The sign alone is a user too: that is what is left of one where names were taken out of a corpus.
    """
    if merges and _LINK.match(word):
        return "http:"
    if merges and _USER.match(word):
        return "@"
    return _DIGIT.sub("0", word.lower())


def shape(word: str) -> str:
    """Return how a word looks: X for capitals, x for other letters, 0 for digits, no more than two of a kind in a row.

    Of the whole, it is the first eight characters: ``McDonald`` is ``XxXxx``, and ``@anna_95`` is ``@xx_00``.
    """
    kinds = ("X" if sign.isupper() else "x" if sign.isalpha() else "0" if sign.isdigit() else sign for sign in word)
    return _RUN.sub(r"\1\1", "".join(kinds))[:_SHAPE]


def _prefix(length: int) -> Callable[[str, str], str]:
    return lambda word, normal: normal[:length]


def _suffix(length: int) -> Callable[[str, str], str]:
    return lambda word, normal: normal[-length:]


FEATURES: Mapping[str, Callable[[str, str], str]] = {
    "word": lambda word, normal: normal,
    "casing": lambda word, normal: CASINGS[casing(word)],
    "shape": lambda word, normal: shape(word),
    **{f"prefix{name}": _prefix(length) for name, length in _AFFIXES.items()},
    **{f"suffix{name}": _suffix(length) for name, length in _AFFIXES.items()},
}
"""What a tagger sees of a word in addition to its letters, in this order.

Each is a function of the word and its normal form.

Affixes and shapes are among the features of Huang, Xu & Yu (2015, arXiv 1508.01991).
"""
