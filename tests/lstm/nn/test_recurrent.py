from __future__ import annotations

import numpy as np
import pytest

from gatecast.kernels import get_backend
from gatecast.kernels.lookup import Lookup
from gatecast.lstm.nn.parameters import Parameters
from gatecast.lstm.nn.recurrent import LSTM
from gatecast.lstm.training.optim import Adam
from tests.gradcheck import central_difference
from tests.lstm.oracle import draw, oracle_backward, oracle_forward
from tests.reference import relative_error

DTYPES = [("float32", 1e-5), ("float64", 1e-9)]


def configurations():
    """Two dozen of sizes: (batch, seq, input_size, hidden_size, num_layers, whether a state comes in)."""
    rng = np.random.default_rng(7)
    drawn = [
        (*(int(rng.integers(1, most)) for most in (20, 12, 10, 14)), 1 + number % 3, bool(number % 2))
        for number in range(21)
    ]
    return [*drawn, (1, 1, 1, 1, 1, False), (70, 5, 3, 16, 2, True), (9, 40, 2, 33, 1, True)]


@pytest.mark.parametrize(("dtype", "tolerance"), DTYPES)
@pytest.mark.parametrize("sizes", configurations(), ids=str)
def test_forward_and_every_gradient_agree_with_the_oracle(rng, sizes, dtype, tolerance):
    batch_size, seq_len, input_size, hidden_size, num_layers, with_state = sizes
    layer = LSTM(input_size, hidden_size, num_layers, dtype=dtype, seed=rng)
    x = draw(rng, dtype, batch_size, seq_len, input_size)
    state_shape = (num_layers, batch_size, hidden_size)
    h_0, c_0 = draw(rng, dtype, *state_shape) * with_state, draw(rng, dtype, *state_shape) * with_state
    dy = draw(rng, dtype, batch_size, seq_len, hidden_size)
    dh_n = draw(rng, dtype, *state_shape)
    dc_n = draw(rng, dtype, *state_shape)
    layer.parameters.gradients[:] = 99  # written, not added to

    y, (h_n, c_n) = layer.forward(x, (h_0, c_0) if with_state else None, training=True)
    dx, (dh_0, dc_0) = layer.backward(dy, (dh_n, dc_n))

    y_exact, h_exact, c_exact, trace = oracle_forward(layer.state_dict(), num_layers, x, h_0, c_0)
    dx_exact, dh_exact, dc_exact, gradients = oracle_backward(trace, dy.astype(np.float64), dh_n, dc_n)
    results = {"y": y, "h_n": h_n, "c_n": c_n, "dx": dx, "dh_0": dh_0, "dc_0": dc_0, **layer.grads}
    exact = {"y": y_exact, "h_n": h_exact, "c_n": c_exact, "dx": dx_exact, "dh_0": dh_exact, "dc_0": dc_exact}
    exact |= gradients
    assert set(results) == set(exact)
    assert {array.dtype.name for array in results.values()} == {dtype}
    errors = {name: relative_error(result, exact[name]) for name, result in results.items()}
    assert max(errors.values()) <= tolerance, errors


def test_gradients_agree_with_central_differences(rng):
    layer = LSTM(3, 4, 2, dtype="float64", seed=1)
    x = rng.standard_normal((2, 5, 3))
    h_0 = rng.standard_normal((2, 2, 4))
    c_0 = rng.standard_normal((2, 2, 4))
    dy = rng.standard_normal((2, 5, 4))
    dh_n = rng.standard_normal((2, 2, 4))
    dc_n = rng.standard_normal((2, 2, 4))

    def loss():
        layer.parameters.changed()
        y, (h_n, c_n) = layer.forward(x, (h_0, c_0))
        return float((y * dy).sum() + (h_n * dh_n).sum() + (c_n * dc_n).sum())

    layer.forward(x, (h_0, c_0), training=True)
    dx, (dh_0, dc_0) = layer.backward(dy, (dh_n, dc_n))
    gradients = layer.parameters.gradients.copy()
    for gradient, array in ((dx, x), (dh_0, h_0), (dc_0, c_0), (gradients, layer.parameters.values)):
        assert relative_error(gradient, central_difference(loss, array)) <= 1e-8


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_state_carried_over_two_calls_equals_one_long_call(rng, dtype):
    layer = LSTM(3, 6, 2, dtype=dtype)
    x = draw(rng, dtype, 5, 11, 3)
    y, (h_n, c_n) = layer.forward(x)
    y_first, state = layer.forward(x[:, :4])
    y_second, (h_second, c_second) = layer.forward(x[:, 4:], state)
    assert np.array_equal(y, np.concatenate([y_first, y_second], axis=1))
    assert np.array_equal(h_n, h_second)
    assert np.array_equal(c_n, c_second)


