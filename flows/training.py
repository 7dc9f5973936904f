"""The road that the training of every kind of model takes.

`Job` says which model is trained and where its files belong, `Attempt` trains with checkpoints and resumes,
`SparingCheckpoints` are those of a training of seconds, `checkpoint` makes the model a version, and `settle` decides
whether that is the champion. What differs from kind to kind is in the flows: data, fitting, evaluation and comparison
(`flows.retrain`, `flows.text`, `flows.tagging`).
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from gatecast.data.errors import DamagedError, InputError
from gatecast.data.sequences.sequences import Sequences
from gatecast.data.settings import Settings
from gatecast.data.store import as_json, read_json
from gatecast.flows.engine.caching import code_version, digest, hashes
from gatecast.flows.engine.orchestration import Transaction, get_transaction, is_retry, task
from gatecast.flows.engine.results import Promoted, Trained, Versioned
from gatecast.flows.engine.runs import LOSES, raise_alarm
from gatecast.flows.engine.terminal import counted
from gatecast.flows.judging import promotion
from gatecast.flows.judging.comparison import Comparison
from gatecast.flows.registry.kinds import FORECASTER, ModelKind, load_model
from gatecast.flows.registry.registry import Registry
from gatecast.flows.settings.runs import GateSettings, RetrainSettings
from gatecast.flows.settings.workspace import Workspace
from gatecast.lstm.forecasting.forecaster import Forecaster
from gatecast.lstm.training import epochs
from gatecast.lstm.training.checkpoint import DOCUMENT
from gatecast.lstm.training.loop import EpochRecord
from gatecast.lstm.training.model import TrainedModel


def registry_of(workspace: Workspace, name: str, kind: ModelKind) -> Registry:
    """Return the registry of a model that is to be trained; obstacles are found now rather than after the training.

    Parameters
    ----------
    workspace : Workspace
    name : str
        Of the model.
    kind : ModelKind
        Its kind.

    Raises
    ------
    KindError
        The name is that of a model of another kind.
    FormatError
        The champion was written by another Gatecast: it cannot be compared, and must not be replaced unseen.
    InputError
        The champion's pointer is damaged.
    """
    registry = Registry(workspace, name)
    champion = registry.champion()
    registry.require_kind(kind, f"give the {kind.called} another --name")
    if champion is not None:
        # The gate handles a damaged champion: the newest intact version represents it.
        with suppress(DamagedError):
            registry.settings(champion, kind)
    return registry


class WarmStart(NamedTuple):
    """What a training begins with if it is to begin with the champion."""

    model: Forecaster | None
    version: str | None
    """Of the champion; None if the training starts cold"""
    sentence: str


def warm_start(registry: Registry, champion: str | None, sequences: Sequences) -> WarmStart:
    """Return the champion of forecasters as what a training begins with.

    Parameters
    ----------
    registry : Registry
    champion : str, optional
        Its version.
    sequences : Sequences
        What is to be trained on.

    Raises
    ------
    InputError
        The champion was trained on rows that this training keeps for validation or test.
    """
    if champion is None:
        return WarmStart(None, None, "started cold, since there is no champion yet")
    try:
        model: Forecaster = registry.model(champion, FORECASTER)
    except DamagedError as error:
        return WarmStart(None, None, f"started cold, since {champion} is damaged ({str(error).rstrip('.')})")
    ends: tuple[Literal["train_end", "validation_end"], ...] = ("train_end", "validation_end")
    for end in ends:
        ours = sequences.ends(end)
        ours = ours[ours.index.isin(list(model.scalers))]
        theirs = model.ends(end, ours.index)
        for unique_id in ours.index[theirs.to_numpy() > ours.to_numpy()]:
            raise InputError(
                f"The champion {champion} knows rows of {unique_id} up to {theirs[unique_id]:%Y-%m-%d}, which this"
                f" training holds back from {ours[unique_id]:%Y-%m-%d} on; train it with fit_until training, or"
                " leave out warm_start."
            )
    return WarmStart(model, champion, f"started from {champion}")


@dataclass(frozen=True)
class Job:
    """The training of one model.

    Attributes
    ----------
    workspace : Workspace
    name : str
        Of the model.
    key : str
        Hash of everything that decides what is trained: data, settings and code.
    """

    workspace: Workspace
    name: str
    key: str

    @property
    def registry(self) -> Registry:
        """The versions of the model."""
        return Registry(self.workspace, self.name)

    @property
    def checkpoints(self) -> Path:
        """Folder of a checkpoint for each epoch and, once the training has ended, ``model``."""
        return self.registry.training_directory(self.key)

    @property
    def reports(self) -> Path:
        """Folder of what the evaluation writes."""
        return self.workspace.reports / self.name / self.key


def forecaster_job(workspace: Workspace, settings: RetrainSettings, content_hash: str, champion: str | None) -> Job:
    """Return the training of a forecaster.

    Parameters
    ----------
    workspace : Workspace
    settings : RetrainSettings
        Resolved; the model has nothing left to choose.
    content_hash : str
        Of the training sequences.
    champion : str, optional
        Version that the training begins with, if it is to begin with the champion.
    """
    key = digest(content_hash, settings.model, settings.data.dates, settings.warm_start, champion, code_version())
    return Job(workspace, str(settings.name), key)


@dataclass(frozen=True)
class Attempt:
    """An attempt at a training that leaves a checkpoint after each epoch.

    Attributes
    ----------
    checkpoints : Path
        Folder of the checkpoints.
    resume : bool
        Whether it continues from the newest of them.
    found : bool
        Whether there was one to continue from.
    """

    checkpoints: Path
    resume: bool
    found: bool

    @classmethod
    def of(cls, job: Job, resume: bool) -> Attempt:
        """Return the attempt of the present task, which resumes if it was asked to or was tried before."""
        return cls.at(job.checkpoints, resume or is_retry())

    @classmethod
    def at(cls, checkpoints: Path, resume: bool) -> Attempt:
        """Return the attempt that leaves its checkpoints in this folder."""
        return cls(checkpoints, resume, resume and epochs.are_in(checkpoints))

    def finish(self, model: TrainedModel[Any]) -> Trained:
        """Save the model that was fitted, and tell how its training went."""
        saved = self._save(model)
        milliseconds = 1000 * model.seconds_per_step
        begun = "went on with the interrupted training, " if self.found else "found nothing to resume, "
        length = f"{counted(model.history[-1].step, 'step')}, {counted(model.epochs, 'epoch')}"
        if isinstance(model, Forecaster) and len(model.members) > 1:
            length = f"{len(model.members)} models side by side, the first with {length}"
        best = f"the best was {model.best_epoch}" if model.best_epoch else "none better than what it began with"
        return {
            "model": str(saved),
            "files": hashes(saved),
            "milliseconds_per_step": round(milliseconds, 3) if math.isfinite(milliseconds) else None,
            "summary": f"{begun if self.resume else ''}{length}, {best}",
        }

    def _save(self, model: TrainedModel[Any]) -> Path:
        """Save the model in the folder of its training, in place of what is there, damaged or not."""
        path = self.checkpoints / "model"
        if path.is_dir() and not (path / DOCUMENT).is_file():
            shutil.rmtree(path)  # a checkpoint does not replace a folder that is not a checkpoint
        return model.save(path, overwrite=True)


class SparingCheckpoints:
    """Leaves checkpoints of a training of seconds, which one after each epoch would make twice as long.

    Called with the record of each epoch. After a checkpoint, the next one waits until writing takes no more than
    `SHARE` of the time. The checkpoints of an earlier training are removed.

    Parameters
    ----------
    model : TrainedModel
        The model that is being fitted.
    folder : Path
        As in `Attempt`.
    """

    SHARE = 0.05
    KEPT = 2
    """The one before the last is used if the last is damaged"""

    def __init__(self, model: TrainedModel[Any], folder: Path) -> None:
        self._model = model
        self._folder = folder
        self._due = -math.inf
        epochs.clear(folder)

    def __call__(self, record: EpochRecord) -> None:
        """Leave a checkpoint if one is due."""
        started = time.monotonic()
        if record.epoch == 0 or started < self._due:  # before the first step there is nothing to lose
            return
        self._model.save(epochs.epoch_path(self._folder, record.epoch), overwrite=True)
        epochs.keep_last(self._folder, self.KEPT)
        ended = time.monotonic()
        self._due = ended + (ended - started) / self.SHARE


@task("checkpoint {job.name}", cached=True)
def checkpoint(job: Job, model: str, files: list[str], settings: Settings, lineage: dict[str, Any]) -> Versioned:
    """Make the model a version, with its settings and the files of its evaluation; see `Registry.add_model`."""
    registry = job.registry
    # Without their own hashes: the checkpoint has one of each file.
    evaluation = {Path(file).name: as_json(read_json(Path(file))) for file in files}
    with registry.locked():
        version = registry.add_model(load_model(Path(model)), settings, evaluation, lineage)
    path = registry.path(version)
    return {"version": version, "path": str(path), "files": hashes(path), "summary": version}


def settle(
    registry: Registry,
    version: str,
    kind: ModelKind,
    meet: Callable[[Any, Any], Comparison | None],
    gate: GateSettings = promotion.DEFAULT_GATE,
    *,
    alone: bool = True,
) -> Promoted:
    """Let the gate decide whether a version becomes the champion, and record it; see `flows.judging.promotion.decide`.

    Within a task with the hook `take_back`, the promotion is undone if the run fails later in the same transaction.

    An alarm is raised for a champion that loses to a baseline, and if no version has passed the gate, unless the model
    is not `alone`: a fleet raises one for all of its models.
    """
    decision = registry.settle(lambda: promotion.decide(registry, version, kind, meet, gate))
    present = get_transaction()
    if present is not None and decision.winner != decision.champion:
        made = {"registry": registry, "winner": decision.winner, "former": decision.champion}
        present.set("promotion", made)
    alarming = decision.winner is None or (decision.promoted and decision.loses_to is not None)
    if alarming and alone:
        raise_alarm(LOSES, registry.name, decision.reason, {"version": version, "loses_to": decision.loses_to})
    return {
        "champion": decision.winner,
        "promoted": decision.promoted,
        "alarming": alarming,
        "summary": decision.reason,
    }


def take_back(transaction: Transaction) -> None:
    """Make the former champion the champion again when the run fails after the promotion."""
    made: Mapping[str, Any] | None = transaction.get("promotion", None)
    if made is not None:
        reason = f"the run failed after {made['winner']} was promoted"
        promotion.undo(made["registry"], made["winner"], made["former"], reason)
