"""Saving, checkpoints while training, and resuming: `Forecaster` of lstm/forecasting/forecaster.py."""

from __future__ import annotations

import logging
import re
import shutil
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from gatecast.data.errors import InputError
from gatecast.lstm.forecasting.forecaster import Forecaster
from gatecast.lstm.models import load
from gatecast.lstm.training import checkpoint
from gatecast.lstm.training.checkpoint import CheckpointError
from tests.lstm import frames
from tests.lstm.frames import SPLIT, sequences_for, sine_frame


class InterruptionError(Exception):
    pass


def small_model(**changes):
    """One without the skip, which makes the network before its first step an epoch 0."""
    return frames.small_model(**{"linear_skip": "none", "fit_until": "training", **changes})


@pytest.fixture(scope="module")
def frame():
    return sine_frame(names=("alpha", "beta"))


@pytest.fixture(scope="module")
def fitted(frame):
    """One plain model for the tests that only look at it."""
    return small_model().fit(frame, SPLIT)


def files(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_saving_onto_something_is_refused_unless_asked_for(fitted, tmp_path):
    path = fitted.save(str(tmp_path / "model"), extra_files={"notes.txt": b"first"})
    before = files(path)
    with pytest.raises(CheckpointError, match="exists already"):
        fitted.save(path)
    assert files(path) == before
    fitted.save(path, overwrite=True)
    assert "notes.txt" not in files(path)


def test_extra_files_are_kept_and_guarded(fitted, tmp_path, caplog):
    path = fitted.save(tmp_path / "model", extra_files={"notes.txt": b"kept"})
    assert checkpoint.read(path).extra_files == {"notes.txt": b"kept"}
    (path / "notes.txt").write_bytes(b"else")
    assert load(path).history == fitted.history
    assert "notes.txt is damaged" in caplog.text


def test_weights_are_stored_under_the_names_of_torch(fitted, tmp_path):
    weights = checkpoint.read(fitted.save(tmp_path / "model")).arrays["model"]
    assert {name: array.shape for name, array in weights.items()} == {
        "lstm.weight_ih_l0": (20, 2),
        "lstm.weight_hh_l0": (20, 5),
        "lstm.bias_ih_l0": (20,),
        "lstm.bias_hh_l0": (20,),
        "head.weight": (1, 5),
        "head.bias": (1,),
    }
    assert not weights["lstm.bias_hh_l0"].any()


def test_one_checkpoint_stays_for_each_of_the_last_epochs_and_each_can_be_loaded(frame, tmp_path):
    folder = tmp_path / "checkpoints"
    model = small_model(max_epochs=4, patience=4).fit(frame, SPLIT, checkpoints=folder, keep=2)
    assert sorted(path.name for path in folder.iterdir()) == ["epoch-0003", "epoch-0004"]
    kept = [load(path) for path in sorted(folder.iterdir())]
    assert [len(other.history) for other in kept] == [3, 4]
    assert kept[1].history == model.history
    first, second = (other.predict()["y_hat"].to_numpy() for other in kept)
    assert np.isfinite(first).all()
    assert not np.array_equal(first, second)


def test_checkpoints_do_not_change_the_training(frame, fitted, tmp_path):
    model = small_model().fit(frame, SPLIT, checkpoints=tmp_path / "checkpoints", keep=1)
    assert files(model.save(tmp_path / "a")) == files(fitted.save(tmp_path / "b"))


def interrupted(model, sequences, folder, epoch):
    def stop(record):
        if record.epoch == epoch:
            raise InterruptionError

    with pytest.raises(InterruptionError):
        model.fit_sequences(sequences, checkpoints=folder, on_epoch=stop)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"stateful": True, "num_layers": 2, "horizon": 2},
        {"dtype": "float64"},
        {"steps_per_epoch": 3, "schedule": "one_cycle"},
        {"weight_average": "ema", "ema_decay": 0.9},
        {"transform": "boxcox", "loss": "mse"},
        {"linear_skip": "window", "weight_average": "ema"},
        {"dropout": 0.2, "recurrent_dropout": 0.2, "weight_dropout": 0.1, "num_layers": 2, "attention": "dot"},
    ],
)
def test_an_interrupted_training_goes_on_to_the_same_bits(frame, tmp_path, changes):
    changes = {"max_epochs": 4, "patience": 4, **changes}
    sequences = sequences_for(small_model(**changes), frame)
    straight = small_model(**changes).fit_sequences(sequences, checkpoints=tmp_path / "straight")
    expected = files(straight.save(tmp_path / "expected"))
    for epoch in (1, 2, 3, 4):
        folder = tmp_path / f"stopped-{epoch}"
        interrupted(small_model(**changes), sequences, folder, epoch)
        seen = []
        resumed = small_model(**changes).fit_sequences(
            sequences, checkpoints=folder, resume=True, on_epoch=lambda record, seen=seen: seen.append(record.epoch)
        )
        assert seen == [record.epoch for record in straight.history]
        assert files(resumed.save(tmp_path / f"resumed-{epoch}")) == expected
        assert [files(path) for path in sorted(folder.iterdir())] == [
            files(path) for path in sorted((tmp_path / "straight").iterdir())
        ]


