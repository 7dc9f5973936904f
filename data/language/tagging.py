"""Tagged sentences: CoNLL column files in and out, and the schemes that mark chunks with tags.

A column file has one token per line, its columns separated by tabs or spaces, and an empty line after each sentence::

    Empire      B-location
    State       I-location
    =           O

Chunks (entities, phrases) are marked in one of three schemes. In **BIO** (also IOB2) the first token of a chunk is
``B-TYPE`` and the others ``I-TYPE``; in **IOB1** the first is ``B-TYPE`` only if a chunk of the same type comes just
before; in **BIOES** (also BILOU) the last token is ``E-TYPE``, and a chunk of one token ``S-TYPE``. ``O`` is outside.
`chunks` reads all of them by the rules of the CoNLL evaluation script; `convert` writes the one that is asked for.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
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
    lines : list of int
        Line of the file that each sentence starts on.
    name : str
        Where they come from, for messages.
    """

    sentences: list[list[str]]
    tags: list[list[str]]
    lines: list[int]
    name: str

    def __len__(self) -> int:
        return len(self.sentences)

    def place(self, sentence: int, token: int) -> str:
        """Return where a token is, as ``file, line 12``."""
        return f"{self.name}, line {self.lines[sentence] + token}"

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

    Windows line ends are understood, and so are comments: lines that begin with ``#`` and do not have the columns of
    a row. Lines with ``-DOCSTART-`` separate sentences and are left out.

    Parameters
    ----------
    path : path
        UTF-8.
    word_column, tag_column : int
        0 is the first column, -1 the last; None for a file without tags.

    Raises
    ------
    InputError
        The file is missing, empty or not UTF-8, a row differs in its number of columns, or lacks one that is read.
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
        line = content.count(b"\n", 0, error.start) + 1
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
    rows = [(number, line.split()) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not rows:
        raise InputError(f"{name} holds no sentence; give it a sentence a line.")
    sentences = [words for _, words in rows]
    return TaggedText(sentences, [[OUTSIDE] * len(words) for words in sentences], [line for line, _ in rows], name)


def parse_conll(text: str, name: str, *, word_column: int = 0, tag_column: int | None = -1) -> TaggedText:
    """Parse the text of a CoNLL column file; arguments and errors as for `read_conll`.

    Parameters
    ----------
    text : str
    name : str
        Where it comes from, for messages.
    word_column, tag_column : int
    """
    found = TaggedText([], [], [], name)
    rows: list[list[str]] = []
    begun = 1
    for number, columns in _rows(text, name):
        if columns:
            begun = begun if rows else number
            rows.append(columns)
        elif rows:
            _add_sentence(found, rows, begun, word_column, tag_column)
            rows = []
    if not found.sentences:
        raise InputError(f"{name} holds no sentence; give it a token a line and an empty line between sentences.")
    return found


def _add_sentence(
    found: TaggedText, rows: list[list[str]], begun: int, word_column: int, tag_column: int | None
) -> None:
    for column in (word_column, tag_column):
        if column is not None and not -len(rows[0]) <= column < len(rows[0]):
            raise InputError(
                f"{found.name}, line {begun}: there is no column {column}, since the rows have {len(rows[0])}; 0 is the"
                " first and -1 the last."
            )
    found.sentences.append([row[word_column] for row in rows])
    found.tags.append([OUTSIDE if tag_column is None else row[tag_column] for row in rows])
    found.lines.append(begun)


def _rows(text: str, name: str) -> Iterator[tuple[int, list[str]]]:
    """Give line number and columns of each row, no columns for the end of a sentence."""
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    separator, width = _layout(lines)
    for number, line in enumerate(lines, 1):
        is_end = not line.strip() or line.startswith(_DOCUMENT)
        columns = [] if is_end else line.split(separator)
        if columns and len(columns) != width:
            if line.startswith("#"):
                continue  # a comment
            raise InputError(
                f"{name}, line {number}: {_count(len(columns))}, where the first row has {width}; give every row the"
                " same columns."
            )
        if any(not column.strip() for column in columns):
            raise InputError(f"{name}, line {number}: a column is empty; fill it in.")
        yield number, columns
    yield len(lines) + 1, []


def _count(columns: int) -> str:
    return "1 column" if columns == 1 else f"{columns} columns"


def _layout(lines: Iterable[str]) -> tuple[str | None, int]:
    """Return the separator (None for spaces) and the number of columns of the first row that is not a comment."""
    rows = [line for line in lines if line.strip() and not line.startswith(_DOCUMENT)]
    if not rows:
        return None, 0
    row = next((line for line in rows if not line.startswith("#")), rows[0])
    separator = "\t" if "\t" in row else None
    return separator, len(row.split(separator))


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
