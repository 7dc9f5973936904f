"""The kinds of models: what the registry, its commands and the dashboard have to know about each.

A new kind is one entry in `KINDS` and the functions that it names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from gatecast.data.errors import FormatError
from gatecast.flows.registry.measures import ACCURACY, BITS_PER_CHARACTER, F1, MEASURES, RMSE, Figure

if TYPE_CHECKING:
    from gatecast.data.settings import Settings
    from gatecast.flows.judging.comparison import Comparison, Contender

Evaluation = Mapping[str, Any]
"""The content of a version's ``evaluation.json``."""
Rows = list[dict[str, str]]


@dataclass(frozen=True, kw_only=True)
class ModelKind:
    """One kind of model.

    Attributes
    ----------
    name : str
        Class of the model, which its checkpoints state.
    called : str
        What people call such a model.
    trained_by, used_by : str
        The commands, without ``gatecast``.
    exported_to : tuple of str
        Formats that ``gatecast export`` can write.
    settings : callable
        Validates the settings that a version was trained with; a ValueError means that another Gatecast wrote them.
    figure : callable
        Returns what a version is judged by.
    test_data : callable
        Says what a version was scored on.
    scores : callable
        Returns the scores of a version, and of what it is compared with, as rows of a table.
    compare : callable
        Compares two versions on data that neither has seen: from a path or, without one, from the second version.
        Raises `flows.judging.comparison.IncomparableError` if that is not possible.
    """

    name: str
    called: str
    trained_by: str
    used_by: str
    exported_to: tuple[str, ...] = ()
    settings: Callable[[Mapping[str, Any]], Settings]
    figure: Callable[[Evaluation], Figure]
    test_data: Callable[[Evaluation], str]
    scores: Callable[[Evaluation], Rows]
    compare: Callable[[Contender, Contender, Path | None], Comparison]

    def load(self, path: Path) -> Any:
        """Load the model of a version."""
        from gatecast.lstm.models import load

        return load(path)


# ---------------------------------------------------------------- forecasters


def _forecaster_settings(values: Mapping[str, Any]) -> Settings:
    from gatecast.flows.settings.runs import RetrainSettings

    return RetrainSettings.model_validate(values)


def _forecaster_figure(evaluation: Evaluation) -> Figure:
    from gatecast.flows.judging.evaluation import MODEL, NAIVE, overall

    judged = evaluation.get("judged")
    if judged is not None:
        return Figure(MEASURES[judged["measure"]], judged["score"], judged["best_score"] or None)
    # A version of 0.1.0
    total = overall(evaluation["scores"])
    return Figure(RMSE, total[MODEL]["rmse"], total[NAIVE]["rmse"] or None)


def _forecaster_scores(evaluation: Evaluation) -> Rows:
    from gatecast.flows.judging.tables import score_table

    return score_table(evaluation)


def _compare_forecasters(first: Contender, second: Contender, path: Path | None) -> Comparison:
    from gatecast.flows.engine.ingested import read_ingested
    from gatecast.flows.ingest import ingest
    from gatecast.flows.judging.comparison import compare_forecasters
    from gatecast.flows.settings.workspace import Workspace

    directory = second.data
    if path is not None:
        bars = ingest.fn(second.settings.data.from_file(path), Workspace.from_environment())
        directory = Path(bars["directory"])
    return compare_forecasters(first, second, read_ingested(directory))


FORECASTER = ModelKind(
    name="Forecaster",
    called="forecaster",
    trained_by="retrain",
    used_by="forecast",
    exported_to=("onnx", "torch"),
    settings=_forecaster_settings,
    figure=_forecaster_figure,
    test_data=lambda evaluation: f"test period {evaluation['first']} to {evaluation['last']}, {evaluation['unit']}",
    scores=_forecaster_scores,
    compare=_compare_forecasters,
)


# ---------------------------------------------------------------- language models


def _text_settings(values: Mapping[str, Any]) -> Settings:
    from gatecast.flows.settings.text import TextSettings

    return TextSettings.model_validate(values)


def _language_model_figure(evaluation: Evaluation) -> Figure:
    model, *counting = (score["bits_per_char"] for score in evaluation["scores"])
    return Figure(BITS_PER_CHARACTER, model, min(counting, default=None))


def _language_model_scores(evaluation: Evaluation) -> Rows:
    from gatecast.flows.judging.tables import language_model_table

    return language_model_table(evaluation["scores"])


def _compare_language_models(first: Contender, second: Contender, path: Path | None) -> Comparison:
    from gatecast.flows.judging.comparison import compare_language_models

    return compare_language_models(first, second, path)


LANGUAGE_MODEL = ModelKind(
    name="CharLM",
    called="language model",
    trained_by="text train",
    used_by="text generate",
    settings=_text_settings,
    figure=_language_model_figure,
    test_data=lambda evaluation: "last part of the text, which was not trained on (nats per token)",
    scores=_language_model_scores,
    compare=_compare_language_models,
)


# ---------------------------------------------------------------- taggers


def _tagger_settings(values: Mapping[str, Any]) -> Settings:
    from gatecast.flows.settings.tagging import TaggingSettings

    return TaggingSettings.model_validate(values)


def _tagger_figure(evaluation: Evaluation) -> Figure:
    measure, value = (F1, evaluation["f1"]) if "f1" in evaluation else (ACCURACY, evaluation["accuracy"])
    return Figure(measure, value, evaluation.get("most_frequent"))


def _tagger_scores(evaluation: Evaluation) -> Rows:
    from gatecast.flows.judging.tables import tagger_table

    return tagger_table(evaluation)


def _compare_taggers(first: Contender, second: Contender, path: Path | None) -> Comparison:
    from gatecast.flows.judging.comparison import compare_taggers

    return compare_taggers(first, second, path)


TAGGER = ModelKind(
    name="Tagger",
    called="tagger",
    trained_by="tag train",
    used_by="tag predict --text",
    settings=_tagger_settings,
    figure=_tagger_figure,
    test_data=lambda evaluation: f"the {evaluation['on']} sentences",
    scores=_tagger_scores,
    compare=_compare_taggers,
)

KINDS: Mapping[str, ModelKind] = MappingProxyType({kind.name: kind for kind in (FORECASTER, LANGUAGE_MODEL, TAGGER)})


def find_kind(name: str, path: Path) -> ModelKind:
    """Return the kind that the checkpoint at `path` states.

    Raises
    ------
    FormatError
        There is no such kind in this Gatecast.
    """
    if name not in KINDS:
        known = ", ".join(KINDS)
        raise FormatError(
            f"{path} was written by another Gatecast: it holds a {name!r}, and this one knows {known}; use that"
            " Gatecast."
        )
    return KINDS[name]
