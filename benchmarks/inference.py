"""Inference, compared with ONNX Runtime and torch: the hidden state after the last step of each sequence."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from benchmarks.measure import Case, Plan, installed, require_agreement, take_turns
from benchmarks.results import Comparison
from benchmarks.sizes import Sizes

__all__ = ["cases"]

GROUP = "inference"
PEERS = ("ONNX Runtime", "torch")
_SEQ_LEN = 60
_INPUT_SIZE = 8
_BATCH_SIZES = (1, 32, 256, 1024)
_HIDDEN_SIZES = (64, 128)

# (batch, hidden, peer): ratio at least, ratio aimed at. "The faster peer" of batch 256 means each of them.
_TARGETS = {
    (1, 64, "ONNX Runtime"): (1.2, 1.4),
    (1, 128, "ONNX Runtime"): (1.0, 1.1),
    **{(256, hidden_size, peer): (1.1, 1.3) for hidden_size in _HIDDEN_SIZES for peer in PEERS},
}


def cases(plan: Plan) -> list[Case]:
    """Return one case for each batch and hidden size, with a row for each peer."""
    all_sizes = [Sizes(batch, _SEQ_LEN, _INPUT_SIZE, hidden) for hidden in _HIDDEN_SIZES for batch in _BATCH_SIZES]
    return [Case(f"{GROUP} {sizes}", partial(_compare, sizes, plan)) for sizes in all_sizes]


def _compare(sizes: Sizes, plan: Plan) -> list[Comparison]:
    from gatecast import LSTM

    x = np.random.default_rng(0).normal(size=(sizes.batch_size, sizes.seq_len, sizes.input_size)).astype("float32")
    layer = LSTM(sizes.input_size, sizes.hidden_size)
    weights = layer.state_dict()
    sides: dict[str, Callable[[], np.ndarray]] = {"gatecast": lambda: layer.forward(x, every_step=False)[1][0][0]}
    notes = dict.fromkeys(PEERS, "not installed")
    if installed("onnx") and installed("onnxruntime"):
        sides["ONNX Runtime"] = _onnxruntime_side(sizes, weights, x, plan.threads)
    if installed("torch"):
        sides["torch"] = _torch_side(sizes, weights, x)
    for peer in sides.keys() - {"gatecast"}:
        notes[peer] = f"outputs agree to {require_agreement(sides['gatecast'](), sides[peer]()):.0e}"
    timings = take_turns(sides, plan)
    rows = []
    for peer in PEERS:
        floor, aim = _TARGETS.get((sizes.batch_size, sizes.hidden_size, peer), (None, None))
        rows.append(
            Comparison(
                group=GROUP,
                name=str(sizes),
                peer=peer,
                gatecast=timings["gatecast"],
                other=timings.get(peer),
                flop=sizes.forward_flop(),
                floor=floor,
                aim=aim,
                note=notes[peer],
            )
        )
    return rows


def _torch_side(sizes: Sizes, weights: dict[str, np.ndarray], x: np.ndarray) -> Callable[[], np.ndarray]:
    import torch

    layer = torch.nn.LSTM(sizes.input_size, sizes.hidden_size, batch_first=True)
    layer.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    layer.eval()
    tensor = torch.from_numpy(x)

    def forward() -> np.ndarray:
        with torch.inference_mode():
            _, (h_n, _) = layer(tensor)
        return h_n[0].numpy()

    return forward


def _onnxruntime_side(
    sizes: Sizes, weights: dict[str, np.ndarray], x: np.ndarray, threads: int
) -> Callable[[], np.ndarray]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    model = _onnx_model(sizes, weights)
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    # ONNX's LSTM is time-major; the transposed copy is made beforehand and not charged to it.
    feed = {"X": np.ascontiguousarray(x.swapaxes(0, 1))}
    return lambda: session.run(["Y_h"], feed)[0][0]


def _onnx_model(sizes: Sizes, weights: dict[str, np.ndarray]) -> bytes:
    """Return a model with one LSTM node, X (T, B, I) to Y_h (1, B, H)."""
    import onnx

    helper = onnx.helper
    kind = onnx.TensorProto.FLOAT
    biases = [_in_onnx_order(weights[name]) for name in ("bias_ih_l0", "bias_hh_l0")]
    constants = {
        "W": _in_onnx_order(weights["weight_ih_l0"]),
        "R": _in_onnx_order(weights["weight_hh_l0"]),
        "B": np.concatenate(biases, axis=1),
    }
    node = helper.make_node("LSTM", ["X", *constants], ["", "Y_h"], hidden_size=sizes.hidden_size)
    graph = helper.make_graph(
        [node],
        "lstm",
        [helper.make_tensor_value_info("X", kind, [sizes.seq_len, sizes.batch_size, sizes.input_size])],
        [helper.make_tensor_value_info("Y_h", kind, [1, sizes.batch_size, sizes.hidden_size])],
        [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def _in_onnx_order(array: np.ndarray) -> np.ndarray:
    """Convert the gate order i, f, g, o to ONNX's i, o, f, c, and add its axis of directions in front."""
    i, f, g, o = np.split(array, 4)
    return np.concatenate([i, o, f, g])[None]