def test_a_training_that_stopped_early_is_not_prolonged_by_resuming(frame, tmp_path):
    changes = {"max_epochs": 30, "patience": 1, "learning_rate": 0.2}
    model = small_model(**changes).fit(frame, SPLIT, checkpoints=tmp_path / "c")
    assert len(model.history) < 30
    again = small_model(**changes).fit(frame, SPLIT, checkpoints=tmp_path / "c", resume=True)
    assert again.history == model.history
    pd.testing.assert_frame_equal(again.predict(), model.predict(), check_exact=True)


def other_digit(folder, key):
    """Change the first digit behind a key of model.json."""
    path = folder / "model.json"
    text = path.read_text()
    place = re.search(rf'"{key}":\s*\D*(\d)', text).start(1)
    path.write_text(f"{text[:place]}{(int(text[place]) + 1) % 10}{text[place + 1 :]}")


@pytest.mark.parametrize(
    "harm",
    [
        lambda folder: (folder / "model.safetensors").write_bytes(b""),
        lambda folder: (folder / "model.json").unlink(),
        *(
            lambda folder, key=key: other_digit(folder, key)
            for key in ("optimizer_steps", "validation_loss", "step", "center", "learning_rate")
        ),
    ],
)
def test_a_damaged_checkpoint_is_passed_over_with_a_warning(frame, fitted, tmp_path, caplog, harm):
    folder = tmp_path / "checkpoints"
    sequences = sequences_for(fitted, frame)
    interrupted(small_model(), sequences, folder, 2)
    harm(folder / "epoch-0002")
    with caplog.at_level(logging.WARNING):
        resumed = small_model().fit_sequences(sequences, checkpoints=folder, resume=True)
    assert "epoch-0002" in caplog.text
    assert files(resumed.save(tmp_path / "a")) == files(fitted.save(tmp_path / "b"))
    assert load(folder / "epoch-0002").history == fitted.history[:2]


def test_resuming_where_nothing_was_begun_begins(frame, fitted, tmp_path):
    model = small_model().fit(frame, SPLIT, checkpoints=tmp_path / "none", resume=True)
    assert model.history == fitted.history


@pytest.mark.parametrize("what", ["settings", "data"])
def test_resuming_with_other_settings_or_data_is_refused_and_changes_nothing(frame, tmp_path, what):
    folder = tmp_path / "checkpoints"
    small_model(max_epochs=2).fit(frame, SPLIT, checkpoints=folder)
    before = {path.name: files(path) for path in folder.iterdir()}
    model = small_model(max_epochs=2, hidden_size=6) if what == "settings" else small_model(max_epochs=2)
    other = frame.assign(wave=frame["wave"] * 2) if what == "data" else frame
    with pytest.raises(CheckpointError, match="other settings or data; train again without resume"):
        model.fit(other, SPLIT, checkpoints=folder, resume=True)
    assert {path.name: files(path) for path in folder.iterdir()} == before
    with pytest.raises(InputError, match="not been fitted"):
        model.predict()


def test_beginning_anew_removes_former_checkpoints_and_no_other_file(frame, tmp_path):
    folder = tmp_path / "checkpoints"
    small_model(max_epochs=3).fit(frame, SPLIT, checkpoints=folder)
    (folder / "notes.txt").write_text("mine")
    shutil.copytree(folder / "epoch-0003", folder / ".epoch-0004.0123abcd.tmp")
    small_model(max_epochs=1).fit(frame, SPLIT, checkpoints=folder)
    assert sorted(path.name for path in folder.iterdir()) == ["epoch-0001", "notes.txt"]
    assert len(load(folder / "epoch-0001").history) == 1


def test_the_hash_of_the_data_goes_with_the_model(fitted, frame):
    assert fitted.data_hash == sequences_for(fitted, frame).content_hash
    assert fitted.data_hash != sequences_for(fitted, frame.assign(wave=0.0)).content_hash


def test_epochs_are_reported_as_they_end(frame):
    seen = []
    model = small_model().fit(frame, SPLIT, on_epoch=seen.append)
    assert tuple(seen) == model.history
    assert all(first.step < second.step for first, second in pairwise(seen))


def test_a_training_starts_from_another_model_and_keeps_its_weights_if_nothing_is_better(fitted, frame):
    sequences = sequences_for(fitted, frame)
    losses = [record.validation_loss for record in fitted.history]
    seen = []
    model = small_model(learning_rate=3.0, schedule="constant", max_epochs=3).fit_sequences(
        sequences, start=fitted, on_epoch=seen.append
    )
    assert [record.epoch for record in seen] == [0, 1, 2, 3]
    assert seen[0].validation_loss == min(losses)
    assert model.epochs == 3
    assert model.seconds_per_epoch > 0
    assert model.best_epoch == 0
    for name, array in fitted.network.parameters.to_host().items():
        np.testing.assert_array_equal(model.network.parameters.to_host()[name], array)


