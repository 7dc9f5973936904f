"""Train a line: read → train → evaluate → version → promote. All that Gatecast has to know of it is in this file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from gatecast.data.settings import NAME_PATTERN, Settings
from gatecast.data.store import sha256_file, write_json
from gatecast.flows.engine.caching import code_version, digest, hashes
from gatecast.flows.engine.deployable import Deployable
from gatecast.flows.engine.orchestration import Steps, cancelled, flow, run_name, task
from gatecast.flows.engine.progress import TrainingProgress
from gatecast.flows.engine.results import Promoted, Trained, Written
from gatecast.flows.engine.runs import WhenBusy
from gatecast.flows.judging.comparison import Comparison, Contender
from gatecast.flows.registry.kinds import ModelKind, load_model
from gatecast.flows.registry.measures import RMSE, Figure
from gatecast.flows.settings.locations import LocalPath
from gatecast.flows.settings.workspace import Workspace
from gatecast.flows.training import Attempt, Job, checkpoint, registry_of, settle
from tests.flows.toy.line import Line, LineSettings


class LineTraining(Settings):
    path: LocalPath = Field(description="Folder with points.csv: x and y of a point a line")
    name: str = Field("line", pattern=NAME_PATTERN, description="Name of the model")
    model: LineSettings = Field(default_factory=LineSettings, description="The line and its training")


def compare(first: Contender, second: Contender, path: Path | None) -> Comparison:
    x, y = read(path or second.data)
    scores = [rmse(contender.model, x, y) for contender in (second, first)]
    rows = [{"version": each.name, "RMSE": f"{rmse(each.model, x, y):.4f}"} for each in (first, second)]
    return Comparison(RMSE, *scores, f"{len(x)} points", rows=rows)


LINE = ModelKind(
    name="Line",
    called="line",
    model="tests.flows.toy.line:Line",
    settings_model="tests.flows.toy.flow:LineTraining",
    flow=Deployable("line", "tests.flows.toy.flow:train_line", "Fits a line to points.", {"resume": True}),
    trained_by="run line",
    figure=lambda evaluation: Figure(RMSE, evaluation["rmse"], evaluation["mean"]),
    test_data=lambda evaluation: f"{evaluation['points']} points",
    scores=lambda evaluation: [{"model": name, "RMSE": f"{evaluation[name]:.4f}"} for name in ("rmse", "mean")],
    compare=compare,
)


@flow(name="train line", flow_run_name=run_name(lambda given: LineTraining.model_validate(given["settings"]).name))
def train_line(
    settings: LineTraining, resume: bool = False, force: bool = False, when_busy: WhenBusy = "wait"
) -> dict[str, Any]:
    """Fit a line to points.

    Parameters
    ----------
    settings : LineTraining
        Points and model.
    resume : bool
        Continue an interrupted training.
    force : bool
        Run every step again, even where nothing has changed.
    when_busy : {"wait", "cancel"}
        What this run does while another one trains the same model.
    """
    workspace = Workspace.from_environment()
    registry = registry_of(workspace, settings.name, LINE)
    with Steps(workspace) as step:
        if not step.alone(registry.name, when_busy):
            return cancelled(f"Another training of {registry.name} is under way.")
        points = sha256_file(settings.path / "points.csv")
        job = Job(workspace, registry.name, digest(points, settings.model, code_version()))
        trained = step(train, job, settings, resume)
        evaluated = step(evaluate, job, trained["model"], settings.path)
        lineage = {"data_hash": points, "data": str(settings.path), "code_version": code_version()}
        version = step(checkpoint, job, trained["model"], list(evaluated["files"]), settings, lineage)
        promoted = step(promote, job, version["version"], settings.path)
    return {"train": trained, "checkpoint": version, "promote": promoted, "steps": step.records}


def read(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.loadtxt(folder / "points.csv", delimiter=",").T[:, :, None]
    return x.copy(), y.copy()


def rmse(model: Line, x: np.ndarray, y: np.ndarray) -> float:
    return float(np.sqrt(((model.predict(x) - y) ** 2).mean()))


@task("train {job.name}", cached=True, ignore=("resume",), retries=2)
def train(job: Job, settings: LineTraining, resume: bool) -> Trained:
    attempt = Attempt.of(job, resume)
    model = Line.from_settings(settings.model)
    with TrainingProgress(model, job.name) as progress:
        model.fit(*read(settings.path), checkpoints=attempt.checkpoints, resume=attempt.resume, on_epoch=progress)
    return attempt.finish(model)


@task("evaluate {job.name}", cached=True)
def evaluate(job: Job, model: str, path: Path) -> Written:
    x, y = read(path)
    scores = {"rmse": rmse(load_model(Path(model)), x, y), "mean": float(y.std()), "points": len(x)}
    verdict = f"RMSE {scores['rmse']:.4f}, and the mean has {scores['mean']:.4f}."
    written = write_json(job.reports / "evaluation.json", {**scores, "verdict": verdict})
    return {"files": hashes(written), "summary": verdict}


@task("promote {version}?", cached=False)
def promote(job: Job, version: str, path: Path) -> Promoted:
    x, y = read(path)

    def meet(champion: Line, _: LineTraining) -> Comparison:
        return Comparison(RMSE, rmse(job.registry.model(version, LINE), x, y), rmse(champion, x, y), f"{len(x)} points")

    return settle(job.registry, version, LINE, meet)
