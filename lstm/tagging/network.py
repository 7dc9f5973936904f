"""From words to tags: embeddings and a character LSTM, an LSTM over the sentence, and a CRF: the network of `Tagger`.

With its CRF and both directions it is the BI-LSTM-CRF of Huang, Xu & Yu (2015, arXiv 1508.01991), with the words spelt
out by a second LSTM as by Lample et al. (2016, arXiv 1603.01360, §4.1); without the one, the other or both, it is the
BI-LSTM, the LSTM-CRF and the LSTM of Huang's comparison.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from gatecast.kernels import get_backend
from gatecast.lstm.config import TaggerSettings
from gatecast.lstm.nn.crf import CRF, Constraints
from gatecast.lstm.nn.layers import Dropout, Embedding, Linear
from gatecast.lstm.nn.parameters import Parameters
from gatecast.lstm.nn.recurrent import LSTM
from gatecast.lstm.tagging.batches import Sentences

__all__ = ["TaggerNetwork", "feature_widths"]

_SCALE = 0.25  # of the embeddings' first values


class TaggerNetwork:
    """A score for each tag of each word, and the best sequence of tags.

    Parameters
    ----------
    feature_sizes : mapping of str to int
        Vectors that each feature of a word needs, in the order of `Sentences.features`; "word" and "casing" have their
        own sizes, all others that of affixes.
    characters : int
        Vectors that the characters need.
    num_tags : int
    settings : TaggerSettings
    constraints : Constraints, optional
    """

    def __init__(
        self,
        feature_sizes: Mapping[str, int],
        characters: int,
        num_tags: int,
        settings: TaggerSettings,
        constraints: Constraints | None = None,
    ):
        self.ops = get_backend(settings.backend)
        self.dtype = settings.dtype
        self.num_tags = num_tags
        generator = np.random.default_rng(settings.seed)
        where: dict[str, Any] = {"dtype": settings.dtype, "backend": settings.backend}
        widths = feature_widths(feature_sizes, settings)
        self.features = {
            name: Embedding(count, widths[name], scale=_SCALE, seed=generator, **where)
            for name, count in feature_sizes.items()
        }
        self.character = Embedding(characters, settings.character_size, scale=_SCALE, seed=generator, **where)
        self.speller = LSTM(settings.character_size, settings.character_hidden_size, 1, True, seed=generator, **where)
        self.lstm = LSTM(
            sum(widths.values()) + 2 * settings.character_hidden_size,
            settings.hidden_size, settings.num_layers,
            settings.bidirectional, dropout=settings.dropout, input_dropout=settings.dropout, dropout_kind="per_step",
            seed=generator, **where,
        )  # fmt: skip
        directions = 2 if settings.bidirectional else 1
        self.dropout = Dropout(settings.dropout, "per_step", seed=settings.seed, **where)
        self.head = Linear(directions * settings.hidden_size, num_tags, seed=generator, **where)
        self.crf = CRF(num_tags, constraints if settings.crf else None, **where)
        parts = {
            **{name: layer.parameters for name, layer in self.features.items()},
            "character": self.character.parameters,
            "speller": self.speller.parameters,
            "lstm": self.lstm.parameters,
            "head": self.head.parameters,
        }
        if settings.crf:  # otherwise its transitions stay zero: a softmax for each word
            parts["crf"] = self.crf.parameters
        self.parameters = Parameters.join(parts, self.ops)

    def backpropagate(self, sentences: Sentences, state: None, step: int) -> tuple[float, None]:
        """Write the gradients of a batch, ``=``; return its loss, in nats a sentence. There is no state to carry on."""
        loss, d_emissions = self.crf.loss(self._emissions(sentences, step), sentences.tags, sentences.lengths)
        d_hidden = self.head.backward(d_emissions.reshape(-1, self.num_tags))
        d_hidden = self.dropout.backward(d_hidden.reshape(*sentences.spelling.shape, -1))
        dx, _ = self.lstm.backward(d_hidden)
        self._backpropagate_words(dx, sentences)
        return loss, None

    def decode(self, sentences: Sentences) -> np.ndarray:
        """Return the numbers of the best tags, (batch, seq); -1 beyond the end of a sentence."""
        tags, _ = self.crf.decode(self._emissions(sentences), sentences.lengths)
        return self.ops.to_host(tags)

    def _emissions(self, sentences: Sentences, step: int | None = None) -> Any:
        """Return the tags' scores, (batch, seq, num_tags); in training, `step` decides what is dropped."""
        training = step is not None
        y, _ = self.lstm.forward(self._words(sentences, training), None, sentences.lengths, training, step)
        y = self.dropout.forward(y, training, step)
        return self.head.forward(y.reshape(-1, y.shape[2])).reshape(*sentences.spelling.shape, self.num_tags)

    def _words(self, sentences: Sentences, training: bool) -> Any:
        """Return what is known of each word, (batch, seq, input_size): its features, and both ends of its spelling."""
        x = self.ops.zeros((*sentences.spelling.shape, self.lstm.input_size), self.dtype)
        column = 0
        for feature, layer in enumerate(self.features.values()):
            column = self._put(layer.forward(sentences.features[:, :, feature]), sentences, x, column)
        _, (h_n, _) = self.speller.forward(
            self.character.forward(sentences.characters), None, sentences.character_lengths, training, every_step=False
        )
        size = self.speller.hidden_size
        for direction in range(2):
            spelt = self.ops.zeros((sentences.spelling.size, size), self.dtype)
            self.ops.embedding_forward(h_n[direction], self._spelling(sentences), spelt)
            column = self._put(spelt.reshape(*sentences.spelling.shape, size), sentences, x, column)
        return x

    def _backpropagate_words(self, dx: Any, sentences: Sentences) -> None:
        column = 0
        for layer in self.features.values():
            part, column = self._take(dx, sentences, column, layer.embedding_size)
            layer.backward(part)
        size = self.speller.hidden_size
        shape = (2, len(sentences.characters), size)
        dh_n = self.ops.zeros(shape, self.dtype)
        dc_n = self.ops.zeros(shape, self.dtype)
        for direction in range(2):
            part, column = self._take(dx, sentences, column, size)
            self.ops.embedding_backward(self._spelling(sentences), part.reshape(-1, size), dh_n[direction], False)
        d_characters, _ = self.speller.backward(None, (dh_n, dc_n))
        self.character.backward(d_characters)

    def _spelling(self, sentences: Sentences) -> Any:
        return self.ops.as_array(sentences.spelling.ravel(), "int64")

    def _put(self, part: Any, sentences: Sentences, x: Any, column: int) -> int:
        """Copy a part of the words into its columns of `x`; return the column after it."""
        lengths = self.ops.as_array(sentences.lengths, "int64")
        self.ops.copy_steps(part, 0, x, column, part.shape[2], lengths, False, False)
        return column + part.shape[2]

    def _take(self, dx: Any, sentences: Sentences, column: int, size: int) -> tuple[Any, int]:
        """Undo `_put` for gradients: return those of a part's columns, and the column after it."""
        part = self.ops.zeros((*sentences.spelling.shape, size), self.dtype)
        lengths = self.ops.as_array(sentences.lengths, "int64")
        self.ops.copy_steps(dx, column, part, 0, size, lengths, False, False)
        return part, column + size


def feature_widths(names: Iterable[str], settings: TaggerSettings) -> dict[str, int]:
    """Return how many numbers represent each feature of a word."""
    own = {"word": settings.word_size, "casing": settings.casing_size}
    return {name: own.get(name, settings.affix_size) for name in names}
