from __future__ import annotations

import numpy as np
import pytest

from gatecast.lstm.config import TaggerSettings
from gatecast.lstm.nn.crf import Constraints
from gatecast.lstm.tagging.batches import Sentences
from gatecast.lstm.tagging.network import TaggerNetwork
from tests.conftest import get_ops
from tests.gradcheck import central_difference

FEATURE_SIZES = {"word": 6, "casing": 4, "shape": 2, "prefix": 3, "suffix": 3}
TAGS = ("O", "B-a", "I-a")
SIZES = {
    "word_size": 3, "character_size": 2, "character_hidden_size": 2, "casing_size": 1, "affix_size": 1,
    "hidden_size": 3,
}  # fmt: skip


def network(**settings) -> TaggerNetwork:
    settings = TaggerSettings(**{**SIZES, "dtype": "float64", "dropout": 0.0, **settings})
    return TaggerNetwork(FEATURE_SIZES, 5, len(TAGS), settings, Constraints.of_scheme(TAGS, "BIO"))


@pytest.fixture
def batch(rng) -> Sentences:
    features = np.stack([rng.integers(0, size, (2, 4)) for size in FEATURE_SIZES.values()], axis=2)
    return Sentences(
        features=features,
        spelling=np.array([[0, 1, 0, 2], [2, 1, 0, 0]]),
        characters=rng.integers(0, 5, (3, 4)),
        character_lengths=np.array([4, 1, 2]),
        lengths=np.array([4, 2]),
        tags=np.array([[0, 1, 2, 2], [1, 0, 0, 0]]),
    )


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("crf", [True, False])
@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_gradients_agree_with_central_differences(batch, crf, bidirectional, dropout):
    net = network(crf=crf, bidirectional=bidirectional, dropout=dropout, num_layers=2)
    net.backpropagate(batch, None, 7)
    found = net.parameters.gradients_to_host()
    values = net.parameters.to_host()

    def loss() -> float:
        net.parameters.load(values)
        return net.backpropagate(batch, None, 7)[0]  # the step decides what is dropped

    for name in values:
        if name.startswith(("lstm", "speller")) and "l1" in name:
            continue  # the layer's own tests see to them
        np.testing.assert_allclose(found[name], central_difference(loss, values[name]), atol=1e-8, err_msg=name)


def test_without_a_crf_tags_are_chosen_one_by_one(batch):
    net = network(crf=False)
    assert not any(name.startswith("crf") for name in net.parameters)
    assert (net.decode(batch)[1, 2:] == -1).all()


def test_what_stands_beyond_the_end_changes_nothing(batch):
    net = network()
    loss = net.backpropagate(batch, None, 0)[0]
    tags = net.decode(batch)
    batch.features[1, 2:] = 1
    batch.spelling[1, 2:] = 1
    batch.tags[1, 2:] = 1
    batch.characters[1, 1:] = 3
    assert net.backpropagate(batch, None, 0)[0] == loss
    np.testing.assert_array_equal(net.decode(batch), tags)


@pytest.mark.parametrize("bidirectional", [True, False])
def test_the_gpu_trains_and_tags_as_the_cpu_does(batch, bidirectional):
    get_ops("cuda")
    cpu, cuda = (network(backend=backend, dropout=0.3, bidirectional=bidirectional) for backend in ("cpu", "cuda"))
    losses = [float(net.backpropagate(batch, None, 3)[0]) for net in (cpu, cuda)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-9)
    expected = cpu.parameters.gradients_to_host()
    for name, gradient in cuda.parameters.gradients_to_host().items():
        np.testing.assert_allclose(gradient, expected[name], atol=1e-9, err_msg=name)
    np.testing.assert_array_equal(cpu.decode(batch), cuda.decode(batch))