def test_a_start_from_itself_goes_on_learning(frame):
    model = small_model(max_epochs=1).fit(frame, SPLIT)
    before = min(record.validation_loss for record in model.history)
    model.fit(frame, SPLIT, start=model)
    assert [record.epoch for record in model.history] == [0, 1]
    assert model.history[0].validation_loss == before
    assert model.history[1].validation_loss != before


def test_a_started_training_goes_on_to_the_same_bits_and_not_from_another_start(fitted, frame, tmp_path):
    changes = {"max_epochs": 3, "weight_average": "ema"}
    sequences = sequences_for(fitted, frame)
    straight = small_model(**changes).fit_sequences(sequences, start=fitted, checkpoints=tmp_path / "straight", keep=9)
    assert sorted(path.name for path in (tmp_path / "straight").iterdir())[0] == "epoch-0000"
    loaded = load(tmp_path / "straight" / "epoch-0000")
    pd.testing.assert_frame_equal(loaded.predict(), fitted.predict(level=()), check_exact=True)
    expected = files(straight.save(tmp_path / "expected"))
    for epoch in (0, 2):
        folder = tmp_path / f"stopped-{epoch}"

        def stop(record, epoch=epoch):
            if record.epoch == epoch:
                raise InterruptionError

        with pytest.raises(InterruptionError):
            small_model(**changes).fit_sequences(sequences, start=fitted, checkpoints=folder, on_epoch=stop)
        with pytest.raises(CheckpointError, match="began with other weights; train again without resume"):
            small_model(**changes).fit_sequences(sequences, checkpoints=folder, resume=True)
        resumed = small_model(**changes).fit_sequences(sequences, start=fitted, checkpoints=folder, resume=True)
        assert files(resumed.save(tmp_path / f"resumed-{epoch}")) == expected


@pytest.mark.parametrize(
    ("changes", "columns", "message"),
    [
        ({"hidden_size": 6}, ["wave"], r"weights of other shapes \(parameter .* has shape"),
        ({"num_layers": 2}, ["wave"], r"weights of other shapes \(parameters do not match"),
        ({}, ["tide"], "trained on the columns y, wave, but the data has y, tide"),
    ],
)
def test_a_model_that_does_not_fit_is_no_start_and_changes_nothing(fitted, frame, changes, columns, message):
    model = small_model(**changes)
    data = frame.rename(columns=dict(zip(["wave"], columns, strict=True)))
    model.fit(data, SPLIT)
    before = model.predict()
    with pytest.raises(InputError, match=message) as caught:
        model.fit(data, SPLIT, start=fitted)
    assert "\n" not in str(caught.value)
    pd.testing.assert_frame_equal(model.predict(), before, check_exact=True)


def test_a_model_that_was_not_fitted_is_no_start(frame):
    with pytest.raises(InputError, match="has not been fitted"):
        small_model().fit(frame, SPLIT, start=small_model())


def test_a_time_budget_becomes_a_number_of_steps_that_a_resumption_keeps(frame, tmp_path, monkeypatch):
    changes = {"max_minutes": 5.0, "max_epochs": 50, "patience": 50, "schedule": "cosine"}
    monkeypatch.setattr(Forecaster, "_plan", lambda *_: 37)
    sequences = sequences_for(small_model(), frame)
    straight = small_model(**changes).fit_sequences(sequences)
    assert straight.total_steps == straight.history[-1].step == 37
    assert straight.history[-1].step - straight.history[-2].step < straight.history[0].step
    assert straight.history[-1].learning_rate == pytest.approx(straight.settings.learning_rate / 20)

    interrupted(small_model(**changes), sequences, tmp_path / "c", 2)
    monkeypatch.setattr(Forecaster, "_plan", lambda *_: pytest.fail("a resumed training must not measure again"))
    resumed = small_model(**changes).fit_sequences(sequences, checkpoints=tmp_path / "c", resume=True)
    assert files(resumed.save(tmp_path / "resumed")) == files(straight.save(tmp_path / "straight"))


def test_a_time_budget_is_measured_and_limits_the_steps(frame):
    model = small_model(max_minutes=1e-9, max_epochs=50).fit(frame, SPLIT)
    assert model.total_steps == model.history[-1].step == 1
    assert Forecaster(max_minutes=3).settings.plain.max_epochs > 30 == Forecaster().settings.plain.max_epochs
    assert small_model(max_minutes=1e-9, max_epochs="auto").fit(frame, SPLIT).chosen.max_epochs == 1000


def test_a_training_that_older_code_left_goes_on(frame, tmp_path):
    """It did not keep how many steps the whole training has, since all epochs were the only limit."""
    sequences = sequences_for(small_model(), frame)
    straight = small_model().fit_sequences(sequences)
    interrupted(small_model(), sequences, tmp_path / "c", 1)
    path = tmp_path / "c" / "epoch-0001"
    contents = checkpoint.read(path)
    del contents.document["total_steps"]
    checkpoint.write(contents, path, overwrite=True)
    resumed = small_model().fit_sequences(sequences, checkpoints=tmp_path / "c", resume=True)
    assert files(resumed.save(tmp_path / "resumed")) == files(straight.save(tmp_path / "straight"))
