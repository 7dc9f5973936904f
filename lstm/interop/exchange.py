"""Exchange with other frameworks: torch state dicts in safetensors files, and ONNX."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gatecast.data.errors import InputError
from gatecast.data.store import atomic_file
from gatecast.lstm.nn.biases import with_both_biases
from gatecast.lstm.nn.recurrent import LSTM

if TYPE_CHECKING:
    from gatecast.lstm.forecasting.forecaster import Forecaster

__all__ = ["load_onnx", "load_torch", "lstm_of_state_dict", "save_onnx", "save_torch"]

_WEIGHT = re.compile(r"weight_ih_l(\d+)(_reverse)?")


def load_torch(path: str | Path, prefix: str = "", *, dtype: str = "float32", backend: str = "cpu") -> LSTM:
    """Return the LSTM whose torch state dict is in a safetensors file.

    In torch: ``safetensors.torch.save_file(module.state_dict(), path)``. A pickle (.pt, .pth) is not read, since
    loading one may run any code.

    Parameters
    ----------
    path : path
    prefix : str
        Of the names that belong to the LSTM, as "encoder.lstm." if it is part of a larger module; the others are
        left alone.
    dtype, backend
        As in `LSTM`.

    Raises
    ------
    InputError
        When the file cannot be read or does not hold an LSTM that Gatecast can run.
    """
    arrays = _read_safetensors(Path(path))
    chosen = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
    try:
        return lstm_of_state_dict(chosen, dtype=dtype, backend=backend)
    except ValueError as error:
        where = f"under {prefix!r} " if prefix else ""
        raise InputError(f"{path} holds {where}no LSTM that can be loaded: {error}.") from error


def lstm_of_state_dict(arrays: Mapping[str, np.ndarray], *, dtype: str = "float32", backend: str = "cpu") -> LSTM:
    """Return an LSTM with the sizes and parameters of a torch state dict; one without biases has zeros.

    Raises
    ------
    ValueError
        When it is no state dict of ``torch.nn.LSTM``, or one with a projection (``proj_size``).
    """
    found = [match for name in arrays if (match := _WEIGHT.fullmatch(name))]
    if not found:
        some = ", ".join(sorted(arrays)[:4]) or "no array"
        raise ValueError(f"a state dict of torch.nn.LSTM has a weight_ih_l0, and this one has {some}")
    if any("weight_hr" in name for name in arrays):
        raise ValueError("it has a projection (proj_size), which Gatecast does not have")
    gates, input_size = arrays["weight_ih_l0"].shape if arrays.get("weight_ih_l0", np.zeros(0)).ndim == 2 else (0, 0)
    num_layers = len({int(match[1]) for match in found})
    bidirectional = any(match[2] for match in found)
    if gates == 0 or gates % 4:
        raise ValueError("weight_ih_l0 is not of shape (4 * hidden_size, input_size)")
    if num_layers != 1 + max(int(match[1]) for match in found):
        raise ValueError(f"its layers are not numbered from 0 to {num_layers - 1}")
    layer = LSTM(input_size, gates // 4, num_layers, bidirectional, dtype=dtype, backend=backend)
    biases = {name: array for name, array in layer.state_dict().items() if "bias" in name}
    has_biases = any("bias" in name for name in arrays)
    absent = {} if has_biases else {name: np.zeros_like(array) for name, array in biases.items()}
    layer.load_state_dict({**arrays, **absent})
    return layer


def save_torch(model: LSTM | Forecaster, path: str | Path) -> Path:
    """Write an LSTM's parameters, or those of a forecaster's whole network, as a torch state dict in safetensors.

    In torch, ``module.load_state_dict(safetensors.torch.load_file(path))`` reads it; for an `LSTM` the module is an
    ``nn.LSTM``. A forecaster's names begin with ``lstm.``, ``attention.`` and ``head.``: those of a module with an
    ``nn.LSTM`` called lstm and an ``nn.Linear`` called head. Those of an ensemble have ``members.0.`` and so on before
    that: an ``nn.ModuleList`` called members.
    """
    import safetensors.numpy

    arrays = model.state_dict() if isinstance(model, LSTM) else _network_state(model)
    path = Path(path)
    with atomic_file(path) as temporary:
        temporary.write_bytes(safetensors.numpy.save(arrays))
    return path


def save_onnx(model: Forecaster, path: str | Path) -> Path:
    """Write a fitted forecaster as an ONNX graph of standard operators, checked by ``onnx.checker``.

    Input ``x`` (batch, lookback, columns) and output ``y_hat`` (batch, horizon) are float32. A model that scales its
    windows takes and returns values as they are, and has a second input ``series`` (batch,), int64: the number of each
    window's series among the scalers. Of one that does not, both are scaled. With attention there is a second output
    ``attention`` (batch, heads, lookback). The networks of an ensemble are in one graph, which ends with the mean or
    median of their forecasts and the mean of their attention. Metadata: ``columns``, ``scalers`` of each series,
    ``lookback``, ``horizon``, ``settings`` and ``data_hash``, as JSON.

    Raises
    ------
    InputError
        When onnx is not installed, or the model has not been fitted.
    """
    from gatecast.lstm.interop.onnx_graph import forecaster_graph

    content = forecaster_graph(model).SerializeToString()
    path = Path(path)
    with atomic_file(path) as temporary:
        temporary.write_bytes(content)
    return path


def load_onnx(path: str | Path, *, dtype: str = "float32", backend: str = "cpu") -> LSTM:
    """Return the LSTM layers of an ONNX file: its LSTM operators in order, one for each layer.

    Raises
    ------
    InputError
        When onnx is not installed, or the file has no LSTM, or one that Gatecast cannot run: with peepholes, other
        activations, clipping, coupled gates, or reading in reverse only.
    """
    from gatecast.lstm.interop.onnx_graph import read_model, state_dict_of

    try:
        return lstm_of_state_dict(state_dict_of(read_model(Path(path))), dtype=dtype, backend=backend)
    except ValueError as error:
        raise InputError(f"{path} holds no LSTM that can be loaded: {error}.") from error


def _network_state(model: Forecaster) -> dict[str, np.ndarray]:
    states = [with_both_biases(member.network.parameters.to_host(), np.zeros_like) for member in model.members]
    if len(states) == 1:
        return states[0]
    return {f"members.{number}.{name}": array for number, state in enumerate(states) for name, array in state.items()}


def _read_safetensors(path: Path) -> dict[str, Any]:
    import safetensors
    import safetensors.numpy

    try:
        return safetensors.numpy.load_file(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error}); name a safetensors file.") from error
    except safetensors.SafetensorError as error:
        raise InputError(
            f"{path} is not a safetensors file ({error}); in torch, write one with "
            "safetensors.torch.save_file(module.state_dict(), path)."
        ) from error
