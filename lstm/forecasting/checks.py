"""What a forecaster asks of what it is given: sequences, a model to start from, a number of samples."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from gatecast.data.errors import InputError
from gatecast.data.sequences.scaling import Scaler
from gatecast.data.sequences.sequences import Sequences
from gatecast.data.sequences.splits import ends_of
from gatecast.lstm.config import ForecasterSettings
from gatecast.lstm.forecasting.network import Network

__all__ = [
    "has_learnt_validation", "hash_of_weights", "require_finite", "require_known", "require_same_gaps",
    "require_same_series", "require_samples", "require_sizes", "weights_to_start",
]  # fmt: skip


def require_sizes(sequences: Sequences, settings: ForecasterSettings) -> None:
    """Raise InputError if sequences were built with other sizes, scaling or transform than a model's chosen ones."""
    for name in ("lookback", "horizon", "scaling", "transform"):
        theirs = getattr(sequences.settings, name)
        ours = getattr(settings, name)
        if theirs != ours:
            raise InputError(f"The sequences have {name} {theirs}, but the model has {ours}; build them again.")


def require_known(sequences: Sequences, columns: tuple[str, ...], scalers: Mapping[str, Scaler]) -> None:
    """Raise InputError if sequences have other columns or scalers than those a model was trained on."""
    if sequences.columns != columns:
        raise InputError(
            f"The sequences have the columns {', '.join(sequences.columns)}, but the model was trained on "
            f"{', '.join(columns)}; build them again."
        )
    for name, scaler in zip(sequences.unique_ids, sequences.scalers, strict=True):
        if name not in scalers or scaler.to_dict() != scalers[name].to_dict():
            raise InputError(f"{name} is not scaled as in training; build the sequences with the model's scalers.")


def require_finite(y_hat: np.ndarray, unique_ids: Sequence[str], series: np.ndarray | None = None) -> np.ndarray:
    """Return forecasts (n, ...) if all are finite; `series` has the number of the series of each, by default 0 to n-1.

    Raises
    ------
    InputError
        One is not; it names the first such series.
    """
    wrong = np.flatnonzero(~np.isfinite(y_hat).reshape(len(y_hat), -1).all(axis=1))
    if len(wrong):
        name = unique_ids[wrong[0] if series is None else series[wrong[0]]]
        raise InputError(
            f"The forecast of {name} is not a finite number, since its values are too large, or differ too much in"
            " size; correct them, or give them in another unit."
        )
    return y_hat


def require_samples(n_samples: int, settings: ForecasterSettings, dropout: bool) -> None:
    """Raise InputError if so many samples make no interval, or a model cannot draw any."""
    if n_samples < 2:
        raise InputError(f"n_samples is {n_samples}; an interval needs at least 2 samples, better 100.")
    if dropout and not settings.has_dropout:
        raise InputError(
            "The model was trained without dropout, so all samples would be alike; leave n_samples out of predict, or"
            " dropout out of sample, or train it with dropout or recurrent_dropout."
        )


def has_learnt_validation(
    boundaries: Mapping[str, str], own: Mapping[str, Mapping[str, str]], sequences: Sequences
) -> bool:
    """Tell whether a model whose training ended there has learnt rows that validate in these sequences."""
    theirs = ends_of("train_end", sequences.unique_ids, boundaries, own)
    return bool((theirs > sequences.ends("train_end")).any())


def require_same_series(theirs: tuple[str, ...], ours: tuple[str, ...], settings: ForecasterSettings) -> None:
    """Raise InputError if a model to start from has learnt vectors of other series than those of the data."""
    if settings.series_embedding and theirs != ours:
        raise InputError(
            "The model to start from has learnt a vector for each of its series, and the data has other series; start"
            " from none, or leave series_embedding out."
        )


def require_same_gaps(theirs: bool, ours: bool) -> None:
    """Raise InputError if one of the model to start from and the data knows missing values, and the other does not."""
    if theirs != ours:
        of_start, of_data = ("with", "none") if theirs else ("without", "some")
        raise InputError(
            f"The model to start from was trained on rows {of_start} missing values, and the data has {of_data}; start"
            " from none."
        )


def weights_to_start(
    start: Network, columns: tuple[str, ...], network: Network, wanted: tuple[str, ...]
) -> dict[str, np.ndarray]:
    """Return the weights of a network to start from.

    Parameters
    ----------
    start : Network
    columns : tuple of str
        What it was trained on.
    network : Network
        One like that to be trained; it takes the weights over.
    wanted : tuple of str
        Columns of the data to train on.

    Raises
    ------
    InputError
        They do not fit.
    """
    weights = start.parameters.to_host()
    if columns != wanted:
        raise InputError(
            f"The model to start from was trained on the columns {', '.join(columns)}, but the data has "
            f"{', '.join(wanted)}; start from another model, or from none."
        )
    try:
        network.parameters.load(weights)
    except ValueError as error:
        raise InputError(
            f"The model to start from has weights of other shapes ({error}); choose its settings, or start from none."
        ) from error
    return weights


def hash_of_weights(weights: Mapping[str, np.ndarray]) -> str:
    """Return the SHA-256 of weights, in hex."""
    return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in weights.values())).hexdigest()
