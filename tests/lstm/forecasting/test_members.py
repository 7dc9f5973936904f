"""The members of an ensemble: lstm/forecasting/members.py."""

from __future__ import annotations

import copy
import json
import math

import numba
import numpy as np
import pytest

from gatecast.data.errors import FormatError, InputError
from gatecast.lstm.models import load
from gatecast.lstm.training.checkpoint import CheckpointError
from gatecast.lstm.training.loop import TrainingError
from tests.lstm.frames import SPLIT, sequences_for, sine_frame, small_model

SETTINGS = {"max_epochs": 3, "hidden_size": 4, "patience": 3}
KINDS = [
    {},
    {"fit_until": "validation", "weight_average": "ema"},
    {"dropout": 0.3, "recurrent_dropout": 0.2, "num_layers": 2, "linear_skip": "none"},
    {"stateful": True},
]


@pytest.fixture(scope="module")
def frame():
    return sine_frame(names=("alpha", "beta"))


@pytest.fixture
def threads(request):
    before = numba.get_num_threads()
    numba.set_num_threads(min(request.param, numba.config.NUMBA_NUM_THREADS))
    yield request.param
    numba.set_num_threads(before)


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("threads", [1, 2], indirect=True)
@pytest.mark.parametrize("kind", KINDS, ids=["auto", "refit", "dropout", "stateful"])
def test_each_member_is_to_the_bit_what_its_seed_alone_makes(frame, kind, threads):
    ensemble = small_model(**SETTINGS, **kind, n_models=3, seed=4).fit(frame, SPLIT)
    for number, member in enumerate(ensemble.members):
        alone = small_model(**SETTINGS, **kind, seed=4 + number).fit(frame, SPLIT)
        assert member.history == alone.history
        assert member.chosen == alone.chosen
        assert member.boundaries == alone.boundaries == ensemble.boundaries
        for name, weights in alone.network.parameters.to_host().items():
            np.testing.assert_array_equal(member.network.parameters.to_host()[name], weights, err_msg=name)
        np.testing.assert_array_equal(member.predict()["y_hat"], alone.predict()["y_hat"])
    assert ensemble.history == ensemble.members[0].history


@pytest.mark.parametrize("kind", [{}, {"dropout": 0.3}], ids=["auto", "dropout"])
def test_what_was_saved_is_loaded_to_the_bit(frame, tmp_path, kind):
    model = small_model(**SETTINGS, **kind, n_models=3, ensemble="median").fit(frame, SPLIT)
    again = load(model.save(tmp_path / "model"))
    assert again.settings == model.settings
    assert len(again.members) == 3
    assert files(again.save(tmp_path / "again")) == files(tmp_path / "model")
    assert files(copy.deepcopy(model).save(tmp_path / "copied")) == files(tmp_path / "model")
    for other in (again, copy.deepcopy(model)):
        np.testing.assert_array_equal(other.predict(frame)["y_hat"], model.predict(frame)["y_hat"])
        for ours, theirs in zip(model.members, other.members, strict=True):
            assert ours.history == theirs.history
            np.testing.assert_array_equal(ours.network.parameters.values, theirs.network.parameters.values)
    for dropout in (False, True) if kind else (False,):
        ours, theirs = (each.sample(n_samples=4, dropout=dropout)[1] for each in (model, again))
        np.testing.assert_array_equal(ours, theirs)


class InterruptionError(Exception):
    pass


@pytest.mark.parametrize("threads", [1, 2], indirect=True)
@pytest.mark.parametrize("after", [1, 4, 8])
def test_an_interrupted_training_goes_on_to_the_same_bits(frame, tmp_path, threads, after):
    settings = {**SETTINGS, "n_models": 3, "linear_skip": "none", "fit_until": "validation"}
    sequences = sequences_for(small_model(**settings), frame)
    straight = small_model(**settings).fit_sequences(sequences, checkpoints=tmp_path / "straight")
    seen = []

    def stop(record):
        seen.append(record.epoch)
        if len(seen) == after:
            raise InterruptionError

    model = small_model(**settings)
    with pytest.raises(InterruptionError):
        model.fit_sequences(sequences, checkpoints=tmp_path / "stopped", on_epoch=stop)
    with pytest.raises(InputError, match="call fit first"):
        model.predict()
    kept = len(list((tmp_path / "stopped").glob("member-*/epoch-*")))
    assert after <= kept < 9 or after == 8
    epochs = []
    resumed = small_model(**settings).fit_sequences(
        sequences,
        checkpoints=tmp_path / "stopped",
        resume=True,
        on_epoch=lambda record: epochs.append(record.epoch),
    )
    assert sorted(epochs) == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert files(resumed.save(tmp_path / "resumed")) == files(straight.save(tmp_path / "expected"))
    assert files(tmp_path / "stopped") == files(tmp_path / "straight")
    part = load(tmp_path / "straight" / "member-2" / "epoch-0003")
    assert part.settings.seed == 2
    assert part.history == straight.members[2].history


