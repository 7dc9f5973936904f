"""Tagged sentences: CoNLL column files in and out, and the schemes that mark chunks with tags.

A column file has one token per line, its columns separated by tabs or spaces, and an empty line after each sentence::

    Empire      B-location
    State       I-location
    =           O

CoNLL-U is understood: the words are its column FORM and the tags its column UPOS, unless others are named. Ranges of
tokens (``3-4``) and empty nodes (``3.1``) are no words of the sentence and are left out.

Chunks (entities, phrases) are marked in one of three schemes. In **BIO** (also IOB2) the first token of a chunk is
``B-TYPE`` and the others ``I-TYPE``; in **IOB1** the first is ``B-TYPE`` only if a chunk of the same type comes just
before; in **BIOES** (also BILOU) the last token is ``E-TYPE``, and a chunk of one token ``S-TYPE``. ``O`` is outside.
`chunks` reads all of them by the rules of the CoNLL evaluation script; `convert` writes the one that is asked for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import NamedTuple, TextIO

from gatecast.data.errors import InputError
from gatecast.data.store import require_file

__all__ = [
    "Chunk",
    "TaggedText",
    "chunks",
    "convert",
    "has_chunks",
    "parse_conll",
    "parse_text",
    "read_conll",
    "read_text_file",
    "write_conll",
    "write_json_lines",
]

OUTSIDE = "O"
SCHEMES = ("BIO", "BIOES", "IOB1")
_STARTS = frozenset("BSU")
_LASTS = frozenset("ESLU")
_PREFIXES = frozenset("BIOESLUM")
_DOCUMENT = "-DOCSTART-"
_CONLLU = ("ID", "FORM", "LEMMA", "UPOS", "XPOS", "FEATS", "HEAD", "DEPREL", "DEPS", "MISC")
_NAMES = "# global.columns ="
"""Begins the line of CoNLL-U Plus that names the columns"""
_FIRST_ID = re.compile(r"0\.1|1(-\d+)?")
_NO_WORD = re.compile(r"\d+[-.]\d+")
_BLANKS = " \t"
"""What separates columns, or is nothing; other spaces of Unicode are characters of a token"""


class Chunk(NamedTuple):
    """A run of tokens of one type."""

    start: int
    stop: int
    """One past the last token"""
    kind: str


@dataclass(frozen=True)
class TaggedText:
    """Sentences with a tag for each token.

    Attributes
    ----------
    sentences : list of list of str
        The tokens.
    tags : list of list of str
    token_lines : list of list of int
        Line of the file that each token is on.
    name : str
        Where they come from, for messages.
    """

    sentences: list[list[str]]
    tags: list[list[str]]
    token_lines: list[list[int]]
    name: str

    def __len__(self) -> int:
        return len(self.sentences)

    @property
    def lines(self) -> list[int]:
        """Line of the file that each sentence starts on."""
        return [numbers[0] for numbers in self.token_lines]

    def place(self, sentence: int, token: int) -> str:
        """Return where a token is, as ``file, line 12``."""
        return f"{self.name}, line {self.token_lines[sentence][token]}"

    def require_chunks(self) -> None:
        """Raise InputError unless every tag is ``O`` or has a prefix of one of the schemes."""
        for sentence, tags in enumerate(self.tags):
            for token, tag in enumerate(tags):
                if not _is_chunk_tag(tag):
                    raise InputError(
                        f"{self.place(sentence, token)}: {tag!r} is no tag of a chunk; write O, B-TYPE, I-TYPE, E-TYPE"
                        " or S-TYPE, or choose the scheme none."
                    )


def read_conll(path: Path | str, *, word_column: int = 0, tag_column: int | None = -1) -> TaggedText:
    """Read a CoNLL column file.

    The line ends of any system are understood, and so are comments: lines that begin with ``#`` and do not have the
    columns of a row. Lines with ``-DOCSTART-`` separate sentences and are left out.

    Parameters
    ----------
    path : path
        UTF-8.
    word_column, tag_column : int
        0 is the first column, -1 the last; None for a file without tags. In a CoNLL-U file these two, which hold
        numbers and remarks, stand for FORM and UPOS; 4 is XPOS, and MISC is 9.

    Raises
    ------
    InputError
        The file is missing, empty or not UTF-8, a row differs in its number of columns, or lacks one that is read; or
        the words are the numbers of the tokens.
    """
    path = Path(path)
    require_file(path)
    text = read_text_file(path.read_bytes(), str(path))
    return parse_conll(text, str(path), word_column=word_column, tag_column=tag_column)


def read_text_file(content: bytes, name: str) -> str:
    """Return the text of a UTF-8 file; InputError names line and offset of what is not UTF-8."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line_end = b"\n" if b"\n" in content else b"\r"
        line = content.count(line_end, 0, error.start) + 1
        raise InputError(
            f"{name}, line {line}: the byte at offset {error.start} is not UTF-8; convert it to UTF-8."
        ) from error


