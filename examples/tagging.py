"""Learn to find the names of people and places in sentences, from tags in the BIO scheme."""

from __future__ import annotations

from itertools import product

from gatecast import Tagger, chunks

PEOPLE = ("Ada Lovelace", "Alan Turing", "Grace Hopper", "Emmy Noether", "Kurt Hensel", "Sofia Germain")
PLACES = ("London", "New York", "Erlangen", "Paris", "Berlin", "Stockholm")
PATTERNS = ("PERSON lives in PLACE .", "In PLACE , PERSON wrote a letter .", "The train to PLACE was late .")


def tagged_sentences() -> tuple[list[list[str]], list[list[str]]]:
    """Make up words and tags; yours come from ``read_conll("train.conll")``, as ``.sentences`` and ``.tags``."""
    sentences, tags = [], []
    for pattern, person, place in product(PATTERNS, PEOPLE, PLACES):
        names = {"PERSON": person.split(), "PLACE": place.split()}
        sentences.append([word for part in pattern.split() for word in names.get(part, [part])])
        tags.append([tag for part in pattern.split() for tag in tags_of(part, len(names.get(part, ())))])
    return sentences, tags


def tags_of(part: str, words: int) -> list[str]:
    """Return the tags of a name with this number of words; without any, the part is an ordinary word."""
    return [f"B-{part}", *[f"I-{part}"] * (words - 1)] if words else ["O"]


def main(max_epochs: int = 15) -> list[str]:
    """Train a BiLSTM-CRF, and tag a sentence with a person and a place that it has not seen."""
    tagger = Tagger(dropout=0.3, learning_rate=1e-2, max_epochs=max_epochs, seed=0).fit(*tagged_sentences())
    sentence = ["In", "Uppsala", ",", "Alan", "Noether", "wrote", "a", "letter", "."]
    [tags] = tagger.predict([sentence])
    for chunk in chunks(tags):
        print(f"{chunk.kind}: {' '.join(sentence[chunk.start : chunk.stop])}")
    return tags


if __name__ == "__main__":
    main()
