"""Text for a language model: reading files, the vocabulary, and streams of contiguous pieces.

A text is a string; a *token* is a character of it, or a word; the vocabulary numbers the tokens. Entry 0 stands for
every token that the vocabulary does not hold.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np

from gatecast.data.errors import InputError

__all__ = [
    "LEVELS",
    "UNKNOWN",
    "Piece",
    "TextStreams",
    "Vocabulary",
    "preprocess_text",
    "read_text",
    "sample_text",
    "scoring_pieces",
    "split_text",
    "tokenise",
]

LEVELS = ("character", "word")
UNKNOWN = "<unk>"
SAMPLE = "shakespeare.txt"
# A word carries the blank before it, so that the tokens of a text, one after another, are the text again.
_WORD = re.compile(r" ?\w+(?:['’]\w+)*| ?[^\w\s]|\s")


def read_text(paths: Sequence[Path]) -> str:
    """Read UTF-8 files one after another, with Unix line ends and without a byte order mark.

    Raises
    ------
    InputError
        A file is missing, empty or not UTF-8; the offset of the first wrong byte is named.
    """
    parts = []
    for path in paths:
        try:
            content = path.read_bytes()
        except OSError as error:
            raise InputError(f"{path} cannot be read ({error.strerror}); name a text file.") from error
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            # Offsets in the decoder's message are behind the byte order mark, if there is one.
            offset = error.start + len(content) - len(error.object)
            raise InputError(
                f"{path} is not UTF-8: byte 0x{content[offset]:02x} at offset {offset}; save the file as UTF-8."
            ) from error
        if not text:
            raise InputError(f"{path} is empty; name a file with text.")
        parts.append(text.replace("\r\n", "\n").replace("\r", "\n"))
    return "".join(parts)


def sample_text() -> str:
    """Return the text that ships with Gatecast; see ``data/samples/README.md``."""
    return resources.files("gatecast.data.samples").joinpath(SAMPLE).read_text(encoding="utf-8")


def split_text(text: str, validation_fraction: float) -> tuple[str, str]:
    """Cut a text into a training part and, at its end, a validation part.

    Raises
    ------
    InputError
        One of the two would have fewer than two characters.
    """
    boundary = len(text) - round(len(text) * validation_fraction)
    if min(boundary, len(text) - boundary) < 2:
        raise InputError(
            f"A text of {len(text)} characters is too short to keep {validation_fraction:.0%} of it for validation; "
            "give a longer one."
        )
    return text[:boundary], text[boundary:]


def tokenise(text: str, level: str) -> list[str]:
    """Cut a text into characters or into words; joined, the tokens are the text again.

    A word token is a run of letters and digits, or one other mark, with the blank before it; or one white space.
    """
    return list(text) if level == "character" else _WORD.findall(text)


@dataclass(frozen=True)
class Vocabulary:
    """The tokens that a model knows, and their numbers.

    Attributes
    ----------
    level : {"character", "word"}
    tokens : tuple of str
        Entry 0 is ``<unk>``, for every other token.
    trained_unknown : bool
        Whether the text it was built from has tokens that it does not hold, so that a model learns what ``<unk>`` is.
    """

    level: str
    tokens: tuple[str, ...]
    trained_unknown: bool

    def __post_init__(self) -> None:
        if not all(isinstance(token, str) for token in self.tokens):
            raise ValueError("a token of a vocabulary is no text")
        if self.level == "character" and any(len(token) != 1 for token in self.tokens[1:]):
            raise ValueError("a token of a vocabulary of characters is longer than one")

    @classmethod
    def build(cls, text: str, level: str = "character", min_count: int | None = None, max_size: int = 20_000) -> Self:
        """Collect the tokens of a training text.

        Parameters
        ----------
        text : str
        level : {"character", "word"}
        min_count : int, optional
            Rarer tokens are left out; by default none is at character level, and those that occur once are at word
            level.
        max_size : int
            Only this many tokens are kept, the most frequent ones.

        Raises
        ------
        InputError
            Fewer than two tokens are left.
        """
        if level not in LEVELS:
            raise ValueError(f"level is {level!r}; choose {' or '.join(LEVELS)}")
        least = min_count or (1 if level == "character" else 2)
        counts = Counter(tokenise(text, level))
        frequent = [token for token, count in counts.items() if count >= least]
        # Equal counts in the order of the tokens: the vocabulary must not depend on where a text begins.
        kept = sorted(frequent, key=lambda token: (-counts[token], token))[:max_size]
        if len(kept) < 2:
            often = f" that occur at least {least} times" if least > 1 else ""
            raise InputError(
                f"The text to train on has {len(kept)} different {level}s{often}; a model needs two "
                "to choose between: give another text."
            )
        return cls(level, (UNKNOWN, *sorted(kept)), len(kept) < len(counts))

    def __len__(self) -> int:
        return len(self.tokens)

    def encode(self, text: str) -> np.ndarray:
        """Return the numbers of a text's tokens, int64; 0 for those that the vocabulary does not hold."""
        tokens: np.ndarray | list[str]
        if self.level == "character":
            codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
            known = np.array([ord(token) for token in self.tokens[1:]], np.uint32)
            places = np.minimum(np.searchsorted(known, codes), len(known) - 1)
            return np.where(known[places] == codes, places + 1, 0).astype(np.int64)
        numbers = {token: number for number, token in enumerate(self.tokens)}
        tokens = tokenise(text, self.level)
        return np.fromiter((numbers.get(token, 0) for token in tokens), np.int64, len(tokens))

    def unknown(self, text: str) -> list[str]:
        """Return the different tokens of a text that the vocabulary does not hold, in their order."""
        known = set(self.tokens[1:])
        return [token for token in dict.fromkeys(tokenise(text, self.level)) if token not in known]

    def decode(self, numbers: np.ndarray) -> str:
        """Return the text of some tokens."""
        return "".join(self.tokens[number] for number in numbers)


