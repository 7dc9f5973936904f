from __future__ import annotations

import numpy as np
import pytest

from kernels import get_backend
from kernels.lookup import Lookup
from lstm.gate_table import GateTable
from lstm.layers import Embedding
from lstm.parameters import Parameters
from lstm.recurrent import LSTM
from tests.reference import relative_error


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-9)])
@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "dropout": 0.3, "recurrent_dropout": 0.3}])
def test_results_and_all_gradients_are_those_of_the_embeddings(rng, options, dtype, tolerance):
    embedding = Embedding(7, 5, dtype=dtype, seed=rng)
    lstm = LSTM(5, 9, **options, dtype=dtype, seed=rng)
    ops = get_backend("cpu")
    whole = Parameters.join({"embedding": embedding.parameters, "lstm": lstm.parameters}, ops)
    table = GateTable(embedding, lstm, ops)
    indices, lengths = rng.integers(0, 7, (20, 6)), rng.integers(1, 7, 20)
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
    embedding, lstm = Embedding(4, 3, dtype="float64", seed=rng), LSTM(3, 2, dtype="float64", seed=rng)
    indices = np.array([[0, 3, 3]])
    lookup = GateTable(embedding, lstm, get_backend("cpu")).forward(indices)
    weights = lstm.parameters
    expected = embedding.parameters["weight"] @ weights["weight_ih_l0"].T + weights["bias_ih_l0"]
    assert isinstance(lookup, Lookup)
    np.testing.assert_allclose(lookup.table, expected, rtol=1e-13)
    np.testing.assert_array_equal(lookup.indices, indices)


def test_an_entry_that_the_vocabulary_does_not_have_is_refused():
    table = GateTable(Embedding(4, 3), LSTM(3, 2), get_backend("cpu"))
    with pytest.raises(ValueError, match="from 0 to 4; they must lie between 0 and 3"):
        table.forward(np.array([[0, 4]]))
