"""The kinds of models: what the registry, its commands and the dashboard have to know about each.

`PLACES` is the only list of them. A new kind is a class and a file with its flow, in which its `ModelKind` can be
declared too; its place in `PLACES` registers both. The kinds below are declared here instead, since ``gatecast models``
would otherwise import Prefect with their flows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from gatecast.data.errors import FormatError
from gatecast.flows.engine.deployable import CONTINUED, Deployable, imported
from gatecast.flows.registry.measures import ACCURACY, BITS_PER_CHARACTER, F1, MEASURES, RMSE, Figure, Standing
from gatecast.lstm.training import checkpoint

if TYPE_CHECKING:
    from gatecast.data.settings import Settings
    from gatecast.flows.judging.comparison import Comparison, Contender

Evaluation = Mapping[str, Any]
"""The content of a version's ``evaluation.json``."""
Against = Literal["best_baseline", "naive"]
Rows = list[dict[str, str]]
PLACES: Mapping[str, str] = MappingProxyType(
    {
        "Forecaster": "gatecast.flows.registry.kinds:FORECASTER",
        "CharLM": "gatecast.flows.registry.kinds:LANGUAGE_MODEL",
        "Tagger": "gatecast.flows.registry.kinds:TAGGER",
    }
)
"""Where each kind is declared, by its name; a kind is imported when it is first asked for"""


@dataclass(frozen=True, kw_only=True, eq=False)
class ModelKind:
    """One kind of model; there is one object of each.

    Attributes
    ----------
    name : str
        Class of the model, which its checkpoints state.
    called : str
        What people call such a model.
    model : str
        Place of the class, ``gatecast.lstm.tagging.tagger:Tagger``.
    settings_model : str
        Place of the settings of its training.
    flow : Deployable
        Its training, as the dashboard offers it.
    trained_by : str
        The command, without ``gatecast``; ``run`` and the flow's name if the kind has no command of its own.
    used_by : str, optional
        The command that uses it, if there is one.
    exported_to : tuple of str
        Formats that ``gatecast export`` can write.
    figure : callable
        Returns what a version is judged by.
    test_data : callable
        Says what a version was scored on.
    scores : callable
        Returns the scores of a version, and of what it is compared with, as rows of a table.
    compare : callable
        Compares two versions on data that neither has seen: from a path or, without one, from the second version.
        Raises `flows.judging.comparison.IncomparableError` if that is not possible.
    verdict : callable, optional
        Returns how a version stands against its best baseline or the naive forecast, None if that is not known;
        without it, the baseline of `figure` decides.
    """

    name: str
    called: str
    model: str
    settings_model: str
    flow: Deployable
    trained_by: str
    used_by: str | None = None
    exported_to: tuple[str, ...] = ()
    figure: Callable[[Evaluation], Figure]
    test_data: Callable[[Evaluation], str]
    scores: Callable[[Evaluation], Rows]
    compare: Callable[[Contender, Contender, Path | None], Comparison]
    verdict: Callable[[Evaluation, Against], Standing | None] | None = None

    def standing(self, evaluation: Evaluation, against: Against = "best_baseline") -> Standing | None:
        """Return how a version stands against a baseline, None if that is not known."""
        if self.verdict is not None:
            return self.verdict(evaluation, against)
        figure = self.figure(evaluation)
        if figure.baseline is None:
            return None
        loses = figure.measure.is_worse(figure.value, figure.baseline)
        return Standing("the best baseline", figure.measure, figure.value, figure.baseline, loses)

    def load(self, path: Path) -> Any:
        """Load the model of a version."""
        return imported(self.model).from_checkpoint(checkpoint.read(path), path)

    def settings(self, values: Mapping[str, Any]) -> Settings:
        """Validate the settings that a version was trained with; a ValueError: another Gatecast wrote them."""
        return imported(self.settings_model).model_validate(values)


class _Kinds(Mapping[str, ModelKind]):
    """What `PLACES` names."""

    def __getitem__(self, name: str) -> ModelKind:
        return imported(PLACES[name])

    def __iter__(self) -> Iterator[str]:
        return iter(PLACES)

    def __len__(self) -> int:
        return len(PLACES)