class Piece(NamedTuple):
    """Some steps of several parallel streams."""

    inputs: np.ndarray
    """int64, (streams, seq_len)"""
    targets: np.ndarray
    """int64, (streams, seq_len): the token after each input"""
    counts: np.ndarray
    """bool, (streams, seq_len): False for a step that is only there to fill the piece"""


class TextStreams:
    """A text cut into parallel streams; the state after one piece is the initial state of the next.

    Each epoch begins at another offset, so that the gradient is cut at other places. A rest that does not fill a piece
    is left out of that epoch.

    Parameters
    ----------
    tokens : (n,) int64 array
    batch_size : int
        Number of streams; there are fewer if the text is too short.
    seq_len : int
        Steps of a piece.
    seed : int

    Raises
    ------
    InputError
        The text is shorter than one piece.
    """

    def __init__(self, tokens: np.ndarray, batch_size: int, seq_len: int, seed: int):
        predictions = len(tokens) - 1
        if predictions < seq_len:
            raise InputError(
                f"The text to train on has {len(tokens)} tokens, but a window takes {seq_len + 1}; give a longer text "
                "or choose a smaller seq_len."
            )
        self._tokens = tokens
        self._seq_len = seq_len
        self._seed = seed
        self.streams = max(1, min(batch_size, predictions // (2 * seq_len)))
        self._shifts = min(seq_len, predictions - self.streams * seq_len + 1)
        self.steps_per_epoch = (predictions - self._shifts + 1) // self.streams // seq_len

    def epoch(self, number: int) -> Iterator[Piece]:
        """Give the pieces of an epoch in order; the same number gives the same pieces."""
        shift = int(np.random.default_rng((self._seed, number)).integers(self._shifts))
        length = self.steps_per_epoch * self._seq_len
        starts = shift + np.arange(self.streams) * ((len(self._tokens) - 1 - shift) // self.streams)
        counts = np.ones((self.streams, self._seq_len), bool)
        for first in range(0, length, self._seq_len):
            places = starts[:, None] + first + np.arange(self._seq_len)
            yield Piece(self._tokens[places], self._tokens[places + 1], counts)


def scoring_pieces(tokens: np.ndarray, streams: int, seq_len: int, warm_up: int) -> Iterator[Piece]:
    """Cut a text into streams so that every token but the first is a target once.

    Parameters
    ----------
    tokens : (n,) int64 array, n at least 2
    streams, seq_len : int
    warm_up : int
        Steps before each stream, a multiple of `seq_len`, in pieces that come first and do not count. Nothing comes
        before the first stream: the caller resets its state at the first piece that counts.
    """
    predictions = len(tokens) - 1
    length = -(-predictions // streams)
    starts = np.arange(streams) * length
    stops = np.minimum(starts + length, predictions)
    for first in range(-warm_up if streams > 1 else 0, length, seq_len):
        places = starts[:, None] + first + np.arange(seq_len)
        counts = (places < stops[:, None]) & (first >= 0)
        places = np.clip(places, 0, predictions - 1)
        yield Piece(tokens[places], tokens[places + 1], counts)


def preprocess_text(text: str, seq_len: int) -> tuple[np.ndarray, np.ndarray, dict[str, int], dict[int, str]]:
    """Cut a text into one-hot windows, each with the character that follows it: for small texts and for trying things.

    It takes ``len(text) * seq_len * characters`` bytes; `gatecast.CharLM` looks up embeddings instead.

    Parameters
    ----------
    text : str
    seq_len : int
        Characters of a window.

    Returns
    -------
    X : bool, (n, seq_len, characters)
        ``X[k, t]`` is the one-hot form of ``text[k + t]``, n = len(text) - seq_len.
    y : bool, (n, characters)
        The one-hot form of ``text[k + seq_len]``.
    char_to_index, index_to_char : dict
        The different characters in the order of their code points.

    Raises
    ------
    InputError
        The text is not longer than one window, or `seq_len` is not positive.
    """
    if seq_len < 1:
        raise InputError(f"seq_len {seq_len} has to be at least 1; choose another.")
    if len(text) <= seq_len:
        raise InputError(
            f"A text of {len(text)} characters is too short for a window of {seq_len} and the character after it; give "
            "a longer text or choose a smaller seq_len."
        )
    characters = sorted(set(text))
    char_to_index = {character: index for index, character in enumerate(characters)}
    one_hot = np.eye(len(characters), dtype=bool)[[char_to_index[character] for character in text]]
    windows = np.lib.stride_tricks.sliding_window_view(one_hot[:-1], seq_len, axis=0).swapaxes(1, 2)
    return windows.copy(), one_hot[seq_len:], char_to_index, dict(enumerate(characters))
