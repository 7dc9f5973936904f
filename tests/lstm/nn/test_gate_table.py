from __future__ import annotations

import numpy as np
import pytest

from gatecast.kernels import get_backend
from gatecast.kernels.lookup import Lookup
from gatecast.lstm.nn.gate_table import GateTable
from gatecast.lstm.nn.layers import Embedding
from gatecast.lstm.nn.parameters import Parameters
from gatecast.lstm.nn.recurrent import LSTM
from tests.conftest import get_ops
from tests.reference import relative_error


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-9)])
@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "dropout": 0.3, "recurrent_dropout": 0.3}])
def test_results_and_all_gradients_are_those_of_the_embeddings(rng, options, dtype, tolerance):
    embedding = Embedding(7, 5, dtype=dtype, seed=rng)
    lstm = LSTM(5, 9, **options, dtype=dtype, seed=rng)
    ops = get_backend("cpu")
    whole = Parameters.join({"embedding": embedding.parameters, "lstm": lstm.parameters}, ops)
    table = GateTable(embedding, lstm, ops)
    indices = rng.integers(0, 7, (20, 6))
    lengths = rng.integers(1, 7, 20)
    state = tuple(rng.normal(size=(lstm.num_layers, 20, 9)).astype(dtype) for _ in range(2))
    dy = rng.normal(size=(20, 6, 9)).astype(dtype)

    results = []
    for reader in (embedding, table):
        whole.gradients[:] = 7  # written, not added to
        y, final = lstm.forward(reader.forward(indices), state, lengths, training=True, step=3)
        d_inputs, d_first = lstm.backward(dy, state)
        reader.backward(d_inputs)
        results.append([y, *final, *d_first, *(whole.gradient(name).copy() for name in whole)])
        accumulated = whole.gradient("embedding.weight").copy()
        reader.backward(d_inputs, accumulate=True)
        assert relative_error(whole.gradient("embedding.weight"), 2 * accumulated) < tolerance
    for by_embedding, by_table in zip(*results, strict=True):
        assert relative_error(by_table, by_embedding) < tolerance


def test_the_table_holds_what_each_entry_adds_to_the_gates(rng):
    embedding = Embedding(4, 3, dtype="float64", seed=rng)
    lstm = LSTM(3, 2, dtype="float64", seed=rng)
    indices = np.array([[0, 3, 3]])
    lookup = GateTable(embedding, lstm, get_backend("cpu")).forward(indices)
    weights = lstm.parameters
    expected = embedding.parameters["weight"] @ weights["weight_ih_l0"].T + weights["bias_ih_l0"]
    assert isinstance(lookup, Lookup)
    np.testing.assert_allclose(lookup.table, expected, rtol=1e-13)
    np.testing.assert_array_equal(lookup.indices, indices)


def test_an_entry_that_the_vocabulary_does_not_have_is_refused():
    lstm = LSTM(3, 2)
    table = GateTable(Embedding(4, 3), lstm, get_backend("cpu"))
    with pytest.raises(ValueError, match="from 0 to 4; they must lie between 0 and 3"):
        lstm.forward(table.forward(np.array([[0, 4]])))


@pytest.mark.parametrize("backend", ["cpu", "cuda"])
def test_without_its_gradient_what_the_table_stands_for_is_left_alone(backend):
    ops = get_ops(backend)
    lstm = LSTM(3, 2, backend=backend)
    table = GateTable(Embedding(4, 3, backend=backend), lstm, ops)
    ops.copy_into(np.full(len(lstm.parameters.gradients), 7, "float32"), lstm.parameters.gradients)
    lstm.forward(table.forward(np.array([[0, 3], [1, 1]])), training=True)
    assert lstm.backward(np.ones((2, 2, 2), "float32"), input_grad=False)[0] is None
    gradients = lstm.parameters.gradients_to_host()
    assert (gradients["weight_ih_l0"] == 7).all()
    assert (gradients["bias_ih_l0"] == 7).all()
    assert not (gradients["weight_hh_l0"] == 7).any()


def test_indices_may_be_written_to_before_the_backward_pass(rng):
    embedding = Embedding(4, 3, seed=rng)
    lstm = LSTM(3, 2, seed=rng)
    table = GateTable(embedding, lstm, get_backend("cpu"))
    gradients = []
    for changes in (False, True):
        indices = np.array([[0, 3, 1]])
        lstm.forward(table.forward(indices), training=True)
        if changes:
            indices[:] = 2
        table.backward(lstm.backward(np.ones((1, 3, 2), "float32"))[0])
        gradients.append(embedding.parameters.gradients.copy())
    np.testing.assert_array_equal(*gradients)


def test_a_table_is_worth_it_where_each_shard_reads_every_entry_twice():
    table = GateTable(Embedding(64, 3), LSTM(3, 2), get_backend("cpu"))
    assert table.is_worth(8, 16)
    assert not table.is_worth(8, 15)
    assert table.is_worth(1024, 8)  # 64 shards of 16
    assert not table.is_worth(1024, 7)
