"""The road that every kind of model takes; the flows' own tests walk it with each of them."""

from __future__ import annotations

import itertools
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from gatecast import Forecaster, load
from gatecast.data.errors import DamagedError, InputError
from gatecast.data.sequences.sequences import SequenceSettings, build_sequences
from gatecast.data.sequences.splits import SplitSettings
from gatecast.flows import retrain, tagging, text, training
from gatecast.flows.engine.caching import digest
from gatecast.flows.registry.registry import Registry
from gatecast.flows.settings.workspace import Workspace
from gatecast.flows.training import Attempt, Job, SparingCheckpoints, warm_start
from gatecast.lstm.training.loop import EpochRecord


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(Workspace(tmp_path), "load", "0123456789ab")


@pytest.fixture(scope="module")
def fitted() -> Forecaster:
    ds = pd.date_range("2020-01-01", periods=60)
    frame = pd.DataFrame({"unique_id": "a", "ds": ds, "y": np.sin(np.arange(60.0))})
    return Forecaster(lookback=4, hidden_size=2, max_epochs=2, batch_size=8, fit_until="training").fit(frame)


def test_a_job_says_where_its_files_belong(job: Job, tmp_path: Path) -> None:
    assert job.checkpoints == tmp_path / "models" / "load" / ".training" / "0123456789ab"
    assert job.reports == tmp_path / "reports" / "load" / "0123456789ab"
    assert job.registry.name == "load"


def test_each_part_of_a_job_decides_the_cache_key(job: Job) -> None:
    others = [Job(Workspace(Path("/else")), job.name, job.key), Job(job.workspace, "x", job.key)]
    assert digest(job) == digest(Job(Workspace(job.workspace.root), job.name, job.key))
    assert len({digest(job), *map(digest, others), digest(Job(job.workspace, job.name, "y"))}) == 4


@pytest.mark.parametrize(
    ("resume", "there", "expected"),
    [(False, True, (False, False)), (True, True, (True, True)), (True, False, (True, False))],
)
def test_an_attempt_knows_whether_it_goes_on(job: Job, resume: bool, there: bool, expected: tuple[bool, bool]) -> None:
    if there:
        (job.checkpoints / "epoch-0001").mkdir(parents=True)
    attempt = Attempt.of(job, resume)
    assert (attempt.resume, attempt.found) == expected


def test_a_start_from_the_champion_needs_one_that_can_be_read_and_knows_no_later_row(
    job: Job, fitted: Forecaster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Registry, "model", lambda *_: fitted)
    frame = pd.DataFrame({"unique_id": "a", "ds": pd.date_range("2020-01-01", periods=80), "y": np.arange(80.0)})
    ours, later, earlier = (
        build_sequences(frame, SequenceSettings(lookback=4, split=SplitSettings(**split)))
        for split in (
            {"train_end": fitted.boundaries["train_end"], "validation_end": "2020-03-01"},
            {"train_end": "2020-02-28", "validation_end": "2020-03-05"},
            {"train_end": "2020-01-20", "validation_end": "2020-02-10"},
        )
    )
    assert warm_start(job.registry, None, ours) == (None, None, "started cold, since there is no champion yet")
    assert warm_start(job.registry, "v0001", ours) == (fitted, "v0001", "started from v0001")
    assert warm_start(job.registry, "v0001", later).model is fitted
    seen = r"v0001 knows rows of a up to .*, which this training holds back from 2020-01-20 on; train it with fit_until"
    with pytest.raises(InputError, match=seen):
        warm_start(job.registry, "v0001", earlier)

    def damaged(*_: object) -> None:
        raise DamagedError("model.json is damaged; restore it.")

    monkeypatch.setattr(Registry, "model", damaged)
    started = warm_start(job.registry, "v0001", ours)
    assert started == (None, None, "started cold, since v0001 is damaged (model.json is damaged; restore it)")


@pytest.mark.parametrize("leftover", ["nothing", "a folder", "a checkpoint"])
def test_a_finished_training_leaves_its_model_and_tells_how_it_went(
    job: Job, fitted: Forecaster, leftover: str
) -> None:
    path = job.checkpoints / "model"
    if leftover == "a folder":
        path.mkdir(parents=True)
        (path / "part").touch()
    if leftover == "a checkpoint":
        fitted.save(path)
    trained = Attempt(job.checkpoints, resume=True, found=False).finish(fitted)
    assert trained["model"] == str(path)
    assert load(path).history == fitted.history
    assert set(trained["files"]) == {str(file) for file in path.iterdir()}
    assert trained["milliseconds_per_step"] == pytest.approx(1000 * fitted.seconds_per_step, abs=1e-3)
    steps = fitted.history[-1].step
    best = f"the best was {fitted.best_epoch}" if fitted.best_epoch else "none better than what it began with"
    assert trained["summary"] == f"found nothing to resume, {steps} steps, 2 epochs, {best}"


def test_a_model_without_times_says_none(job: Job, fitted: Forecaster, tmp_path: Path) -> None:
    loaded = load(fitted.save(tmp_path / "saved"))
    trained = Attempt(job.checkpoints, resume=False, found=False).finish(loaded)
    assert trained["milliseconds_per_step"] is None
    assert trained["summary"].startswith(f"{fitted.history[-1].step} steps, ")


def test_sparing_checkpoints_are_those_of_every_epoch_as_often_as_time_allows(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ds = pd.date_range("2020-01-01", periods=60)
    frame = pd.DataFrame({"unique_id": "a", "ds": ds, "y": np.sin(np.arange(60.0))})
    settings = {"lookback": 4, "hidden_size": 2, "max_epochs": 8, "patience": 8, "batch_size": 8}
    every = tmp_path / "every"
    Forecaster(**settings).fit(frame, checkpoints=every, keep=9)
    (job.checkpoints / "epoch-0009").mkdir(parents=True)

    # Each look at the clock is a second later: a checkpoint takes one, and an epoch without one takes one as well.
    ticks = itertools.count()
    monkeypatch.setattr(training, "time", SimpleNamespace(monotonic=lambda: float(next(ticks))))
    monkeypatch.setattr(SparingCheckpoints, "SHARE", 1 / 3)
    left: list[list[str]] = []
    model = Forecaster(**settings)
    spare = SparingCheckpoints(model, job.checkpoints)

    def after_epoch(record: EpochRecord) -> None:
        spare(record)
        left.append(sorted(path.name for path in job.checkpoints.iterdir()))

    model.fit(frame, on_epoch=after_epoch)
    first, second, third = ["epoch-0001"], ["epoch-0001", "epoch-0004"], ["epoch-0004", "epoch-0007"]
    assert left == [[], first, first, first, second, second, second, third, third]
    for name in third:
        for file in (every / name).iterdir():
            assert (job.checkpoints / name / file.name).read_bytes() == file.read_bytes()


def test_every_kind_takes_the_same_road() -> None:
    for module in (retrain, text, tagging):
        assert module.checkpoint is retrain.checkpoint
        assert (module.train.name, module.evaluate.name, module.promote.name) == ("train", "evaluate", "promote")
        assert module.train.retries == 2