def test_gradient_of_a_long_call_is_that_of_two_calls_joined_by_the_state(rng):
    layer = LSTM(3, 4, dtype="float64")
    x = rng.standard_normal((2, 9, 3))
    dy = rng.standard_normal((2, 9, 4))
    layer.forward(x, training=True)
    dx, _ = layer.backward(dy)
    whole = layer.grads
    _, state = layer.forward(x[:, :5])
    layer.forward(x[:, 5:], state, training=True)
    dx_second, dstate = layer.backward(dy[:, 5:])
    second = layer.grads
    layer.forward(x[:, :5], training=True)
    dx_first, _ = layer.backward(dy[:, :5], dstate)
    np.testing.assert_allclose(np.concatenate([dx_first, dx_second], axis=1), dx, atol=1e-13)
    for name, gradient in layer.grads.items():
        np.testing.assert_allclose(gradient + second[name], whole[name], atol=1e-13)


def test_every_step_false_gives_the_same_state_and_no_y(rng):
    layer = LSTM(3, 4, 2, dtype="float64")
    x = rng.standard_normal((3, 6, 3))
    y, (h_n, c_n) = layer.forward(x)
    nothing, (h_last, c_last) = layer.forward(x, every_step=False)
    assert nothing is None
    assert np.array_equal(h_n, h_last)
    assert np.array_equal(c_n, c_last)
    assert np.array_equal(y[:, -1], h_n[-1])


def test_no_dy_is_a_dy_of_zeros_and_input_grad_false_changes_nothing_else(rng):
    layer = LSTM(3, 4, 2, dtype="float64")
    x = rng.standard_normal((3, 6, 3))
    dh_n = rng.standard_normal((2, 3, 4))
    dc_n = rng.standard_normal((2, 3, 4))
    layer.forward(x, training=True)
    _, (dh_0, _) = layer.backward(np.zeros((3, 6, 4)), (dh_n, dc_n))
    gradients = layer.grads
    layer.forward(x, training=True)
    dx, (dh_other, _) = layer.backward(None, (dh_n, dc_n), input_grad=False)
    assert dx is None
    np.testing.assert_allclose(dh_other, dh_0, rtol=1e-12, atol=1e-14)
    for name, gradient in layer.grads.items():
        np.testing.assert_allclose(gradient, gradients[name], rtol=1e-12, atol=1e-14)


def test_rows_of_a_batch_do_not_touch_each_other(rng):
    layer = LSTM(3, 7, 2, dtype="float64")
    x = rng.standard_normal((19, 6, 3))
    y, _ = layer.forward(x)
    x[4] = np.nan
    poisoned, _ = layer.forward(x)
    assert np.isnan(poisoned[4]).all()
    assert np.array_equal(np.delete(poisoned, 4, axis=0), np.delete(y, 4, axis=0))


def test_gates_are_the_activations_of_each_step(rng):
    layer = LSTM(2, 3, dtype="float64")
    x = rng.standard_normal((9, 4, 2))
    layer.forward(x, training=True)
    gates = layer.last_gates()
    *_, trace = oracle_forward(layer.state_dict(), 1, x, np.zeros((1, 9, 3)), np.zeros((1, 9, 3)))
    for place, name in enumerate("ifgo", start=3):
        expected = np.stack([step[place] for step in trace[0][2]], axis=1)
        assert relative_error(gates[name], expected) <= 1e-12
    kept = gates["i"].copy()
    layer.forward(-x, training=True)
    assert np.array_equal(gates["i"], kept)


