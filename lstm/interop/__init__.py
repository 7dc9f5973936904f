"""Exchange with other frameworks: torch state dicts in safetensors files, and ONNX.

Enter at `lstm.interop.exchange`.
May import `lstm.forecasting`, `lstm.nn` and `data`; onnx is imported only where it is used.

>>> from gatecast.lstm import interop
>>> layer = interop.load_torch("lstm.safetensors")          # of torch.nn.LSTM(...).state_dict()
>>> interop.save_torch(layer, "again.safetensors")
>>> interop.save_onnx(model, "model.onnx")                  # a fitted Forecaster; needs gatecast[onnx]
"""

from __future__ import annotations

from gatecast.lstm.interop.exchange import load_onnx, load_torch, lstm_of_state_dict, save_onnx, save_torch

__all__ = ["load_onnx", "load_torch", "lstm_of_state_dict", "save_onnx", "save_torch"]
