"""A few dozen invented sentences with people and places in them, for tests of taggers."""

from __future__ import annotations

import itertools

PEOPLE = ("Mira Holt", "Tobin", "Ana de Wit", "Yusuf Arden", "Pell", "Ines Corve", "Rook Tamsin", "Odile")
PLACES = ("Harwick", "New Belmar", "Port Senna", "Quill", "East Arrow Bay", "Dunmere")
FRAMES = (
    "{person} went to {place} by train .",
    "we saw {person} in {place} yesterday",
    "{place} is colder than {place} , says {person}",
    "did anybody call {person} ?",
    "the road to {place} was closed at 9 pm",
    "nothing happened at all .",
)


def tagged_sentences(count: int = 48) -> tuple[list[list[str]], list[list[str]]]:
    """Return words and BIO tags of the first sentences that the frames above come to."""
    people = itertools.cycle(PEOPLE)
    places = itertools.cycle(PLACES)
    sentences = []
    tags = []
    for frame in itertools.islice(itertools.cycle(FRAMES), count):
        words: list[str] = []
        labels: list[str] = []
        for part in frame.split():
            kind = part.strip("{}")
            name = {"person": people, "place": places}[kind].__next__().split() if part != kind else []
            words += name or [part]
            labels += [f"{'I' if place else 'B'}-{kind}" for place in range(len(name))] or ["O"]
        sentences.append(words)
        tags.append(labels)
    return sentences, tags