def test_state_dict_has_the_names_and_shapes_of_torch():
    state = LSTM(3, 5, 2).state_dict()
    assert {name: array.shape for name, array in state.items()} == {
        "weight_ih_l0": (20, 3),
        "weight_hh_l0": (20, 5),
        "bias_ih_l0": (20,),
        "bias_hh_l0": (20,),
        "weight_ih_l1": (20, 5),
        "weight_hh_l1": (20, 5),
        "bias_ih_l1": (20,),
        "bias_hh_l1": (20,),
    }
    assert not state["bias_hh_l1"].any()


def test_loading_adds_the_two_biases_and_round_trips(rng):
    layer = LSTM(3, 4, 2, seed=1)
    other = LSTM(3, 4, 2, seed=2)
    x = draw(rng, "float32", 2, 5, 3)
    state = layer.state_dict()
    split = {name: array / 2 if "bias_ih" in name else array for name, array in state.items()}
    split |= {name: state[name.replace("hh", "ih")] / 2 for name in state if "bias_hh" in name}
    before = {name: array.copy() for name, array in split.items()}
    other.load_state_dict(split)
    assert np.array_equal(other.forward(x)[0], layer.forward(x)[0])
    assert all(np.array_equal(split[name], before[name]) for name in split)
    assert np.array_equal(other.state_dict()["bias_ih_l1"], state["bias_ih_l1"])


@pytest.mark.parametrize(
    ("name", "replacement"),
    [
        ("weight_hh_l0", None),
        ("bias_ih_l1", None),
        ("weight_ih_l0", np.zeros((16, 4), "float32")),
        ("bias_hh_l0", np.zeros(1, "float32")),
        ("bias_hh_l0", np.zeros(17, "float32")),
        ("bias_ih_l0", np.zeros((16, 1), "float32")),
        ("weight_ih_l2", np.zeros((16, 3), "float32")),
        ("bias_hh_l2", np.zeros(16, "float32")),
    ],
)
def test_a_state_dict_that_does_not_fit_is_refused_by_name_and_changes_nothing(name, replacement):
    layer = LSTM(3, 4, 2, seed=1)
    before = layer.parameters.values.copy()
    arrays = LSTM(3, 4, 2, seed=2).state_dict()
    if replacement is None:
        del arrays[name]
    else:
        arrays[name] = replacement
    with pytest.raises(ValueError, match=name.replace("bias_ih_l0", "bias_.._l0")):
        layer.load_state_dict(arrays)
    assert np.array_equal(layer.parameters.values, before)


def test_the_two_biases_of_a_gradient_are_equal_and_copies(rng):
    layer = LSTM(3, 4, dtype="float64")
    y, _ = layer.forward(rng.standard_normal((2, 5, 3)), training=True)
    layer.backward(np.ones_like(y))
    gradients = layer.grads
    assert np.array_equal(gradients["bias_ih_l0"], gradients["bias_hh_l0"])
    assert list(gradients) == list(layer.state_dict())
    gradients["bias_hh_l0"][:] = 0
    assert gradients["bias_ih_l0"].any()
    assert layer.grads["bias_hh_l0"].any()


def test_a_later_call_does_not_change_an_earlier_result(rng):
    layer = LSTM(3, 4, 2, dtype="float64")
    x = rng.standard_normal((3, 5, 3))
    dy = rng.standard_normal((3, 5, 4))

    def run(sign):
        y, (h_n, c_n) = layer.forward(sign * x, training=True)
        dx, (dh_0, dc_0) = layer.backward(sign * dy)
        return [y, h_n, c_n, dx, dh_0, dc_0, *layer.grads.values(), *layer.state_dict().values()]

    results = run(1)
    kept = [array.copy() for array in results]
    run(-2)
    layer.parameters.values[:] = 0
    layer.parameters.changed()
    layer.forward(x)
    assert all(np.array_equal(result, copy) for result, copy in zip(results, kept, strict=True))


