from __future__ import annotations

from benchmarks.sizes import Sizes


def test_flop_of_one_layer_counts_no_gradient_of_the_input():
    batch = 32
    seq = 30
    inputs = 3
    hidden = 32
    forward = 2 * batch * seq * 4 * hidden * (inputs + hidden)
    sizes = Sizes(batch, seq, inputs, hidden)
    assert sizes.forward_flop() == forward
    assert sizes.training_flop() == 2 * forward + 2 * batch * seq * 4 * hidden * hidden


def test_flop_of_the_second_layer_counts_it():
    one = Sizes(2, 3, 5, 7)
    two = Sizes(2, 3, 5, 7, num_layers=2)
    unit = 2 * 2 * 3 * 4 * 7 * 7
    assert two.forward_flop() - one.forward_flop() == 2 * unit
    assert two.training_flop() - one.training_flop() == 6 * unit


def test_name_is_batch_seq_input_hidden():
    assert str(Sizes(64, 60, 8, 64)) == "64/60/8/64"
    assert str(Sizes(64, 60, 8, 64, num_layers=2)) == "64/60/8/64 x2 layers"