def test_checkpoints_of_others_are_removed_and_refused(frame, tmp_path):
    settings = {**SETTINGS, "max_epochs": 1}
    small_model(**settings, n_models=3).fit(frame, SPLIT, checkpoints=tmp_path)
    small_model(**settings, n_models=2).fit(frame, SPLIT, checkpoints=tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["member-0", "member-1"]
    with pytest.raises(CheckpointError, match="other settings or data"):
        small_model(**settings, n_models=2, seed=1).fit(frame, SPLIT, checkpoints=tmp_path, resume=True)
    small_model(**settings).fit(frame, SPLIT, checkpoints=tmp_path)
    assert not list(tmp_path.glob("member-*"))
    assert (tmp_path / "epoch-0001").is_dir()


@pytest.mark.parametrize("threads", [2], indirect=True)
def test_one_that_diverges_ends_them_all(frame, threads):
    model = small_model(**{**SETTINGS, "learning_rate": 1e30, "gradient_clip": 1e30}, n_models=3, linear_skip="none")
    with pytest.raises(TrainingError, match="diverged"):
        model.fit(frame, SPLIT)
    assert model.history == ()


def test_an_ensemble_starts_from_the_members_of_another(frame):
    settings = {**SETTINGS, "max_epochs": 1, "fit_until": "training"}
    first = small_model(**settings, n_models=2).fit(frame, SPLIT)
    warm = small_model(**settings, n_models=3).fit(frame, SPLIT, start=first)
    for number, member in enumerate(warm.members):
        best = min(record.validation_loss for record in first.members[number % 2].history)
        assert member.history[0].validation_loss == best
    assert warm.started_from == warm.members[0].started_from != warm.members[1].started_from
    assert small_model(**settings).fit(frame, SPLIT, start=first).started_from == warm.started_from
    again = first.fit(frame, SPLIT, start=first)
    assert again.members[1].started_from == warm.members[1].started_from


def test_all_members_move_to_another_backend(frame, tmp_path):
    model = small_model(**SETTINGS, n_models=2).fit(frame, SPLIT)
    moved = load(model.save(tmp_path / "model"), backend="auto")
    assert [each.chosen.backend for each in (moved, *moved.members)] == ["auto"] * 3
    np.testing.assert_allclose(moved.predict()["y_hat"], model.predict()["y_hat"], rtol=1e-5)


@pytest.mark.parametrize("threads", [2], indirect=True)
def test_members_that_follow_each_other_share_the_time(frame, threads):
    settings = {key: value for key, value in SETTINGS.items() if key != "max_epochs"}
    model = small_model(**{**settings, "max_epochs": 1}, n_models=3, max_minutes=1.0).fit(frame, SPLIT)
    rounds = math.ceil(3 / min(3, numba.get_num_threads()))
    assert [member.time_share for member in model.members] == [1 / rounds] * 3


def test_a_member_that_is_not_there_is_told_of(frame):
    contents = small_model(**{**SETTINGS, "max_epochs": 1}, n_models=2).fit(frame, SPLIT).contents()
    model = small_model().__class__
    for forge in (
        lambda document, arrays: arrays.pop("model-1"),
        lambda document, arrays: document.pop("members"),
        lambda document, arrays: document["members"].clear(),
        lambda document, arrays: document["settings"].update(n_models=3),
        lambda document, arrays: arrays["optimizer-1"].pop("best_values"),
    ):
        forged = copy.deepcopy(contents)
        forged.document.update(json.loads(json.dumps(forged.document)))
        forge(forged.document, forged.arrays)
        with pytest.raises(FormatError, match="older or newer"):
            model.from_checkpoint(forged, "here")