def test_inputs_are_left_as_they_are(rng):
    layer = LSTM(3, 4, 2, dtype="float64")
    arrays = [
        rng.standard_normal(shape) for shape in ((3, 5, 3), (2, 3, 4), (2, 3, 4), (3, 5, 4), (2, 3, 4), (2, 3, 4))
    ]
    kept = [array.copy() for array in arrays]
    x, h_0, c_0, dy, dh_n, dc_n = arrays
    layer.forward(x, (h_0, c_0), training=True)
    layer.backward(dy, (dh_n, dc_n))
    assert all(np.array_equal(array, copy) for array, copy in zip(arrays, kept, strict=True))


def test_arrays_of_another_dtype_or_layout_are_converted(rng):
    layer = LSTM(3, 4)
    x = np.asfortranarray(rng.standard_normal((3, 2, 3)))
    dy = rng.standard_normal((4, 2, 3)).T
    y, _ = layer.forward(x, training=True)
    dx, _ = layer.backward(dy)
    grads = layer.grads
    y_plain, _ = layer.forward(np.ascontiguousarray(x, "float32"), training=True)
    dx_plain, _ = layer.backward(np.ascontiguousarray(dy, "float32"))
    assert y.dtype == dx.dtype == np.float32
    assert np.array_equal(y, y_plain)
    assert np.array_equal(dx, dx_plain)
    assert all(np.array_equal(gradient, layer.grads[name]) for name, gradient in grads.items())


def test_backward_serves_once_and_only_after_a_training_pass(rng):
    layer = LSTM(3, 4)
    x = draw(rng, "float32", 2, 5, 3)
    dy = draw(rng, "float32", 2, 5, 4)
    with pytest.raises(RuntimeError, match=r"forward\(training=True\)"):
        layer.backward(dy)
    layer.forward(x)
    with pytest.raises(RuntimeError, match=r"forward\(training=True\)"):
        layer.backward(dy)
    layer.forward(x, training=True)
    layer.backward(dy)
    with pytest.raises(RuntimeError, match="once"):
        layer.backward(dy)
    with pytest.raises(RuntimeError, match="last_gates"):
        layer.last_gates()


def test_an_evaluation_between_forward_and_backward_cannot_spoil_the_gradient(rng):
    layer = LSTM(3, 4)
    x = draw(rng, "float32", 2, 5, 3)
    layer.forward(x, training=True)
    layer.forward(-x)  # same sizes, so the same workspace
    with pytest.raises(RuntimeError, match="forward"):
        layer.backward(draw(rng, "float32", 2, 5, 4))


def test_train_and_eval_set_the_default(rng):
    layer = LSTM(3, 4)
    x = draw(rng, "float32", 2, 5, 3)
    dy = draw(rng, "float32", 2, 5, 4)
    layer.train()
    layer.forward(x)
    layer.backward(dy)
    layer.eval()
    layer.forward(x)
    with pytest.raises(RuntimeError, match="forward"):
        layer.backward(dy)


def test_many_sizes_in_turn_give_the_same_as_each_alone(rng):
    layer = LSTM(3, 4, 2, dtype="float64")
    inputs = [rng.standard_normal((batch_size, seq_len, 3)) for batch_size, seq_len in ((9, 4), (2, 4), (9, 7), (9, 4))]
    together = [layer.forward(x)[0] for x in inputs]
    for x, y in zip(inputs, together, strict=True):
        assert np.array_equal(LSTM(3, 4, 2, dtype="float64").forward(x)[0], y)


LOOKUP = Lookup(np.zeros((3, 8), "float32"), np.array([[0, 2, 1]]))


@pytest.mark.parametrize(
    ("options", "lookup", "message"),
    [
        ({"bidirectional": True}, LOOKUP, "in one direction"),
        ({"input_dropout": 0.1}, LOOKUP, "without dropout on inputs"),
        ({}, LOOKUP._replace(table=np.zeros((3, 7), "float32")), r"\(vocabulary, 8\)"),
        ({}, LOOKUP._replace(indices=np.zeros((2, 0), int)), "none of them 0"),
        ({}, LOOKUP._replace(indices=np.zeros(2, int)), r"\(batch, seq\)"),
        ({}, LOOKUP._replace(table=np.zeros((0, 8), "float32")), "none of them 0"),
        ({}, LOOKUP._replace(indices=[[0, 3]]), "from 0 to 3; they must lie between 0 and 2"),
        ({}, LOOKUP._replace(indices=[[-1, 2]]), "from -1 to 2"),
        ({}, LOOKUP._replace(indices=[[0.5, 1]]), "must be integers"),
    ],
)
def test_a_lookup_that_does_not_fit_is_refused(options, lookup, message):
    layer = LSTM(3, 2, **options)
    with pytest.raises(ValueError, match=message):
        layer.forward(lookup, training=True)