def parse_text(text: str, name: str) -> TaggedText:
    """Read one sentence per line, its words separated by spaces; every tag is ``O``.

    Raises
    ------
    InputError
        There is no word.
    """
    rows = [(number, line.split()) for number, line in enumerate(_lines(text), 1) if line.strip()]
    if not rows:
        raise InputError(f"{name} holds no sentence; give it a sentence a line.")
    sentences = [words for _, words in rows]
    lines = [[line] * len(words) for line, words in rows]
    return TaggedText(sentences, [[OUTSIDE] * len(words) for words in sentences], lines, name)


def parse_conll(text: str, name: str, *, word_column: int = 0, tag_column: int | None = -1) -> TaggedText:
    """Parse the text of a CoNLL column file; arguments and errors as for `read_conll`.

    Parameters
    ----------
    text : str
    name : str
        Where it comes from, for messages.
    word_column, tag_column : int
    """
    lines = _lines(text)
    layout = _layout(lines)
    found = TaggedText([], [], [], name)
    rows: list[tuple[int, list[str]]] = []
    for number, columns in _rows(lines, layout, name):
        if columns:
            rows.append((number, columns))
        elif rows:
            _add_sentence(found, rows, layout.column_of_words(word_column), layout.column_of_tags(tag_column))
            rows = []
    if not found.sentences:
        raise InputError(f"{name} holds no sentence; give it a token a line and an empty line between sentences.")
    _require_words(found, word_column)
    return found


class _Layout(NamedTuple):
    """How the rows of a column file are written."""

    separator: str | None
    """None for spaces"""
    width: int
    names: tuple[str, ...] = ()
    """Of the columns, in a CoNLL-U file"""
    tags: frozenset[str] = frozenset()
    """Last columns of the rows, if there are lines that may be comments and may be tokens"""

    def split(self, line: str) -> list[str]:
        """Return the columns of a line."""
        return line.split(self.separator) if self.separator else re.split(f"[{_BLANKS}]+", line.strip(_BLANKS))

    def column_of_words(self, asked: int) -> int:
        """Return the column to read the words from; the first of CoNLL-U holds numbers."""
        return self.names.index("FORM") if asked == 0 and "FORM" in self.names else asked

    def column_of_tags(self, asked: int | None) -> int | None:
        """Return the column to read the tags from; the last of CoNLL-U holds remarks."""
        return self.names.index("UPOS") if asked == -1 and "UPOS" in self.names else asked


def _lines(text: str) -> list[str]:
    """Return the lines of a text; a carriage return ends a line only in a file that has no other line ends."""
    if "\n" not in text:
        return text.split("\r")
    return [line.removesuffix("\r") for line in text.split("\n")]


def _add_sentence(
    found: TaggedText, rows: Sequence[tuple[int, list[str]]], word_column: int, tag_column: int | None
) -> None:
    begun, first = rows[0]
    for column in (word_column, tag_column):
        if column is not None and not -len(first) <= column < len(first):
            raise InputError(
                f"{found.name}, line {begun}: there is no column {column}, since the rows have {len(first)}; 0 is the"
                " first and -1 the last."
            )
    found.sentences.append([row[word_column] for _, row in rows])
    found.tags.append([OUTSIDE if tag_column is None else row[tag_column] for _, row in rows])
    found.token_lines.append([number for number, _ in rows])


def _require_words(found: TaggedText, word_column: int) -> None:
    """Refuse a column that only counts the tokens of each sentence, as the first one of GermEval does."""
    numbers = [str(number) for number in range(1, 1 + max(map(len, found.sentences)))]
    if len(numbers) > 1 and all(sentence == numbers[: len(sentence)] for sentence in found.sentences):
        raise InputError(
            f"{found.name}: column {word_column} counts the tokens of each sentence; name the column of the words,"
            f" --word-column {word_column + 1} or another."
        )


def _rows(lines: Sequence[str], layout: _Layout, name: str) -> Iterator[tuple[int, list[str]]]:
    """Give line number and columns of each row, no columns for the end of a sentence."""
    is_first = True
    for number, line in enumerate(lines, 1):
        is_end = not line.strip() or line.startswith(_DOCUMENT)
        columns = [] if is_end else layout.split(line)
        if line.startswith("#") and _is_comment(columns, layout, is_first):
            continue
        if columns and len(columns) != layout.width:
            raise InputError(
                f"{name}, line {number}: {_count(len(columns))}, where the first row has {layout.width}; give every row"
                " the same columns."
            )
        if not all(column.strip(_BLANKS) for column in columns):
            raise InputError(f"{name}, line {number}: a column is empty; fill it in.")
        is_first = is_end
        if layout.names and columns and _NO_WORD.fullmatch(columns[0]):
            continue
        yield number, columns
    yield len(lines) + 1, []


def _is_comment(columns: Sequence[str], layout: _Layout, is_first: bool) -> bool:
    """Say whether a line that begins with ``#`` is a comment.

    Before a sentence, it is one as well if ``#`` stands alone and what follows is no tag: it has a space in it, or no
    row has the same tag. A token ``#`` has a tag like others.
    """
    if layout.names or len(columns) != layout.width:
        return True
    if not is_first or columns[0] != "#" or layout.width == 1:
        return False
    if layout.separator is not None:
        return " " in columns[-1].strip()
    return columns[-1] not in layout.tags


