"""Train a language model: text → train → evaluate → version → promote.

The model is `gatecast.CharLM`. Its result is shown next to those of models that only count: token frequencies, and
contexts of four tokens. The champion is the version that needs the fewest bits per character of the text's last part.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from gatecast.data.errors import naming
from gatecast.data.language.text import read_text, sample_text, split_text
from gatecast.data.store import atomic_file, sha256_file, write_json
from gatecast.flows.engine.artifacts import (
    Markdown,
    code_block,
    create_markdown_artifact,
    create_table_artifact,
    escaped,
)
from gatecast.flows.engine.caching import code_version, digest, hashes
from gatecast.flows.engine.orchestration import Steps, artifact_key, cancelled, flow, run_name, task
from gatecast.flows.engine.progress import StepProgress
from gatecast.flows.engine.results import Promoted, Result, StepRecord, Trained, Versioned, Written
from gatecast.flows.engine.runs import WhenBusy
from gatecast.flows.judging.comparison import Comparison, meet_language_model
from gatecast.flows.judging.tables import language_model_table
from gatecast.flows.registry.kinds import LANGUAGE_MODEL
from gatecast.flows.reporting import pictures as report
from gatecast.flows.reporting.last_runs import record_run
from gatecast.flows.reporting.overview import update_overview
from gatecast.flows.settings.text import TextSettings
from gatecast.flows.settings.workspace import Workspace
from gatecast.flows.training import Attempt, Job, checkpoint, registry_of, settle
from gatecast.lstm.config import CharLMSettings
from gatecast.lstm.language.char_lm import CharLM
from gatecast.lstm.language.ngram import ngram_cross_entropy
from gatecast.lstm.models import load
from gatecast.lstm.training.loop import EpochRecord

BASELINES = {"counts of 4-token contexts": 4, "token frequencies": 0}
SAMPLE_TOKENS = 400
SAMPLE_TEMPERATURE = 0.8

DEFAULTS = TextSettings()


class TextRead(Result):
    """A text that was read and stored."""

    path: str
    content_hash: str


class TextEvaluated(Written):
    """Paths of what the evaluation of a language model wrote, and its score."""

    evaluation: str
    losses: str
    sample: str
    bits_per_char: float


class TextTrained(TypedDict):
    """What the training of a language model returns: its name and settings, and what each step returned."""

    name: str
    settings: dict[str, Any]
    steps: list[StepRecord]
    read: TextRead
    train: Trained
    evaluate: TextEvaluated
    checkpoint: Versioned
    promote: Promoted


@flow(
    name="train text", flow_run_name=run_name(lambda given: TextSettings.model_validate(given["settings"]).model_name)
)
def train_text(
    settings: TextSettings = DEFAULTS, resume: bool = False, force: bool = False, when_busy: WhenBusy = "wait"
) -> TextTrained:
    """Train a language model on text files, compare it with counting models and the champion, and let it write.

    Parameters
    ----------
    settings : TextSettings
        Files and model.
    resume : bool
        Continue an interrupted training with the same text, code and settings; the result is bit-identical.
    force : bool
        Run every step again, even where nothing has changed.
    when_busy : {"wait", "cancel"}
        Whether this run waits or is cancelled if another training of the same model is under way.

    Returns
    -------
    TextTrained
        What each step returned, the ``name`` of the model, and name, seconds and cache state of the ``steps``.
    """
    workspace = Workspace.from_environment()
    registry = registry_of(workspace, settings.model_name, LANGUAGE_MODEL)
    with Steps(workspace) as step:
        text = step(read, settings.paths, workspace.texts)
        if not step.alone(registry.name, when_busy):
            return cancelled(f"Another training of {registry.name} is under way.")

        job = Job(workspace, registry.name, digest(text["content_hash"], settings.model, code_version()))
        trained = step(train, job, text["path"], settings.model, resume)
        evaluated = step(evaluate, job, trained["model"], text["path"])
        lineage = {"data_hash": text["content_hash"], "data": text["path"], "code_version": code_version()}
        version = step(checkpoint, job, trained["model"], [evaluated["evaluation"]], settings, lineage)
        bits = evaluated["bits_per_char"]
        promoted = step(promote, job, version["version"], bits, text["path"], settings.model)
        record_run(workspace, registry.name, "retrain")
        update_overview(workspace)
    return {
        "name": registry.name,
        "settings": settings.model_dump(mode="json"),
        "steps": step.records,
        "read": text,
        "train": trained,
        "evaluate": evaluated,
        "checkpoint": version,
        "promote": promoted,
    }


@task("read text", cached=False)
def read(paths: Sequence[Path], texts: Path) -> TextRead:
    """Read the files, or the sample, and store the text under a name made from its content."""
    text = read_text(paths) if paths else sample_text()
    content = text.encode()
    content_hash = hashlib.sha256(content).hexdigest()
    path = texts / f"{content_hash[:12]}.txt"
    if not path.exists() or sha256_file(path) != content_hash:
        with atomic_file(path) as temporary:
            temporary.write_bytes(content)
    source = f"{len(paths)} file{'s' if len(paths) > 1 else ''}" if paths else "the sample"
    return {
        "path": str(path),
        "content_hash": content_hash,
        "summary": f"{len(text):,} characters of {source}, {len(set(text))} different ones",
    }


@task("train {job.name}", cached=True, ignore=("resume",), retries=2)
def train(job: Job, text: str, settings: CharLMSettings, resume: bool) -> Trained:
    """Fit the model; each epoch leaves a sample, and a checkpoint from which an interrupted training can continue."""
    attempt = Attempt.of(job, resume)
    model = CharLM.from_settings(settings)
    with StepProgress(job.name) as progress:

        def after_epoch(record: EpochRecord) -> None:
            progress.after_epoch(record)
            if math.isfinite(record.seconds):  # not one that was trained before the interruption
                _publish_sample(model, job.name, record)

        model.fit(
            _text_of(text),
            checkpoints=attempt.checkpoints,
            resume=attempt.resume,
            on_epoch=after_epoch,
            on_step=lambda step, loss: progress.after_step(step, model.total_steps, loss),
        )
    return attempt.finish(model)


def _publish_sample(model: CharLM, name: str, record: EpochRecord) -> None:
    sample = model.generate("", SAMPLE_TOKENS, SAMPLE_TEMPERATURE)
    heading = f"Epoch {record.epoch}, {record.step:,} steps: {record.validation_loss:.3f} nats per token on validation"
    markdown = Markdown(f"{escaped(heading)}\n\n{code_block(sample)}\n")
    create_markdown_artifact(markdown, key=f"{artifact_key(name)}-sample", description=heading)


@task("evaluate {job.name}", cached=True)
def evaluate(job: Job, model: str, text: str) -> TextEvaluated:
    """Score the model and the counting models on the end of the text, which it was not trained on."""
    language_model = load(Path(model))
    folder = job.reports
    training, validation = split_text(_text_of(text), language_model.settings.validation_fraction)
    result = language_model.evaluate(validation)
    scores = [{"model": "LSTM", **result}, *_baselines(language_model, training, validation, result)]
    sentence = _verdict(scores)
    evaluation = write_json(folder / "evaluation.json", {"verdict": sentence, "scores": scores})
    history = language_model.history
    losses = report.plot_losses(history, language_model.best_epoch, folder / "losses.png", "nats per token")
    sample = folder / "sample.txt"
    with atomic_file(sample) as temporary:
        temporary.write_text(language_model.generate("", 2 * SAMPLE_TOKENS, SAMPLE_TEMPERATURE), encoding="utf-8")
    key = artifact_key(job.name)
    shown = report.embedded_picture(losses, "Loss by epoch")
    create_table_artifact(table=language_model_table(scores), key=f"{key}-scores", description=sentence)
    markdown = Markdown(f"{escaped(sentence)}\n\n{shown}\n")
    create_markdown_artifact(markdown, key=f"{key}-losses", description=f"Training of {job.name}")
    return {
        "evaluation": str(evaluation),
        "losses": str(losses),
        "sample": str(sample),
        "bits_per_char": result["bits_per_char"],
        "files": hashes(evaluation, losses, sample),
        "summary": sentence,
    }


def _baselines(model: CharLM, training: str, validation: str, result: dict[str, float]) -> list[dict[str, Any]]:
    """Return the scores of the counting models on the tokens that the model was scored on."""
    vocabulary = model.vocabulary
    assert vocabulary is not None
    seen = vocabulary.encode(training)
    tokens = vocabulary.encode(validation)
    counts = np.full(len(tokens) - 1, True) if vocabulary.trained_unknown else tokens[1:] != 0
    scores = []
    for name, context in BASELINES.items():
        losses = ngram_cross_entropy(seen, tokens, len(vocabulary), context)[counts]
        nats = float(losses.mean())
        bits = nats * result["bits_per_char"] / result["cross_entropy"]
        scores.append({"model": name, "cross_entropy": nats, "perplexity": math.exp(nats), "bits_per_char": bits})
    return scores


def _verdict(scores: list[dict[str, Any]]) -> str:
    ours = scores[0]
    best = min(scores[1:], key=lambda score: score["bits_per_char"])
    share = ours["bits_per_char"] / best["bits_per_char"] - 1
    more = f"{abs(share):.1%} {'fewer' if share < 0 else 'more'}" if share < 1 else "over twice as many"
    than = f"{more} {'than' if share < 1 else 'as'} {best['model']} ({best['bits_per_char']:.3f})"
    unknown = f" {ours['unknown']:,} tokens of it were unknown to the model." if ours["unknown"] else ""
    return f"The LSTM needs {ours['bits_per_char']:.3f} bits per character of the last part, {than}.{unknown}"


@task("promote {version}?", cached=False)
def promote(job: Job, version: str, bits_per_char: float, text: str, settings: CharLMSettings) -> Promoted:
    """Make the version champion unless the present champion needs fewer bits for the end of the text."""
    _, validation = split_text(_text_of(text), settings.validation_fraction)

    def meet(model: CharLM, _: TextSettings) -> Comparison:
        return meet_language_model(model, validation, bits_per_char)

    return settle(job.registry, version, LANGUAGE_MODEL, meet)


def _text_of(path: str) -> str:
    with naming(Path(path)):
        return Path(path).read_bytes().decode()
