"""What a tagger sees of a word: its place in a vocabulary, its casing, and vectors that others have trained."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from gatecast.data.errors import InputError
from gatecast.data.store import require_file

__all__ = ["CASINGS", "Lexicon", "WordVectors", "casing", "read_vectors"]

UNKNOWN = 0
CASINGS = ("other", "lower", "title", "upper", "mixed", "number", "with digits", "mark", "hashtag", "user", "link")


@dataclass(frozen=True)
class Lexicon:
    """Entries with a number each, from 1 on; 0 stands for everything else.

    Attributes
    ----------
    entries : tuple of str
    """

    entries: tuple[str, ...]
    _numbers: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not all(isinstance(entry, str) for entry in self.entries):
            raise ValueError("an entry of a lexicon is no text")
        object.__setattr__(self, "_numbers", {entry: number for number, entry in enumerate(self.entries, 1)})

    @classmethod
    def of(cls, values: Iterable[str] | Mapping[str, int], min_count: int = 1) -> Lexicon:
        """Take what occurs at least `min_count` times, the most frequent first, equals in the order of the alphabet.

        `values` are all that occur, or how often each does.
        """
        counts = Counter(values)
        kept = [value for value, count in counts.items() if count >= min_count]
        return cls(tuple(sorted(kept, key=lambda value: (-counts[value], value))))

    def __len__(self) -> int:
        """The number of vectors that an embedding needs: one for each entry, and one for everything else."""
        return len(self.entries) + 1

    def number(self, value: str) -> int:
        """Return the number of an entry, or 0 for a value that has no entry."""
        return self._numbers.get(value, UNKNOWN)

    def numbers(self, values: Iterable[str]) -> np.ndarray:
        """Return the numbers of values, int64."""
        return np.fromiter((self._numbers.get(value, UNKNOWN) for value in values), np.int64)


def casing(word: str) -> int:
    """Return the place in `CASINGS` of how a word is written."""
    if len(word) > 1 and word[0] in "#@":
        return CASINGS.index("hashtag" if word[0] == "#" else "user")
    if word.startswith(("http:", "https:", "www.")):
        return CASINGS.index("link")
    letters = [letter for letter in word if letter.isalpha()]
    if not letters:
        return CASINGS.index("number" if any(map(str.isdigit, word)) else "mark")
    if any(map(str.isdigit, word)):
        return CASINGS.index("with digits")
    if word.islower():
        return CASINGS.index("lower")
    if word.isupper():
        return CASINGS.index("upper" if len(letters) > 1 else "title")
    if word[0].isupper() and all(letter.islower() for letter in letters[1:]):
        return CASINGS.index("title")
    return CASINGS.index("mixed" if any(map(str.isupper, word)) else "other")


@dataclass(frozen=True, eq=False)
class WordVectors:
    """Vectors of words, trained elsewhere.

    Attributes
    ----------
    words : tuple of str
    values : float32, (n, size)
    """

    words: tuple[str, ...]
    values: np.ndarray

    @property
    def size(self) -> int:
        """Numbers in a vector."""
        return self.values.shape[1]


def read_vectors(path: Path | str, limit: int | None = None) -> WordVectors:
    """Read vectors in the text format of GloVe or word2vec: one word per line, then its numbers, separated by spaces.

    word2vec's first line, the number of words and the size, is understood. A word that occurs again is left out.

    Parameters
    ----------
    path : path
        UTF-8.
    limit : int, optional
        Read no more words than this; the files have the most frequent ones first.

    Raises
    ------
    InputError
        The file is missing, empty or not UTF-8, or a line differs from the first in how many numbers it has.
    """
    path = Path(path)
    require_file(path)
    rows: dict[str, np.ndarray] = {}
    size = 0
    for number, line in _lines(path):
        parts = line.split(" ")
        if number == 1 and len(parts) == 2 and all(map(str.isdigit, parts)):
            size = int(parts[1])
            continue
        size = size or len(parts) - 1
        # Some files have words with spaces in them, so the numbers are counted from the end.
        word = " ".join(parts[:-size])
        values = parts[-size:]
        if size < 1 or len(parts) <= size or not word:
            raise InputError(
                f"{path}, line {number}: {len(parts) - 1} numbers after the word, where the first line has {size};"
                " restore the file."
            )
        if word not in rows:
            rows[word] = _vector(values, path, number)
        if limit is not None and len(rows) >= limit:
            break
    if not rows:
        raise InputError(f"{path} holds no vectors; give it a word a line, then its numbers.")
    return WordVectors(tuple(rows), np.stack(list(rows.values())))


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip(" \r\n")
            except UnicodeDecodeError as error:
                raise InputError(f"{path}, line {number}: not UTF-8; convert the file to UTF-8.") from error
            if text:
                yield number, text


def _vector(values: Sequence[str], path: Path, number: int) -> np.ndarray:
    try:
        vector = np.array(values, np.float64)
        if np.isfinite(vector).all():
            return vector.astype(np.float32)
        problem = next(value for value in values if not math.isfinite(float(value)))
    except ValueError:
        problem = next(value for value in values if not _is_number(value))
    raise InputError(f"{path}, line {number}: {problem!r} is not a finite number; restore the file.")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
