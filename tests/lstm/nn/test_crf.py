from __future__ import annotations

import itertools

import numpy as np
import pytest

from gatecast import CRF, Constraints

BIO = ("O", "B-a", "I-a", "B-b", "I-b")
BIOES = ("O", "B-a", "I-a", "E-a", "S-a", "B-b", "E-b", "S-b", "I-b")


def well_formed(tags, scheme: str) -> bool:
    """Read a sequence tag by tag, as a person would."""
    kind = None
    for tag in tags:
        prefix, _, now = tag.partition("-")
        if prefix in ("I", "E") and now != kind:
            return False
        if scheme == "BIOES" and kind is not None and prefix not in ("I", "E"):
            return False
        kind = now if prefix in ("B", "I") else None
    return scheme == "BIO" or kind is None


@pytest.mark.parametrize(("names", "scheme"), [(BIO, "BIO"), (BIOES, "BIOES")])
def test_a_scheme_allows_what_is_well_formed_and_nothing_else(names, scheme):
    allowed = Constraints.of_scheme(names, scheme)
    for length in (1, 2, 3):
        for tags in itertools.product(range(len(names)), repeat=length):
            found = allowed.start[tags[0]] and allowed.end[tags[-1]]
            found = found and all(allowed.transitions[pair] for pair in itertools.pairwise(tags))
            assert found == well_formed([names[tag] for tag in tags], scheme)


def test_constrained_decoding_gives_well_formed_tags(rng):
    crf = CRF(len(BIOES), Constraints.of_scheme(BIOES, "BIOES"))
    tags, _ = crf.decode(rng.normal(size=(20, 7, len(BIOES))), lengths := rng.integers(1, 8, 20))
    for row, length in zip(tags, lengths, strict=True):
        assert well_formed([BIOES[tag] for tag in row[:length]], "BIOES")


def test_without_transitions_it_is_a_softmax(rng):
    crf = CRF(4, dtype="float64")
    emissions = rng.normal(size=(3, 5, 4))
    softmax = np.exp(emissions) / np.exp(emissions).sum(axis=2, keepdims=True)
    np.testing.assert_allclose(crf.marginals(emissions), softmax, atol=1e-12)
    np.testing.assert_array_equal(crf.decode(emissions)[0], emissions.argmax(axis=2))
    tags = rng.integers(0, 4, (3, 5))
    expected = -np.log(np.take_along_axis(softmax, tags[..., None], 2)).sum() / 3
    assert crf.loss(emissions, tags)[0] == pytest.approx(expected)


def test_an_unallowed_sequence_costs_infinitely_much():
    crf = CRF(len(BIO), Constraints.of_scheme(BIO, "BIO"))
    loss, _ = crf.loss(np.zeros((1, 2, len(BIO))), np.array([[0, 2]]))
    assert loss == np.inf


def test_descending_the_gradient_learns_an_order(rng):
    crf = CRF(3)
    tags = np.array([[0, 1, 2, 0, 1, 2]])
    emissions = np.zeros((1, 6, 3))
    before, _ = crf.loss(emissions, tags)
    for _ in range(50):
        crf.loss(emissions, tags)
        crf.parameters.set_flat(crf.parameters.values - crf.parameters.gradients)
    assert crf.loss(emissions, tags)[0] < before / 10
    np.testing.assert_array_equal(crf.decode(emissions)[0], tags)


def test_parameters_have_the_names_of_pytorch_crf(rng):
    crf = CRF(3)
    shapes = {"transitions": (3, 3), "start_transitions": (3,), "end_transitions": (3,)}
    state = {name: rng.normal(size=shape).astype("float32") for name, shape in shapes.items()}
    crf.load_state_dict(state)
    for name, array in crf.state_dict().items():
        np.testing.assert_array_equal(array, state[name])
    assert crf.grads.keys() == state.keys()


def test_a_sentence_of_no_token_counts_for_nothing(rng):
    crf = CRF(3)
    emissions = rng.normal(size=(2, 4, 3))
    tags, scores = crf.decode(emissions, np.array([0, 4]))
    assert (tags[0] == -1).all()
    assert scores[0] == 0
    assert crf.log_partition(emissions, np.array([0, 4]))[0] == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: CRF(0), "num_tags is 0"),
        (lambda: CRF(2, dtype="float16"), "dtype is 'float16'"),
        (lambda: CRF(2, Constraints(np.ones((3, 3), bool), np.ones(3, bool), np.ones(3, bool))), "have shape"),
        (lambda: Constraints.of_scheme(BIO, "IOB1"), "choose BIO or BIOES"),
        (lambda: CRF(2).decode(np.zeros((1, 2, 3))), r"emissions have shape \(1, 2, 3\)"),
        (lambda: CRF(2).decode(np.zeros((1, 0, 2))), "none of them 0"),
        (lambda: CRF(2).decode(np.zeros((1, 2, 2)), np.array([3])), "between 0 and 2"),
        (lambda: CRF(2).decode(np.zeros((1, 2, 2)), np.array([1.0])), "it must be 1 integers"),
        (lambda: CRF(2).loss(np.zeros((1, 2, 2)), np.array([[0, 2]])), "tags run from 0 to 2"),
        (lambda: CRF(2).loss(np.zeros((1, 2, 2)), np.array([0, 1])), "tags have shape"),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
