"""`Tagger`: a tag for each word of a sentence, such as the names of people and places in it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gatecast.data.errors import InputError
from gatecast.data.language.encoding import EncodedText, WordEncoder
from gatecast.data.language.tagging import chunks, convert, has_chunks
from gatecast.data.language.words import WordVectors
from gatecast.lstm.config import TaggerSettings
from gatecast.lstm.nn.crf import Constraints
from gatecast.lstm.nn.initialisation import count_weights
from gatecast.lstm.tagging.batches import SentenceBatches, gather_sentences, in_order_of_length
from gatecast.lstm.tagging.entities import score_chunks, token_accuracy
from gatecast.lstm.tagging.network import TaggerNetwork, feature_widths
from gatecast.lstm.training.checkpoint import CheckpointError
from gatecast.lstm.training.loop import EpochRecord
from gatecast.lstm.training.model import Arrays, TrainedModel, require_checkpoint_options
from gatecast.lstm.training.signature import takes_settings

__all__ = ["Tagger"]

Sentences = Sequence[Sequence[str]]
TaggedSentences = tuple[Sentences, Sentences]

# Sentences tagged at once: enough to fill the cores, few enough that their activations stay small.
_PREDICTION_BATCH = 128
# If there are no dev sentences, every n-th training sentence takes their place.
_HELD_OUT = 10


class Tagger(TrainedModel[TaggerNetwork]):
    """Tag the words of sentences.

    One object serves one thread at a time.

    Parameters
    ----------
    **settings
        The fields of `lstm.config.TaggerSettings`. With ``crf=True, bidirectional=True`` it is the BI-LSTM-CRF of
        Huang, Xu & Yu (2015, arXiv 1508.01991); the two options off give the other rows of their comparison.
    """

    kind = "Tagger"
    settings: TaggerSettings

    @takes_settings(TaggerSettings)
    def __init__(self, **settings: Any) -> None:
        """Make a Tagger that is not fitted yet."""
        super().__init__()
        self.settings = TaggerSettings(**settings)
        self.tags: tuple[str, ...] = ()
        """The known tags; empty before `fit`"""
        self.scheme = ""
        """How these mark chunks: ``BIO``, ``BIOES``, or ``none``"""
        self._encoder: WordEncoder | None = None

    # ---------------------------------------------------------------- training

    def fit(
        self,
        sentences: Sentences,
        tags: Sentences,
        *,
        dev: TaggedSentences | None = None,
        vectors: WordVectors | None = None,
        checkpoints: Path | None = None,
        keep: int = 3,
        resume: bool = False,
        on_epoch: Callable[[EpochRecord], None] | None = None,
    ) -> Tagger:
        """Train on tagged sentences until the score on the dev sentences stops rising.

        Parameters
        ----------
        sentences, tags : sequences of sequences of str
            Words, and a tag for each; chunks in any scheme.
        dev : (sentences, tags), optional
            The epoch with the best F1 of chunks on these is kept, or the best accuracy where tags mark no chunks; by
            default every tenth training sentence is held back for it.
        vectors : WordVectors, optional
            First values of the words' vectors; all of its words become known.
        checkpoints : Path, optional
            Folder for a loadable checkpoint after each epoch.
        keep : int
            How many of them stay.
        resume : bool
            Go on from the newest whole checkpoint in that folder; the end is the same, bit for bit, as without the
            interruption. False starts from scratch and removes the folder's checkpoints.
        on_epoch : callable, optional
            Called with the record of each epoch, those before a resumption included; its ``validation_loss`` is 1 less
            the score on the dev sentences.

        Raises
        ------
        InputError
            There is nothing to learn from, words and tags do not match, a tag belongs to no scheme, or the vectors do
            not have the model's size.
        TrainingError
            When training diverges.
        ValueError
            When `resume` is asked for without a folder, or `keep` is below 1.
        """
        require_checkpoint_options(checkpoints, keep, resume)
        _require_tags(sentences, tags, "training")
        if dev is None:
            (sentences, tags), dev = _held_out(sentences, tags)
        _require_tags(*dev, "dev")
        network = self._adopt(sentences, tags, dev, vectors)
        stopped = self._stopped(checkpoints, resume, self.data_hash)
        encoder = self._require_encoder()
        if stopped is not None and stopped._encoder != encoder:
            raise CheckpointError(
                f"What {checkpoints} holds was trained with other features of words; train again without resume."
            )
        numbers = {tag: number for number, tag in enumerate(self.tags)}
        labels = np.array([numbers[tag] for sentence in tags for tag in self._in_scheme(sentence)], np.int64)
        batches = SentenceBatches(
            encoder.encode(sentences), labels, self.settings.batch_size, self.settings.word_dropout, self.settings.seed
        )
        dev_text = encoder.encode(dev[0])

        def validate() -> float:
            predicted = self._predict(network, dev_text)
            return 1 - (token_accuracy if self.scheme == "none" else _chunk_f1)(dev[1], predicted)

        self._train(
            network, batches, validate,
            stopped=stopped, checkpoints=checkpoints, keep=keep, on_epoch=on_epoch,
        )  # fmt: skip
        return self

    def _adopt(
        self, sentences: Sentences, tags: Sentences, dev: TaggedSentences, vectors: WordVectors | None
    ) -> TaggerNetwork:
        settings = self.settings
        if vectors is not None and vectors.size != settings.word_size:
            raise InputError(
                f"The vectors have {vectors.size} numbers, but word_size is {settings.word_size}; set it to"
                f" {vectors.size}."
            )
        self.scheme = settings.scheme if settings.scheme != "auto" else "BIO" if has_chunks(tags) else "none"
        try:
            known = {tag for sentence in tags for tag in self._in_scheme(sentence)}
            for sentence in dev[1]:
                self._in_scheme(sentence)
        except ValueError as error:
            raise InputError(
                f"{str(error)[:1].upper()}{str(error)[1:]}; correct it, or choose the scheme none."
            ) from error
        self.tags = tuple(sorted(known | ({"O"} if self.scheme != "none" else set()), key=_outside_first))
        self._encoder = WordEncoder.of_sentences(
            sentences, min_count=settings.min_count, longest=settings.longest_word,
            more_words=vectors.words if vectors is not None else (),
        )  # fmt: skip
        self.data_hash = _hash((sentences, tags, *dev), vectors)
        self._network = self._new_network()
        self._snapshot = None
        if vectors is not None:
            self._put_vectors(self._network, vectors)
        return self._network

    def _in_scheme(self, tags: Sequence[str]) -> Sequence[str]:
        return tags if self.scheme == "none" else convert(tags, self.scheme)

    def _least_weights(self) -> int:
        settings = self.settings
        encoder = self._require_encoder()
        directions = 2 if settings.bidirectional else 1
        widths = feature_widths(encoder.sizes, settings)
        features = sum(count * widths[name] for name, count in encoder.sizes.items())
        characters = len(encoder.characters) * settings.character_size
        speller = count_weights(settings.character_size, settings.character_hidden_size, directions=2)
        read = sum(widths.values()) + 2 * settings.character_hidden_size
        lstm = count_weights(read, settings.hidden_size, settings.num_layers, directions)
        return features + characters + speller + lstm + len(self.tags) * directions * settings.hidden_size

    def _make_network(self) -> TaggerNetwork:
        encoder = self._require_encoder()
        constraints = None if self.scheme == "none" else Constraints.of_scheme(self.tags, self.scheme)
        return TaggerNetwork(encoder.sizes, len(encoder.characters), len(self.tags), self.settings, constraints)

    def _put_vectors(self, network: TaggerNetwork, vectors: WordVectors) -> None:
        """Make the vectors the first values of the words' embedding, scaled as the others are."""
        encoder = self._require_encoder()
        words = encoder.words
        values = network.parameters.to_host()
        weight = values["word.weight"]
        spread = float(vectors.values.std())
        scale = weight.std() / spread if spread > 0 else 1.0
        # In reverse: of the words that have one normal form, the first, which is the most frequent, has the last say.
        for word, vector in zip(reversed(vectors.words), vectors.values[::-1], strict=True):
            weight[words.number(encoder.normal_form(word))] = scale * vector
        network.parameters.load(values)

    # ---------------------------------------------------------------- results

    def predict(self, sentences: Sentences) -> list[list[str]]:
        """Return a tag for each word; chunks are marked in BIO.

        Parameters
        ----------
        sentences : sequence of sequence of str
            Any words, known or not; a sentence without words has no tags.
        """
        for sentence in sentences:
            if isinstance(sentence, str):
                raise InputError("A sentence is a sequence of words; split the text first.")
        network = self.network
        return self._predict(network, self._require_encoder().encode(sentences))

    def evaluate(self, sentences: Sentences, tags: Sentences) -> dict[str, Any]:
        """Compare the predicted tags with the true ones.

        Returns
        -------
        dict
            ``accuracy`` of the tokens, ``tokens`` and ``unknown_words``, how many of them the model has never seen;
            where tags mark chunks, also what `lstm.tagging.entities.score_chunks` returns.
        """
        _require_tags(sentences, tags, "evaluation")
        predicted = self.predict(sentences)
        encoder = self._require_encoder()
        words = encoder.words
        known = [words.number(encoder.normal_form(word)) for sentence in sentences for word in sentence]
        if self.scheme == "none":
            chunked: dict[str, Any] = {}
            compared: Sentences = tags
        else:
            compared = [_converted(sentence) for sentence in tags]
            chunked = score_chunks(compared, predicted)
        return {
            "accuracy": token_accuracy(compared, predicted),
            "tokens": len(known),
            "unknown_words": known.count(0),
            **chunked,
        }

    def _predict(self, network: TaggerNetwork, text: EncodedText) -> list[list[str]]:
        predicted: list[list[str]] = [[] for _ in range(len(text))]
        nothing = np.zeros(len(text.forms), np.int64)
        for chosen in in_order_of_length(text, _PREDICTION_BATCH):
            sentences = gather_sentences(text, nothing, chosen)
            for sentence, numbers in zip(chosen, network.decode(sentences), strict=True):
                tags = [self.tags[number] for number in numbers[: text.lengths[sentence]]]
                predicted[sentence] = tags if self.scheme == "none" else convert(tags, "BIO")
        return predicted

    def _require_encoder(self) -> WordEncoder:
        if self._encoder is None:
            raise InputError("The model has not been fitted; call fit first.")
        return self._encoder

    # ---------------------------------------------------------------- checkpoints

    def _to_checkpoint(self) -> tuple[dict[str, Any], Arrays]:
        encoder = self._require_encoder()
        return {"tags": list(self.tags), "scheme": self.scheme, "vocabularies": encoder.to_dict()}, {}

    def _restore(self, document: Mapping[str, Any], arrays: Mapping[str, Mapping[str, np.ndarray]]) -> None:
        self.tags = tuple(document["tags"])
        self.scheme = document["scheme"]
        self._encoder = WordEncoder.from_dict(document["vocabularies"])