def _count(columns: int) -> str:
    return "1 column" if columns == 1 else f"{columns} columns"


def _layout(lines: Sequence[str]) -> _Layout:
    """Return what the first row that is not a comment shows."""
    rows = (line for line in lines if line.strip() and not line.startswith(_DOCUMENT))
    first = next(rows, None)
    if first is None:
        return _Layout(None, 0)
    row = next((line for line in chain([first], rows) if not line.startswith("#")), first)
    layout = _Layout("\t" if "\t" in row else None, 0)
    columns = layout.split(row)
    named = first.removeprefix(_NAMES).split() if first.startswith(_NAMES) else _CONLLU
    is_conllu = len(columns) == len(named) and named[0] == "ID" and _FIRST_ID.fullmatch(columns[0])
    tags: set[str] = set()
    if any(line.startswith("# ") for line in lines):
        tags.update(layout.split(line)[-1] for line in lines if not line.startswith("#"))
    return _Layout(layout.separator, len(columns), tuple(named) if is_conllu else (), frozenset(tags))


def write_conll(
    file: TextIO, sentences: Iterable[Sequence[str]], *columns: Iterable[Sequence[str]], separator: str = "\t"
) -> None:
    """Write sentences as a column file: the token, then the columns that are given, such as its tag.

    Parameters
    ----------
    file : text file
    sentences : iterable of sequence of str
    *columns : iterables of sequence of str
        A value for each token of each sentence.
    separator : str
    """
    for rows in zip(sentences, *columns, strict=True):
        for row in zip(*rows, strict=True):
            file.write(separator.join(row) + "\n")
        file.write("\n")


def write_json_lines(file: TextIO, sentences: Iterable[Sequence[str]], tags: Iterable[Sequence[str]]) -> None:
    """Write one JSON object per sentence: ``tokens``, ``tags`` and ``chunks``.

    A chunk has ``start``, ``stop``, ``type`` and ``text``. If the tags mark no chunks, ``chunks`` is left out.
    """
    for tokens, labels in zip(sentences, tags, strict=True):
        record: dict[str, object] = {"tokens": list(tokens), "tags": list(labels)}
        if all(map(_is_chunk_tag, labels)):
            record["chunks"] = [
                {"start": start, "stop": stop, "type": kind, "text": " ".join(tokens[start:stop])}
                for start, stop, kind in chunks(labels)
            ]
        file.write(json.dumps(record, ensure_ascii=False) + "\n")


def has_chunks(tags: Iterable[Sequence[str]]) -> bool:
    """Say whether tags mark chunks: whether one of them is ``B-TYPE``, ``I-TYPE`` or the like."""
    return any(tag != OUTSIDE and _is_chunk_tag(tag) for sentence in tags for tag in sentence)


def chunks(tags: Sequence[str]) -> list[Chunk]:
    """Return the chunks that tags of any scheme mark, by the rules of the CoNLL evaluation script.

    A chunk begins at ``B`` and ``S``, and wherever the tag before is outside, of another type, or the end of a chunk.

    Raises
    ------
    ValueError
        A tag has no prefix of the schemes.
    """
    found: list[Chunk] = []
    start = 0
    kind = ""
    is_over = True
    for token, tag in enumerate([*tags, OUTSIDE]):
        if not _is_chunk_tag(tag):
            raise ValueError(f"{tag!r} is no tag of a chunk")
        prefix, _, now = tag.partition("-")
        begins = prefix != OUTSIDE and (prefix in _STARTS or is_over or now != kind)
        if kind and not is_over and (begins or prefix == OUTSIDE):
            found.append(Chunk(start, token, kind))
        if begins:
            start = token
        kind, is_over = ("", True) if prefix == OUTSIDE else (now, False)
        if prefix in _LASTS:
            found.append(Chunk(start, token + 1, kind))
            is_over = True
    return found


def convert(tags: Sequence[str], scheme: str) -> list[str]:
    """Return tags of any scheme in another: ``BIO``, ``BIOES`` or ``IOB1``."""
    if scheme not in SCHEMES:
        raise ValueError(f"scheme is {scheme!r}; choose one of {', '.join(SCHEMES)}")
    converted = [OUTSIDE] * len(tags)
    former = Chunk(0, 0, "")
    for chunk in chunks(tags):
        converted[chunk.start : chunk.stop] = [f"I-{chunk.kind}"] * (chunk.stop - chunk.start)
        if scheme != "IOB1" or (former.stop == chunk.start and former.kind == chunk.kind):
            converted[chunk.start] = f"B-{chunk.kind}"
        if scheme == "BIOES":
            last = "S" if chunk.stop - chunk.start == 1 else "E"
            converted[chunk.stop - 1] = f"{last}-{chunk.kind}"
        former = chunk
    return converted


def _is_chunk_tag(tag: str) -> bool:
    prefix, dash, kind = tag.partition("-")
    return tag == OUTSIDE or (prefix in _PREFIXES - {OUTSIDE} and bool(dash) and bool(kind))