KINDS: Mapping[str, ModelKind] = _Kinds()
"""Every kind by its name"""


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


def load_model(path: Path) -> Any:
    """Load the checkpoint of a model of any kind.

    Raises
    ------
    DamagedError, FormatError
        See `data.errors`.
    """
    return find_kind(checkpoint.read_document(path)["kind"], path).load(path)


# ---------------------------------------------------------------- forecasters


def _forecaster_figure(evaluation: Evaluation) -> Figure:
    from gatecast.flows.judging.evaluation import MODEL, NAIVE, overall

    judged = evaluation.get("judged")
    if judged is not None:
        return Figure(MEASURES[judged["measure"]], judged["score"], judged["best_score"] or None)
    # A version of 0.1.0
    total = overall(evaluation["scores"])
    return Figure(RMSE, total[MODEL]["rmse"], total[NAIVE]["rmse"] or None)


def _forecaster_standing(evaluation: Evaluation, against: Against) -> Standing | None:
    judged = evaluation.get("judged" if against == "best_baseline" else "judged_against_naive")
    if judged is None:  # a version of an earlier Gatecast
        return None
    measure, value, best = MEASURES[judged["measure"]], judged["score"], judged["best_score"]
    told = judged["p_value"], judged["origins"], judged.get("needed")
    return Standing(judged["best_label"], measure, value, best, judged["outcome"] == "worse", *told)


def _forecaster_scores(evaluation: Evaluation) -> Rows:
    from gatecast.flows.judging.tables import score_table

    return score_table(evaluation)


def _compare_forecasters(first: Contender, second: Contender, path: Path | None) -> Comparison:
    from gatecast.flows.engine.ingested import read_ingested
    from gatecast.flows.ingest import ingest
    from gatecast.flows.judging.comparison import compare_forecasters

    directory = second.data
    if path is not None:
        bars = ingest.fn(second.settings.data.from_file(path), second.workspace)
        directory = Path(bars["directory"])
    return compare_forecasters(first, second, read_ingested(directory))


FORECASTER = ModelKind(
    name="Forecaster",
    called="forecaster",
    model="gatecast.lstm.forecasting.forecaster:Forecaster",
    settings_model="gatecast.flows.settings.runs:RetrainSettings",
    flow=Deployable(
        "retrain",
        "gatecast.flows.retrain:retrain",
        "Trains on the latest data, compares with the naive forecasts and the champion, and forecasts with the winner.",
        CONTINUED,
    ),
    trained_by="retrain",
    used_by="forecast",
    exported_to=("onnx", "torch"),
    figure=_forecaster_figure,
    test_data=lambda evaluation: f"test period {evaluation['first']} to {evaluation['last']}, {evaluation['unit']}",
    scores=_forecaster_scores,
    compare=_compare_forecasters,
    verdict=_forecaster_standing,
)


# ---------------------------------------------------------------- language models


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
    model="gatecast.lstm.language.char_lm:CharLM",
    settings_model="gatecast.flows.settings.text:TextSettings",
    flow=Deployable("text", "gatecast.flows.text:train_text", "Trains a character model on text files.", CONTINUED),
    trained_by="text train",
    used_by="text generate",
    figure=_language_model_figure,
    test_data=lambda evaluation: "last part of the text, which was not trained on (nats per token)",
    scores=_language_model_scores,
    compare=_compare_language_models,
)


# ---------------------------------------------------------------- taggers


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
    model="gatecast.lstm.tagging.tagger:Tagger",
    settings_model="gatecast.flows.settings.tagging:TaggingSettings",
    flow=Deployable("tagging", "gatecast.flows.tagging:train_tagger", "Trains a tagger on CoNLL files.", CONTINUED),
    trained_by="tag train",
    used_by="tag predict --text",
    figure=_tagger_figure,
    test_data=lambda evaluation: f"the {evaluation['on']} sentences",
    scores=_tagger_scores,
    compare=_compare_taggers,
)