@pytest.mark.parametrize("shape", [(2, 5, 4), (5, 3), (2, 5, 3, 1), (0, 5, 3), (2, 0, 3)])
def test_an_input_of_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match=r"it must be \(batch, seq, 3\)"):
        LSTM(3, 4).forward(np.zeros(shape, "float32"))


@pytest.mark.parametrize("shape", [(1, 2, 4), (2, 3, 4), (2, 2, 5), (2, 4)])
@pytest.mark.parametrize("place", [0, 1])
def test_a_state_of_another_shape_is_refused(shape, place):
    state = [np.zeros((2, 2, 4), "float32"), np.zeros((2, 2, 4), "float32")]
    state[place] = np.zeros(shape, "float32")
    with pytest.raises(ValueError, match=f"state {'hc'[place]} has shape"):
        LSTM(3, 4, 2).forward(np.zeros((2, 5, 3), "float32"), tuple(state))


@pytest.mark.parametrize("shape", [(2, 5, 3), (2, 4, 4), (1, 5, 4), (2, 4), (2, 6, 4)])
def test_a_gradient_of_another_shape_is_refused_and_backward_can_be_called_again(shape):
    layer = LSTM(3, 4)
    layer.forward(np.zeros((2, 5, 3), "float32"), training=True)
    with pytest.raises(ValueError, match=r"it must be \(2, 5, 4\)"):
        layer.backward(np.zeros(shape, "float32"))
    with pytest.raises(ValueError, match=r"it must be \(1, 2, 4\)"):
        layer.backward(None, (np.zeros((1, 1, 4), "float32"), np.zeros((1, 1, 4), "float32")))
    dx, _ = layer.backward(np.zeros((2, 5, 4), "float32"))
    assert dx.shape == (2, 5, 3)


@pytest.mark.parametrize("sizes", [(0, 4, 1), (3, 0, 1), (3, 4, 0), (3, -4, 1)])
def test_sizes_below_one_are_refused(sizes):
    with pytest.raises(ValueError, match="must be a whole number of at least 1"):
        LSTM(*sizes)


def test_an_unknown_dtype_or_backend_is_refused():
    with pytest.raises(ValueError, match="float16"):
        LSTM(3, 4, dtype="float16")
    with pytest.raises(ValueError, match="tpu"):
        LSTM(3, 4, backend="tpu")


def test_the_seed_decides_the_weights():
    first, again, other = (LSTM(3, 4, seed=seed).parameters.values for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("change", ["load", "optimizer", "join"])
def test_a_forward_pass_after_a_change_of_the_parameters_uses_the_new_ones(rng, change):
    layer = LSTM(3, 4, seed=1)
    x = rng.standard_normal((1, 5, 3)).astype("float32")
    before, _ = layer.forward(x)
    assert np.array_equal(layer.forward(x)[0], before)
    if change == "load":
        layer.load_state_dict(LSTM(3, 4, seed=2).state_dict())
    elif change == "optimizer":
        layer.parameters.gradients[:] = 1
        Adam(layer.parameters, get_backend("cpu")).step(0.1)
    else:
        whole = Parameters.join({"lstm": layer.parameters}, get_backend("cpu"))
        whole.set_flat(LSTM(3, 4, seed=2).parameters.values)
    fresh = LSTM(3, 4, seed=9)
    fresh.load_state_dict(layer.state_dict())
    after, _ = layer.forward(x)
    assert not np.array_equal(after, before)
    assert np.array_equal(after, fresh.forward(x)[0])
