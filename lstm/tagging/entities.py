"""How good predicted tags are: by token, and by chunk, as the shared tasks of the field count them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["confusion", "most_frequent_tags", "score_chunks", "token_accuracy"]

Tags = Sequence[Sequence[str]]


def token_accuracy(tags: Tags, predicted: Tags) -> float:
    """Return the share of the tokens whose tag is right; NaN if there is no token."""
    pairs = _pairs(tags, predicted)
    return sum(tag == guess for tag, guess in pairs) / len(pairs) if pairs else float("nan")


def score_chunks(tags: Tags, predicted: Tags) -> dict[str, Any]:
    """Return precision, recall and F1 of chunks, of all and of each type, as ``seqeval`` and the CoNLL script count.

    A chunk is right where start, end and type are. A score that would divide by zero is 0.

    Parameters
    ----------
    tags, predicted : sequences of sequences of str
        A tag for each token of each sentence, in any of the schemes.

    Returns
    -------
    dict
        ``precision``, ``recall``, ``f1`` and ``support`` (chunks in `tags`) over all types, and under ``types`` the
        same of each.
    """
    from seqeval.metrics.sequence_labeling import get_entities, precision_recall_fscore_support

    _pairs(tags, predicted)
    tags = [list(sentence) for sentence in tags]
    predicted = [list(sentence) for sentence in predicted]
    kinds = sorted({kind for sentences in (tags, predicted) for kind, *_ in get_entities(sentences)})
    if not kinds:
        return {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0, "types": {}}
    by_type = precision_recall_fscore_support(tags, predicted, average=None, zero_division=0)
    *overall, _ = precision_recall_fscore_support(tags, predicted, average="micro", zero_division=0)
    names = ("precision", "recall", "f1")
    types = {
        kind: {**{name: float(score) for name, score in zip(names, scores, strict=False)}, "support": int(scores[3])}
        for kind, scores in zip(kinds, zip(*by_type, strict=True), strict=True)
    }
    support = sum(scores["support"] for scores in types.values())
    return {
        **{name: float(score) for name, score in zip(names, overall, strict=True)},
        "support": support,
        "types": types,
    }


def confusion(tags: Tags, predicted: Tags) -> tuple[tuple[str, ...], np.ndarray]:
    """Count the tokens of each type by the type that was predicted; prefixes such as ``B-`` are left away.

    Returns
    -------
    names : tuple of str
        The types, ``O`` first.
    counts : int64, (n, n)
        Rows are the types of `tags`, columns those of `predicted`.
    """
    pairs = [(_kind(tag), _kind(guess)) for tag, guess in _pairs(tags, predicted)]
    kinds = {kind for pair in pairs for kind in pair}
    names = tuple(sorted(kinds, key=lambda kind: (kind != "O", kind)))
    numbers = {name: number for number, name in enumerate(names)}
    counts = np.zeros((len(names), len(names)), np.int64)
    for tag, guess in pairs:
        counts[numbers[tag], numbers[guess]] += 1
    return names, counts


def _kind(tag: str) -> str:
    return tag.partition("-")[2] or tag


def _pairs(tags: Tags, predicted: Tags) -> list[tuple[str, str]]:
    if [len(sentence) for sentence in tags] != [len(sentence) for sentence in predicted]:
        raise ValueError("tags and predicted tags must be of the same sentences; their lengths differ")
    return [pair for sentences in zip(tags, predicted, strict=True) for pair in zip(*sentences, strict=True)]


def most_frequent_tags(sentences: Tags, tags: Tags) -> tuple[str, dict[str, str]]:
    """Return the naive tagger: the most frequent tag of all, and that of each word where it differs.

    Of equally frequent tags the first in the alphabet counts.
    """
    of_word: dict[str, Counter[str]] = defaultdict(Counter)
    of_all: Counter[str] = Counter()
    for words, labels in zip(sentences, tags, strict=True):
        of_all.update(labels)
        for word, label in zip(words, labels, strict=True):
            of_word[word][label] += 1
    usual = _most_frequent(of_all)
    found = {word: _most_frequent(counts) for word, counts in of_word.items()}
    return usual, {word: tag for word, tag in found.items() if tag != usual}


def _most_frequent(counts: Counter[str]) -> str:
    return min(counts, key=lambda tag: (-counts[tag], tag))