def _chunk_f1(tags: Sentences, predicted: Sentences) -> float:
    """F1 of all chunks: what `lstm.tagging.entities.score_chunks` finds, many times faster."""
    found = [_located(sentences) for sentences in (tags, predicted)]
    total = len(found[0]) + len(found[1])
    return 2 * len(found[0] & found[1]) / total if total else 0.0


def _located(tags: Sentences) -> set[tuple[int, int, int, str]]:
    return {(number, *chunk) for number, sentence in enumerate(tags) for chunk in chunks(sentence)}


def _converted(tags: Sequence[str]) -> list[str]:
    try:
        return convert(tags, "BIO")
    except ValueError as error:
        raise InputError(f"Among the tags, {error}, and the model was trained on chunks; correct it.") from error


def _outside_first(tag: str) -> tuple[bool, str]:
    return tag != "O", tag


def _held_out(sentences: Sentences, tags: Sentences) -> tuple[TaggedSentences, TaggedSentences]:
    """Return training and dev sentences, each with its tags."""
    if len(sentences) < 2:
        raise InputError("One sentence cannot be both learnt from and held back to score on; give dev sentences too.")
    held = range(_HELD_OUT - 1, len(sentences), _HELD_OUT) or range(len(sentences) - 1, len(sentences))
    kept = [number for number in range(len(sentences)) if number not in held]
    training, dev = (([sentences[n] for n in part], [tags[n] for n in part]) for part in (kept, held))
    return training, dev


def _require_tags(sentences: Sentences, tags: Sentences, name: str) -> None:
    if len(sentences) != len(tags):
        raise InputError(f"There are {len(sentences)} {name} sentences, but tags of {len(tags)}; give each its tags.")
    for number, (words, labels) in enumerate(zip(sentences, tags, strict=True)):
        if isinstance(words, str) or isinstance(labels, str):
            raise InputError(f"The {name} sentence {number} is a string; split it into words.")
        if len(words) != len(labels):
            raise InputError(
                f"The {name} sentence {number} has {len(words)} words, but {len(labels)} tags; give each word one."
            )
    if not any(map(len, sentences)):
        raise InputError(f"The {name} sentences have no word; give at least one.")


def _hash(texts: Sequence[Sentences], vectors: WordVectors | None) -> str:
    digest = hashlib.sha256()
    for part in (*texts, [vectors.words] if vectors is not None else []):
        digest.update(json.dumps([list(item) for item in part], ensure_ascii=False).encode())
    if vectors is not None:
        digest.update(vectors.values.tobytes())
    return digest.hexdigest()
