"""The phrases that the project's prose avoids, and a command that lists where they are.

``python -m tests.prose`` prints a line ``file:line: phrase -> what to write`` for each. ``python -m tests.prose lstm
README.md`` looks at these only, and ``--count`` prints how many each folder has. CONTRIBUTING.md says what the prose
should be like.

Prose is every comment, docstring and string of a Python file, and all text of the other files. Code within it is left
out: what is between backticks, and the fields of an f-string.
"""

from __future__ import annotations

import argparse
import io
import re
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
FOLDERS = ("gatecast", "kernels", "lstm", "data", "flows", "benchmarks", "examples", "tests", "docs")
FILES = ("*.md", "*.toml", "*.yaml", "*.txt", "Makefile", "Dockerfile", ".ci/run")
SUFFIXES = (".py", ".pyi", ".md", ".html")
# This file and its test spell the phrases out; the sample is Shakespeare's.
LEFT_OUT = ("tests/prose.py", "tests/test_prose.py", "data/samples/shakespeare.txt")

PHRASES = {
    r"beside": "next to, with, compared with",
    r"(stand|stands|stood|standing)(?! (in )?for)": "is",
    r"anew": "again",
    r"so many": "the number itself, or as many",
    r"so[- ]man(y|i)eth": "every n-th",
    r"(is|are|was|were) (?-i:none)": "is not a, there is no",
    r"where (?-i:none) (is|are|was|were)": "if there is none",
    r"(mend|mends|mended|mending)": "fix, correct, repair",
    r"of which": "whose, or two sentences",
    r"(know|knows|knew) nothing": "say what happens instead",
    r"way of (its|their|his|her) own": "separately",
}
"""Regular expressions of whole words, where a blank is any white space, and what to write instead"""

_BLANKED = re.compile(r"\S")
_CODE = re.compile(r"(`+)(?!`)((?!\n\s*\n)[^\0])+?(?<!`)\1(?!`)")
_FIELD = re.compile(r"(?<!\{)\{[^{}]+\}")
_QUOTES = re.compile(r"^([A-Za-z]*)('''|\"\"\"|'|\")(.*)(\2)$", re.DOTALL)


class Hit(NamedTuple):
    """A phrase in a text."""

    line: int
    phrase: str
    instead: str


def find(text: str, suffix: str) -> list[Hit]:
    """Return the phrases in the text of a file with this suffix, in order."""
    prose = _of_python(text) if suffix in (".py", ".pyi") else text
    prose = _CODE.sub(lambda code: _BLANKED.sub("\0", code[0]), prose)
    hits = []
    for phrase, instead in PHRASES.items():
        pattern = rf"\b{phrase}\b".replace(" ", r"\s+")
        for match in re.finditer(pattern, prose, re.IGNORECASE):
            hits.append(Hit(prose.count("\n", 0, match.start()) + 1, " ".join(match[0].split()), instead))
    return sorted(hits)


def _of_python(source: str) -> str:
    """Return the source with its length and lines, but everything that is not prose turned into NUL.

    Comment signs and quotes become blanks, so that a phrase may run from one line of a comment, or one part of a
    string, to the next.
    """
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    prose = list(_BLANKED.sub("\0", source))
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        text = _prose_of(token)
        if text is not None:
            begin = starts[token.start[0] - 1] + token.start[1]
            prose[begin : begin + len(text)] = text
    return "".join(prose)


def _prose_of(token: tokenize.TokenInfo) -> str | None:
    kind = tokenize.tok_name[token.type]
    if kind == "COMMENT":
        return token.string.replace("#", " ")
    if kind == "FSTRING_MIDDLE":  # from Python 3.12 on; before, an f-string is one STRING
        return token.string
    if kind in ("FSTRING_START", "FSTRING_END"):
        return " " * len(token.string)
    if kind != "STRING":
        return None
    parts = _QUOTES.match(token.string)
    assert parts is not None
    prefix, quote, content, _ = parts.groups()
    if "f" in prefix.lower():
        content = _FIELD.sub(lambda field: "\0" * len(field[0]), content)
    return " " * len(prefix + quote) + content + " " * len(quote)


def files(paths: Sequence[str] = ()) -> Iterator[str]:
    """Yield the files with prose, as paths from the root; only those at or below `paths` where some are given."""
    found = {path for pattern in FILES for path in ROOT.glob(pattern)}
    for folder in FOLDERS:
        # A room is a link in gatecast/, which is not followed: its files are found under their own folder.
        found |= {path for path in (ROOT / folder).rglob("*") if path.suffix in SUFFIXES}
    for path in sorted(found):
        name = path.relative_to(ROOT).as_posix()
        wanted = not paths or any(name == part or name.startswith(f"{part.rstrip('/')}/") for part in paths)
        if wanted and name not in LEFT_OUT:
            yield name


def hits_in(name: str) -> list[Hit]:
    """Return the phrases in a file."""
    path = ROOT / name
    return find(path.read_text(encoding="utf-8"), path.suffix)


def folder_of(name: str) -> str:
    """Return the room of a file: ``lstm/nn`` for ``lstm/nn/layers.py``, ``flows`` for ``flows/retrain.py``."""
    parts = name.split("/")[:-1]
    return "/".join(parts[:1] if parts[:1] in (["tests"], ["docs"]) else parts[:2]) or "."


def main(arguments: Sequence[str] | None = None) -> int:
    """List or count the phrases; return 1 if there are any."""
    parser = argparse.ArgumentParser(prog="python -m tests.prose", description="List phrases that prose avoids.")
    parser.add_argument("paths", nargs="*", help="files and folders from the root; all of them by default")
    parser.add_argument("--count", action="store_true", help="how many each folder has")
    options = parser.parse_args(arguments)
    counts: Counter[str] = Counter()
    for name in files(options.paths):
        hits = hits_in(name)
        counts[folder_of(name)] += len(hits)
        if not options.count:
            for hit in hits:
                print(f"{name}:{hit.line}: {hit.phrase} -> {hit.instead}")
    if options.count:
        for folder, count in sorted(counts.items()):
            print(f"{count:5} {folder}")
        print(f"{counts.total():5} in all")
    return int(counts.total() > 0)


if __name__ == "__main__":
    sys.exit(main())
