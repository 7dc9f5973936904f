"""Train a tagger: sentences → train → evaluate → version → promote.

The model is `gatecast.Tagger`. Its result is shown next to that of the naive tagger, which gives each word the tag it
most often had in training. The champion is the version with the best score on the dev sentences.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

from gatecast.data.errors import InputError
from gatecast.data.language.tagging import TaggedText, has_chunks, read_conll, write_conll
from gatecast.data.language.words import read_vectors
from gatecast.data.store import (
    atomic_directory,
    atomic_file,
    json_of,
    settled,
    sha256_file,
    write_file_hashes,
    write_json,
)
from gatecast.flows.engine.caching import code_version, digest, hashes
from gatecast.flows.engine.orchestration import Steps, cancelled, flow, run_name, task
from gatecast.flows.engine.progress import TrainingProgress
from gatecast.flows.engine.results import Promoted, Result, StepRecord, Trained, Versioned, Written
from gatecast.flows.engine.runs import WhenBusy
from gatecast.flows.judging.comparison import Comparison, meet_tagger, read_tagged
from gatecast.flows.registry.catalogue import choose_champion
from gatecast.flows.registry.kinds import TAGGER
from gatecast.flows.registry.registry import Registry
from gatecast.flows.reporting import tagging as tagging_report
from gatecast.flows.reporting.last_runs import record_run
from gatecast.flows.reporting.overview import update_overview
from gatecast.flows.settings.tagging import TaggingSettings
from gatecast.flows.settings.workspace import Workspace
from gatecast.flows.training import Attempt, Job, checkpoint, registry_of, settle
from gatecast.lstm.config import TaggerSettings
from gatecast.lstm.models import load
from gatecast.lstm.tagging.entities import confusion, most_frequent_tags, score_chunks, token_accuracy
from gatecast.lstm.tagging.tagger import Tagger
from gatecast.lstm.training.checkpoint import read_extra_file
from gatecast.lstm.training.loop import EpochRecord

_LOGGER = logging.getLogger(__name__)
NAIVE = "most_frequent_tags.json"
PARTS = ("train", "dev", "test")


class SentencesRead(Result):
    """Sentences that were read and stored."""

    directory: str
    content_hash: str
    vectors: str | None
    """File of the word vectors"""
    model: dict[str, Any]
    """Settings of the model that follow from what was read"""


class TaggerEvaluated(Written):
    """Paths of what the evaluation of a tagger wrote."""

    scores: str
    naive: str
    confusion: str
    curves: str
    predictions: str


class TaggerTrained(TypedDict):
    """What the training of a tagger returns: its name, and what each step returned."""

    name: str
    steps: list[StepRecord]
    read: SentencesRead
    train: Trained
    evaluate: TaggerEvaluated
    checkpoint: Versioned
    promote: Promoted


@flow(
    name="train tagger",
    flow_run_name=run_name(lambda given: TaggingSettings.model_validate(given["settings"]).model_name),
)
def train_tagger(
    settings: TaggingSettings, resume: bool = False, force: bool = False, when_busy: WhenBusy = "wait"
) -> TaggerTrained:
    """Train a tagger on CoNLL files, score it, and make it the champion unless the present one tags better.

    Parameters
    ----------
    settings : TaggingSettings
        Files and model.
    resume : bool
        Continue an interrupted training with the same data, code and settings; the result is bit-identical.
    force : bool
        Run every step again, even where nothing has changed.
    when_busy : {"wait", "cancel"}
        Whether this run waits or is cancelled if another training of the same model is under way.

    Returns
    -------
    TaggerTrained
        What each step returned, and name, seconds and cache state of the ``steps``.
    """
    workspace = Workspace.from_environment()
    registry = registry_of(workspace, settings.model_name, TAGGER)
    with Steps(workspace) as step:
        text = step(read_sentences, settings, workspace.tagged)
        if not step.alone(registry.name, when_busy):
            return cancelled(f"Another training of {registry.name} is under way.")

        model = settings.model.model_copy(update=text["model"])
        job = Job(workspace, registry.name, digest(text["content_hash"], model, code_version()))
        trained = step(train, job, text["directory"], text["vectors"], settings.max_vectors, model, resume)
        evaluated = step(evaluate, job, trained["model"], text["directory"])
        lineage = {"data_hash": text["content_hash"], "data": text["directory"], "code_version": code_version()}
        files = [evaluated["scores"], evaluated["naive"]]
        version = step(checkpoint, job, trained["model"], files, settings, lineage)
        promoted = step(promote, job, version["version"], text["directory"])
        record_run(workspace, registry.name, "retrain")
        update_overview(workspace)
    return {
        "name": registry.name,
        "steps": step.records,
        "read": text,
        "train": trained,
        "evaluate": evaluated,
        "checkpoint": version,
        "promote": promoted,
    }


@task("read sentences", cached=False)
def read_sentences(settings: TaggingSettings, directory: Path) -> SentencesRead:
    """Read and check the files, and write what the training uses of them to a folder named after its content."""
    columns = {"word_column": settings.word_column, "tag_column": settings.tag_column}
    paths = {part: path for part in PARTS if (path := getattr(settings, part)) is not None}
    texts = {part: read_conll(path, **columns) for part, path in paths.items()}
    scheme = settings.model.scheme
    if scheme in ("BIO", "BIOES") or (scheme == "auto" and has_chunks(texts["train"].tags)):
        for text in texts.values():
            text.require_chunks()
    # The tagger is as wide as its vectors, unless a width was asked for.
    adopted: dict[str, Any] = {}
    if settings.vectors is not None and "word_size" not in settings.model.model_fields_set:
        adopted["word_size"] = read_vectors(settings.vectors, limit=1).size
    content_hash = _hash(texts, settings)
    folder = directory / content_hash[:12]
    with atomic_directory(folder) as temporary:
        for part, text in texts.items():
            with (temporary / f"{part}.conll").open("w", encoding="utf-8", newline="\n") as file:
                write_conll(file, text.sentences, text.tags)
        write_file_hashes(temporary)
    counts = [f"{len(text):,} {part}" for part, text in texts.items()]
    return {
        "directory": str(folder),
        "content_hash": content_hash,
        "vectors": str(settings.vectors) if settings.vectors else None,
        "model": adopted,
        "summary": f"sentences: {', '.join(counts)}",
    }


def _hash(texts: Mapping[str, TaggedText], settings: TaggingSettings) -> str:
    vectors = [sha256_file(settings.vectors), settings.max_vectors] if settings.vectors else None
    return digest({part: [text.sentences, text.tags] for part, text in texts.items()}, vectors)


@task("train {job.name}", cached=True, ignore=("resume",), retries=2)
def train(
    job: Job, sentences: str, vectors: str | None, max_vectors: int, settings: TaggerSettings, resume: bool
) -> Trained:
    """Fit the tagger; each epoch leaves a checkpoint, from which an interrupted training can continue."""
    attempt = Attempt.of(job, resume)
    texts = _read_texts(Path(sentences))
    model = Tagger.from_settings(settings)
    dev = (texts["dev"].sentences, texts["dev"].tags) if "dev" in texts else None
    read = read_vectors(vectors, max_vectors) if vectors else None
    with TrainingProgress(model, job.name, _describe) as progress:
        model.fit(
            texts["train"].sentences,
            texts["train"].tags,
            dev=dev,
            vectors=read,
            checkpoints=attempt.checkpoints,
            resume=attempt.resume,
            on_epoch=progress,
        )
    return attempt.finish(model)


def _describe(record: EpochRecord) -> str:
    return f"loss {record.train_loss:.3f}  dev score {100 * (1 - record.validation_loss):.1f} %"


def _read_texts(folder: Path) -> dict[str, TaggedText]:
    """Read what `read_sentences` wrote."""
    files = {part: settled(folder).path / f"{part}.conll" for part in PARTS}
    return {part: read_tagged(path) for part, path in files.items() if path.exists()}


@task("evaluate {job.name}", cached=True)
def evaluate(job: Job, model: str, sentences: str) -> TaggerEvaluated:
    """Score the tagger and the naive one, and draw the pictures for people."""
    tagger = load(Path(model))
    folder = job.reports
    texts = _read_texts(Path(sentences))
    naive = dict(
        zip(("usual", "words"), most_frequent_tags(texts["train"].sentences, texts["train"].tags), strict=True)
    )
    part = next(part for part in ("test", "dev", "train") if part in texts)
    scores, predicted = score(tagger, texts[part], naive)
    label = {"test": "the test file", "dev": "the dev file", "train": "its own training file"}[part]
    sentence = tagging_report.verdict(scores, label)
    names, counts = confusion(texts[part].tags, predicted)
    title = f"{job.name} on {label}"
    measure = "F1" if "f1" in scores else "accuracy"
    evaluation = write_json(folder / "evaluation.json", {"on": part, "verdict": sentence, **scores})
    usual = write_json(folder / NAIVE, naive)
    matrix = tagging_report.plot_confusion(names, counts, title, folder / "confusion.png")
    curves = tagging_report.plot_scores(tagger.history, tagger.best_epoch, measure, folder / "curves.png")
    predictions = folder / "predictions.conll"
    with atomic_file(predictions) as temporary, temporary.open("w", encoding="utf-8") as file:
        write_conll(file, texts[part].sentences, texts[part].tags, predicted)
    tagging_report.publish(job.name, scores, sentence, matrix)
    return {
        "scores": str(evaluation),
        "naive": str(usual),
        "confusion": str(matrix),
        "curves": str(curves),
        "predictions": str(predictions),
        "files": hashes(evaluation, usual, matrix, curves, predictions),
        "summary": sentence,
    }


def score(tagger: Tagger, text: TaggedText, naive: Mapping[str, Any] | None) -> tuple[dict[str, Any], list[list[str]]]:
    """Return the tagger's scores on a text, the naive tagger's as ``most_frequent``, and the predicted tags.

    Parameters
    ----------
    tagger : Tagger
    text : TaggedText
    naive : mapping, optional
        ``usual`` and ``words``, see `lstm.tagging.entities.most_frequent_tags`.
    """
    if tagger.scheme != "none":
        text.require_chunks()
    scores = tagger.evaluate(text.sentences, text.tags)
    if naive is not None:
        guesses = [[naive["words"].get(word, naive["usual"]) for word in sentence] for sentence in text.sentences]
        is_chunked = "f1" in scores
        scores["most_frequent"] = (
            score_chunks(text.tags, guesses)["f1"] if is_chunked else token_accuracy(text.tags, guesses)
        )
    return scores, tagger.predict(text.sentences)


@task("promote {version}?", cached=False)
def promote(job: Job, version: str, sentences: str) -> Promoted:
    """Make the version champion unless the present champion tags the same dev sentences better."""
    texts = _read_texts(Path(sentences))
    return _settle(job.registry, version, texts.get("dev") or texts.get("test"))


def _settle(registry: Registry, version: str, text: TaggedText | None) -> Promoted:
    def meet(champion: Tagger, _: TaggingSettings) -> Comparison | None:
        # Every training holds back different sentences, which the other may have learnt from.
        return meet_tagger(champion, registry.model(version, TAGGER), text) if text else None

    return settle(registry, version, TAGGER, meet)


def choose_tagger(workspace: Workspace, name: str | None) -> tuple[Registry, str]:
    """Return the registry of a tagger and its champion; None takes the only one there is.

    Raises
    ------
    InputError
        There is no tagger, there are several and no name is given, or no tagger has that name.
    """
    registry = Registry(workspace, choose_champion(workspace, name, TAGGER))
    return registry, str(registry.champion())


def naive_tagger(path: Path) -> dict[str, Any] | None:
    """Return what a version keeps of the naive tagger; None if it keeps nothing, or if that is damaged."""
    if not (path / NAIVE).exists():
        return None
    try:
        tags: dict[str, Any] = json_of(read_extra_file(path, NAIVE), path / NAIVE, dict[str, Any])
        return tags
    except InputError as error:
        _LOGGER.warning("%s", error)
        return None
