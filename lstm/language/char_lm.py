"""`CharLM`: an LSTM that is trained on a text, scores other texts, and writes its own."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gatecast.data.errors import InputError
from gatecast.data.language.text import TextStreams, Vocabulary, scoring_pieces, split_text, tokenise
from gatecast.lstm.config import CharLMSettings
from gatecast.lstm.language.network import TextNetwork
from gatecast.lstm.language.writer import Writer
from gatecast.lstm.nn.initialisation import count_weights
from gatecast.lstm.training.loop import EpochRecord
from gatecast.lstm.training.model import Arrays, TrainedModel, require_checkpoint_options
from gatecast.lstm.training.signature import takes_settings

__all__ = ["CharLM"]

# Tokens further back than this change the expectation of the next one in the third digit at most.
_WARM_UP = 256
# Tokens in a row that are scored at once.
_SCORED_STEPS = 1024


class CharLM(TrainedModel[TextNetwork]):
    """Predict each character of a text from all before it; or each word, with ``level="word"``.

    ::

        p(x_{t+1} | x_1 ... x_t) = softmax(weight @ h_t + bias),    h_t = LSTM(embedding[x_t], h_{t-1})

    Training is truncated back-propagation through time over contiguous streams of the text, with the state carried from
    piece to piece (Mikolov et al. 2010). One object serves one thread at a time.

    Parameters
    ----------
    **settings
        The fields of `lstm.config.CharLMSettings`.
    """

    kind = "CharLM"
    settings: CharLMSettings

    @takes_settings(CharLMSettings)
    def __init__(self, **settings: Any) -> None:
        """Make a CharLM that is not fitted yet."""
        super().__init__()
        self.settings = CharLMSettings(**settings)
        self.vocabulary: Vocabulary | None = None
        """What the model can read and write; None before `fit`"""
        self._writer: tuple[object, Writer] | None = None

    # ---------------------------------------------------------------- training

    def fit(
        self,
        text: str,
        *,
        checkpoints: Path | None = None,
        keep: int = 3,
        resume: bool = False,
        on_epoch: Callable[[EpochRecord], None] | None = None,
        on_step: Callable[[int, float], None] | None = None,
    ) -> CharLM:
        """Train on a text; its last `validation_fraction` validates.

        Parameters
        ----------
        text : str
        checkpoints : Path, optional
            Folder for a loadable checkpoint after each epoch.
        keep : int
            How many of them stay.
        resume : bool
            Go on from the newest whole checkpoint in that folder; the end is the same, bit for bit, as without the
            interruption, also under a time budget, whose number of steps is in the checkpoint. False starts from
            scratch and removes the folder's checkpoints.
        on_epoch : callable, optional
            Called with the record of each epoch, those before a resumption included; the model can write then.
        on_step : callable, optional
            Called after each optimiser step with their number and the loss.

        Raises
        ------
        InputError
            When the text is too short, holds a single character, or holds a lone surrogate, which is not a character.
        TrainingError
            When training diverges.
        ValueError
            When `resume` is asked for without a folder, or `keep` is below 1.
        """
        require_checkpoint_options(checkpoints, keep, resume)
        settings = self.settings
        data_hash = _hash(text)
        training, validation = split_text(text, settings.validation_fraction)
        vocabulary = Vocabulary.build(training, settings.level, settings.min_count, settings.max_vocabulary)
        streams = TextStreams(vocabulary.encode(training), settings.batch_size, settings.seq_len, settings.seed)
        validation_tokens = vocabulary.encode(validation)
        if len(validation_tokens) < 2:
            raise InputError(
                f"The {len(validation)} characters at the end of the text that validate are one word; give a longer "
                "text or a greater validation_fraction."
            )
        stopped = self._stopped(checkpoints, resume, data_hash)
        self.vocabulary = vocabulary
        self.data_hash = data_hash
        network = self._network = self._new_network()

        def validate() -> float:
            return self._score(network, vocabulary, validation_tokens, settings.batch_size)["cross_entropy"]

        self._train(
            network, streams, validate,
            stopped=stopped, checkpoints=checkpoints, keep=keep, on_epoch=on_epoch,
            on_step=on_step,
        )  # fmt: skip
        return self

    def _make_network(self) -> TextNetwork:
        settings = self.settings
        assert self.vocabulary is not None
        return TextNetwork(
            len(self.vocabulary), settings.embedding, settings.hidden_size, settings.num_layers,
            tie_weights=settings.tie_weights, dropout=settings.dropout, recurrent_dropout=settings.recurrent_dropout,
            embedding_dropout=settings.embedding_dropout, dtype=settings.dtype, backend=settings.backend,
            seed=settings.seed,
        )  # fmt: skip

    def _least_weights(self) -> int:
        settings = self.settings
        assert self.vocabulary is not None
        outputs = 0 if settings.tie_weights else settings.hidden_size
        lstm = count_weights(settings.embedding, settings.hidden_size, settings.num_layers)
        return lstm + len(self.vocabulary) * (settings.embedding + outputs)

    # ---------------------------------------------------------------- results

    def evaluate(self, text: str, streams: int = 1) -> dict[str, float]:
        """Say how well the model expects a text.

        The state runs through the whole text: every token but the first is predicted from all before it. A token that
        the model does not know is read as ``<unk>`` and counted; if the training text had no such token, it is left
        out of the measures, since the model cannot expect it.

        Parameters
        ----------
        text : str
        streams : int
            Number of parts of the text that are read side by side; more are faster. Each part after the first is read
            after the 256 tokens before it, instead of all.

        Returns
        -------
        dict
            ``cross_entropy`` (nats per token), ``perplexity`` (its exponential), ``bits_per_char`` (of all characters
            that were predicted; spelling out an ``<unk>`` costs nothing), ``accuracy`` (share of tokens that were the
            most probable), ``tokens`` (predicted) and ``unknown`` (in the whole text).

        Raises
        ------
        InputError
            The text has fewer than two tokens, or none that the model knows after the first.
        """
        network, vocabulary = self._require_fitted()
        if streams < 1:
            raise ValueError(f"streams is {streams}; it must be at least 1")
        tokens = vocabulary.encode(text)
        if len(tokens) < 2:
            raise InputError(
                f"A text of {len(tokens)} {vocabulary.level}s leaves nothing to predict; give a longer one."
            )
        result = self._score(network, vocabulary, tokens, streams)
        lengths = np.array([len(token) for token in tokenise(text, vocabulary.level)])
        characters = lengths[1:].sum() if vocabulary.trained_unknown else lengths[1:][tokens[1:] != 0].sum()
        nats = result["cross_entropy"] * result["tokens"]
        return {**result, "bits_per_char": nats / float(characters) / math.log(2)}

    def _score(
        self, network: TextNetwork, vocabulary: Vocabulary, tokens: np.ndarray, streams: int
    ) -> dict[str, float]:
        seq_len = self.settings.seq_len if streams > 1 else _SCORED_STEPS
        warm_up = -(-_WARM_UP // seq_len) * seq_len
        streams = max(1, min(streams, (len(tokens) - 1) // (4 * warm_up)))
        total = 0.0
        right = 0
        count = 0
        state = None
        begins = True
        for piece in scoring_pieces(tokens, streams, seq_len, warm_up):
            counts = piece.counts
            if not vocabulary.trained_unknown:
                counts = counts & (piece.targets != 0)
            if begins and piece.counts.any() and state is not None:
                # The first stream has no text before it.
                state = tuple(network.ops.to_host(array) for array in state)
                for array in state:
                    array[:, 0] = 0
            begins = begins and not piece.counts.any()
            losses, predictions, state = network.score(piece._replace(counts=counts), state)
            total += float(losses.astype(np.float64).sum())
            right += int(np.count_nonzero((predictions == piece.targets) & counts))
            count += int(np.count_nonzero(counts))
        if count == 0:
            raise InputError("The model knows no token of this text behind the first; give another text.")
        cross_entropy = total / count
        return {
            "cross_entropy": cross_entropy,
            "perplexity": math.exp(cross_entropy) if cross_entropy < 700 else math.inf,
            "accuracy": right / count,
            "tokens": count,
            "unknown": int(np.count_nonzero(tokens == 0)),
        }

    # ---------------------------------------------------------------- writing

    def generate(
        self,
        prompt: str,
        length: int,
        temperature: float = 1.0,
        top_k: int | None = None,
        seed: int = 0,
        *,
        top_p: float = 1.0,
        stop: str | None = None,
    ) -> str:
        """Write what could follow a prompt.

        Parameters
        ----------
        prompt : str
            What the model reads first; an empty one stands for the start of a line.
        length : int
            Tokens to write.
        temperature : float
            Below 1 the probable becomes more probable; 0 always takes the most probable.
        top_k : int, optional
            Draw among the `top_k` most probable tokens.
        seed : int
            The same seed gives the same text.
        top_p : float
            Draw among the most probable tokens that have this share of the probability together.
        stop : str, optional
            Stop before the first occurrence of this string.

        Returns
        -------
        str
            Without the prompt.
        """
        return "".join(self.stream(prompt, length, temperature, top_k, seed, top_p=top_p, stop=stop))

    def stream(
        self,
        prompt: str,
        length: int,
        temperature: float = 1.0,
        top_k: int | None = None,
        seed: int = 0,
        *,
        top_p: float = 1.0,
        stop: str | None = None,
    ) -> Iterator[str]:
        """Give the text of `generate` in parts, as it is written."""
        network, vocabulary = self._require_fitted()
        version = network.parameters.version
        if self._writer is None or self._writer[0] is not version:
            self._writer = version, Writer(network, vocabulary)
        return self._writer[1].stream(prompt, length, temperature, top_k, top_p, seed, stop)

    def _require_fitted(self) -> tuple[TextNetwork, Vocabulary]:
        network = self.network
        assert self.vocabulary is not None  # there is a network only if there is a vocabulary
        return network, self.vocabulary

    # ---------------------------------------------------------------- checkpoints

    def _to_checkpoint(self) -> tuple[dict[str, Any], Arrays]:
        _, vocabulary = self._require_fitted()
        stored = {
            "level": vocabulary.level,
            "tokens": list(vocabulary.tokens),
            "trained_unknown": vocabulary.trained_unknown,
        }
        return {"vocabulary": stored}, {}

    def _restore(self, document: Mapping[str, Any], arrays: Mapping[str, Mapping[str, np.ndarray]]) -> None:
        stored = document["vocabulary"]
        self.vocabulary = Vocabulary(stored["level"], tuple(stored["tokens"]), stored["trained_unknown"])


def _hash(text: str) -> str:
    try:
        return hashlib.sha256(text.encode()).hexdigest()
    except UnicodeEncodeError as error:
        raise InputError(
            f"Character {error.start} of the text is {text[error.start]!r}, which Unicode does not have; leave it out."
        ) from error
