"""`CRF`: a linear-chain conditional random field over tags, and the transitions that a tagging scheme allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from gatecast.kernels import get_backend
from gatecast.lstm.nn.parameters import Parameters, require_dtype, require_size

__all__ = ["CRF", "Constraints"]

_NAMES = ("transitions", "start_transitions", "end_transitions")


@dataclass(frozen=True, eq=False)
class Constraints:
    """What a sequence of tags may be.

    Attributes
    ----------
    transitions : bool, (num_tags, num_tags)
        Whether the column's tag may follow the row's.
    start, end : bool, (num_tags,)
        Whether a tag may come first, or last.
    """

    transitions: np.ndarray
    start: np.ndarray
    end: np.ndarray

    @classmethod
    def of_scheme(cls, tags: Sequence[str], scheme: str) -> Constraints:
        """Allow what is well formed: ``I-x`` only after ``B-x`` and ``I-x``; with BIOES, ``E-x`` to end it.

        Parameters
        ----------
        tags : sequence of str
            Name of each tag: ``O``, or ``B-x`` and the like.
        scheme : {"BIO", "BIOES"}
        """
        if scheme not in ("BIO", "BIOES"):
            raise ValueError(f"scheme is {scheme!r}; choose BIO or BIOES")
        # The ends of the sentence are like a token outside of chunks.
        allowed = np.array([[_may_follow(before, tag, scheme) for tag in (*tags, "O")] for before in (*tags, "O")])
        return cls(allowed[:-1, :-1], allowed[-1, :-1], allowed[:-1, -1])


def _may_follow(before: str, tag: str, scheme: str) -> bool:
    (prefix, _, kind), (following, _, its_kind) = before.partition("-"), tag.partition("-")
    goes_on = following in ("I", "E")
    is_open = prefix in ("B", "I")
    if scheme == "BIO":
        return not goes_on or (is_open and kind == its_kind)
    return goes_on == is_open and (not goes_on or kind == its_kind)


class CRF:
    """A linear-chain conditional random field (Lafferty, McCallum & Pereira 2001), batch first.

    ``p(tags) = exp(start[y_0] + sum_t emissions[t, y_t] + sum_t transitions[y_{t-1}, y_t] + end[y_{T-1}]) / Z``. Names
    and shapes are those of pytorch-crf. All transitions begin at zero; as long as they stay there, it is a softmax over
    the tags of each token by itself. One object serves one thread at a time.

    Parameters
    ----------
    num_tags : int
    constraints : Constraints, optional
        What is not allowed has probability 0, in training and in decoding.
    dtype : {"float32", "float64"}
    backend : {"cpu", "cuda", "auto"}
    """

    def __init__(
        self,
        num_tags: int,
        constraints: Constraints | None = None,
        *,
        dtype: str = "float32",
        backend: str = "cpu",
    ):
        require_size("num_tags", num_tags)
        require_dtype(dtype)
        self.num_tags = num_tags
        self.dtype = dtype
        self._ops: ModuleType = get_backend(backend)
        shapes = (num_tags, num_tags), (num_tags,), (num_tags,)
        self.parameters = Parameters(
            {name: np.zeros(shape, dtype) for name, shape in zip(_NAMES, shapes, strict=True)}, self._ops
        )
        allowed = [np.ones(shape, bool) for shape in shapes]
        if constraints is not None:
            allowed = [constraints.transitions, constraints.start, constraints.end]
        for name, array, shape in zip(_NAMES, allowed, shapes, strict=True):
            if array.shape != shape:
                raise ValueError(f"constraints of {name} have shape {array.shape}; it must be {shape}")
        self._penalties = self._ops.CRFWeights(
            *(self._ops.as_array(np.where(array, 0, -np.inf), dtype) for array in allowed)
        )
        self._workspaces: dict[tuple[int, int], Any] = {}

    def loss(self, emissions: Any, tags: Any, lengths: Any | None = None) -> tuple[float, Any]:
        """Return the negative log-likelihood of tags, and its gradient.

        Parameters
        ----------
        emissions : (batch, seq, num_tags) array
        tags : (batch, seq) integers from 0 to num_tags - 1
        lengths : (batch,) integers from 0 to seq, optional
            True lengths of sentences that are padded on the right; the padding is not read.

        Returns
        -------
        loss : float, or on the GPU a number that `float` brings here
            Mean over the sentences, in nats; infinite where tags are not allowed.
        d_emissions : (batch, seq, num_tags) array
            Zero beyond the true lengths.

        The gradients of the parameters are written, ``=``, to `grads`.
        """
        emissions, lengths, workspace = self._checked(emissions, lengths)
        tags = self._checked_tags(tags, emissions.shape[:2], lengths)
        gradients = self._ops.CRFWeights(*(self.parameters.gradient(name) for name in _NAMES))
        d_emissions = self._ops.zeros(emissions.shape, self.dtype)
        loss = self._ops.crf_loss(
            self._weights(), self._penalties, emissions, tags, self._on_device(lengths), workspace, gradients,
            d_emissions,
        )  # fmt: skip
        return loss, d_emissions

    def decode(self, emissions: Any, lengths: Any | None = None) -> tuple[Any, Any]:
        """Return the best tags of each sentence (Viterbi 1967), and their score; the lowest number of equal ones wins.

        Parameters
        ----------
        emissions, lengths : as for `loss`

        Returns
        -------
        tags : (batch, seq) int64 array
            -1 beyond the true lengths.
        scores : (batch,) array
        """
        emissions, lengths, workspace = self._checked(emissions, lengths)
        tags = self._ops.zeros(emissions.shape[:2], "int64")
        scores = self._ops.zeros((emissions.shape[0],), self.dtype)
        self._ops.crf_viterbi(
            self._weights(), self._penalties, emissions, self._on_device(lengths), workspace, tags, scores
        )
        return tags, scores

    def marginals(self, emissions: Any, lengths: Any | None = None) -> Any:
        """Return the probability of each tag of each token, (batch, seq, num_tags); zero beyond the true lengths."""
        emissions, lengths, workspace = self._checked(emissions, lengths)
        marginals = self._ops.zeros(emissions.shape, self.dtype)
        self._ops.crf_marginals(
            self._weights(), self._penalties, emissions, self._on_device(lengths), workspace, marginals
        )
        return marginals

    def log_partition(self, emissions: Any, lengths: Any | None = None) -> Any:
        """Return log Z of each sentence, (batch,): of the sum over all its tag sequences."""
        emissions, lengths, workspace = self._checked(emissions, lengths)
        log_partition = self._ops.zeros((emissions.shape[0],), self.dtype)
        self._ops.crf_log_partition(
            self._weights(), self._penalties, emissions, self._on_device(lengths), workspace, log_partition
        )
        return log_partition

    @property
    def grads(self) -> dict[str, np.ndarray]:
        """Gradients of the last `loss`, under the names of `state_dict`."""
        return self.parameters.gradients_to_host()

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copy the parameters, under the names and shapes of pytorch-crf."""
        return self.parameters.to_host()

    def load_state_dict(self, arrays: dict[str, np.ndarray]) -> None:
        """Take over parameters; ValueError if a name or a shape does not match."""
        self.parameters.load(arrays)

    def _weights(self) -> Any:
        return self._ops.CRFWeights(*(self.parameters[name] for name in _NAMES))

    def _on_device(self, lengths: np.ndarray) -> Any:
        return self._ops.as_array(lengths, "int64")

    def _checked(self, emissions: Any, lengths: Any | None) -> tuple[Any, np.ndarray, Any]:
        emissions = self._ops.as_array(emissions, self.dtype)
        if emissions.ndim != 3 or emissions.shape[2] != self.num_tags or 0 in emissions.shape:
            raise ValueError(
                f"emissions have shape {emissions.shape}; it must be (batch, seq, {self.num_tags}), none of them 0"
            )
        batch_size, seq_len = sizes = emissions.shape[:2]
        host = np.full(batch_size, seq_len) if lengths is None else np.asarray(lengths)
        if host.shape != (batch_size,) or host.dtype.kind not in "iu":
            raise ValueError(f"lengths has shape {host.shape} and dtype {host.dtype}; it must be {batch_size} integers")
        if host.min() < 0 or host.max() > seq_len:
            raise ValueError(f"lengths run from {host.min()} to {host.max()}; they must lie between 0 and {seq_len}")
        if sizes not in self._workspaces:
            if len(self._workspaces) == 2:  # as in LSTM: a full batch and the last one of an epoch
                self._workspaces.clear()
            self._workspaces[sizes] = self._ops.crf_workspace(*sizes, self.num_tags, self.dtype)
        return emissions, host, self._workspaces[sizes]

    def _checked_tags(self, tags: Any, shape: tuple[int, ...], lengths: np.ndarray) -> Any:
        host = np.asarray(tags)
        if host.shape != shape or host.dtype.kind not in "iu":
            raise ValueError(f"tags have shape {host.shape} and dtype {host.dtype}; they must be {shape} integers")
        seen = host[np.arange(shape[1]) < lengths[:, None]]
        if seen.size and (seen.min() < 0 or seen.max() >= self.num_tags):
            raise ValueError(
                f"tags run from {seen.min()} to {seen.max()}; they must lie between 0 and {self.num_tags - 1}"
            )
        return self._ops.as_array(host, "int64")
