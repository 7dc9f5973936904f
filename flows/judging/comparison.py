"""Two models on the same data: the comparison behind the gate of a training and ``gatecast models compare``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from gatecast.data.dates.steps import day_in_words
from gatecast.data.errors import DamagedFileError, InputError
from gatecast.data.language.tagging import TaggedText, read_conll
from gatecast.data.language.text import read_text, split_text
from gatecast.data.store import require_file, require_hashed, sha256_file
from gatecast.flows.engine.terminal import counted, figure
from gatecast.flows.judging.evaluation import KEYS, MODEL, predict_test_with
from gatecast.flows.judging.tables import language_model_table
from gatecast.flows.judging.targets import target_of
from gatecast.flows.judging.yardsticks import Yardstick
from gatecast.flows.registry.measures import ACCURACY, BITS_PER_CHARACTER, F1, RMSE, Measure, luck
from gatecast.flows.settings.runs import GateSettings, RetrainSettings
from gatecast.flows.settings.workspace import Workspace
from gatecast.lstm.forecasting.metrics import regression
from gatecast.lstm.forecasting.significance import TESTS, fewest_origins
from gatecast.lstm.forecasting.verdict import judge

if TYPE_CHECKING:
    from gatecast.lstm.forecasting.forecaster import Forecaster
    from gatecast.lstm.language.char_lm import CharLM
    from gatecast.lstm.tagging.tagger import Tagger

NO_GATE = GateSettings()


class IncomparableError(InputError):
    """Two models answer different questions, or there is no data unseen by both; the message says which."""


@dataclass(frozen=True)
class Contender:
    """A version that is compared with another.

    Attributes
    ----------
    name : str
        Of the version.
    model, settings : object
        Of the class of its kind.
    data : Path
        What it was trained on, as its flow stores it in the workspace.
    workspace : Workspace
        Takes in newer data to compare on.
    """

    name: str
    model: Any
    settings: Any
    data: Path
    workspace: Workspace


@dataclass(frozen=True)
class Comparison:
    """What two models score on the same data.

    Attributes
    ----------
    measure : Measure
    value, opponent : float
        Of the challenger (or the second of two versions), and of the other.
    on : str
        The data, as ``43 test rows``.
    test, p_value : str and float, optional
        The statistical test, and its p-value (small: the gain is hardly luck); no p-value with too few origins.
    origins, needed : int, optional
        How many origins there are, and how many the test needs to mean anything.
    rows : sequence of dict
        Scores as rows of text, for a table.
    verdict : str
        Whether the second is worth more than the best baseline, if there are any.
    """

    measure: Measure
    value: float
    opponent: float
    on: str
    test: str | None = None
    p_value: float | None = None
    rows: Sequence[dict[str, str]] = ()
    verdict: str = ""
    origins: int | None = None
    needed: int | None = None

    @property
    def luck(self) -> str:
        """The p-value in words, or that there are too few origins to tell; empty if nothing was tested."""
        return luck(self.p_value, self.origins, self.needed)

    @property
    def gain(self) -> float:
        """How much better than the other; see `flows.registry.measures.Measure.gain`."""
        return self.measure.gain(self.value, self.opponent)

    def record(self) -> dict[str, Any]:
        """Return what the history of promotions stores."""
        return {
            "measure": self.measure.name,
            "value": self.value,
            "opponent": self.opponent,
            "gain": self.gain,
            "on": self.on,
            "test": self.test,
            "p_value": self.p_value,
            "origins": self.origins,
            "needed": self.needed,
        }


# ---------------------------------------------------------------- forecasters


def compare(
    y: pd.Series,
    y_hat: pd.Series,
    opponent: pd.Series,
    cutoff: pd.Series,
    horizon: int,
    gate: GateSettings = NO_GATE,
) -> dict[str, Any]:
    """Compare two forecasts of the same rows by their squared errors.

    Parameters
    ----------
    y, y_hat, opponent : Series of float
        Actual values, and the two forecasts of them.
    cutoff : Series of datetime64
        When each forecast was made. Errors of series and steps with the same cutoff are correlated, so they count as
        one observation of the test.
    horizon : int
        Steps ahead.
    gate : GateSettings
        Says which test; Diebold and Mariano's if it asks for no test.

    Returns
    -------
    dict
        ``rows``, ``rmse`` and ``opponent_rmse``, ``gain`` (the share of the opponent's RMSE that is gone), ``test`` and
        ``p_value`` (one-sided; small: the gain is more than luck; None with too few origins), ``origins`` and how many
        are ``needed``.
    """
    name = "diebold-mariano" if gate.test == "none" else gate.test
    rmse, opponent_rmse = (regression(y.to_numpy(), other.to_numpy())["rmse"] for other in (y_hat, opponent))
    difference = ((opponent - y) ** 2 - (y_hat - y) ** 2).groupby(cutoff.to_numpy()).mean().sort_index()
    needed = fewest_origins(horizon)
    enough = len(difference) >= needed
    return {
        "rows": len(y),
        "rmse": rmse,
        "opponent_rmse": opponent_rmse,
        "gain": 1 - rmse / opponent_rmse if opponent_rmse > 0 else 0.0,
        "test": name,
        "p_value": TESTS[name](difference.to_numpy(np.float64), horizon) if enough else None,
        "origins": len(difference),
        "needed": needed,
    }


def meet_forecaster(
    model: Forecaster,
    own: RetrainSettings,
    predictions: pd.DataFrame,
    frame: pd.DataFrame,
    settings: RetrainSettings,
    gate: GateSettings = NO_GATE,
) -> Comparison:
    """Let a champion forecast a challenger's test rows, as far as the champion has not seen them.

    Parameters
    ----------
    model, own : Forecaster and RetrainSettings
        The champion and its settings.
    predictions : DataFrame
        Test forecasts of the challenger, see `flows.judging.evaluation.predict_test`.
    frame : DataFrame
        The present bars or series frame.
    settings : RetrainSettings
        The present ones, resolved.
    gate : GateSettings
        Says which test the gain has to pass.

    Raises
    ------
    IncomparableError
        They answer different questions, or the champion has seen all test rows.
    """
    rows = _rows_of_both(model, own, predictions, frame, settings)
    figures = compare(rows["y"], rows[MODEL], rows["y_hat"], rows["cutoff"], settings.model.horizon, gate)
    return _comparison(figures, f"{len(rows):,} test rows")


def _comparison(figures: dict[str, Any], on: str, rows: Sequence[dict[str, str]] = ()) -> Comparison:
    tested = {name: figures[name] for name in ("test", "p_value", "origins", "needed")}
    return Comparison(RMSE, figures["rmse"], figures["opponent_rmse"], on, rows=rows, **tested)


def _rows_of_both(
    model: Forecaster, own: RetrainSettings, predictions: pd.DataFrame, frame: pd.DataFrame, settings: RetrainSettings
) -> pd.DataFrame:
    """Return the test rows with both forecasts, ``lstm`` of the challenger and ``y_hat`` of the champion."""
    if own.target != settings.target:
        raise IncomparableError(
            f"its target is {own.target or 'y'}, not {settings.target or 'y'}; give the new model another --name."
        )
    if own.model.horizon != settings.model.horizon:
        raise IncomparableError(
            f"its horizon is {own.model.horizon}, not {settings.model.horizon}; give the new model another --name."
        )
    missing = sorted(set(model.scalers) - set(frame["unique_id"].unique()))
    if missing:
        raise IncomparableError(
            f"it forecasts {', '.join(missing[:5])}, for which the new model has no test rows; give the new model"
            " another --name."
        )
    try:
        theirs = predict_test_with(model, frame, settings, own)
    except InputError as error:
        raise IncomparableError(f"{str(error).rstrip('.')}; give the new model another --name.") from error
    both = predictions.merge(theirs[[*KEYS, "y_hat"]], on=list(KEYS))
    # Rows that the champion was trained on or stopped by are no test of it.
    both = both[both["ds"] > both["unique_id"].map(model.ends("validation_end", both["unique_id"].unique()))]
    if both.empty:
        raise IncomparableError("it was trained on all of the present test rows; test on later ones.")
    return both


def compare_forecasters(first: Contender, second: Contender, frame: pd.DataFrame) -> Comparison:
    """Let two forecasters and the baselines predict the test rows that neither was trained on or stopped by.

    Parameters
    ----------
    first, second : Contender
        The split of the second says what the test rows are.
    frame : DataFrame
        Bars or series frame.

    Raises
    ------
    IncomparableError
        They answer different questions, or there is no row unseen by both.
    """
    _require_one_question(first, second)
    parts = [
        predict_test_with(each.model, frame, second.settings, each.settings)
        .rename(columns={"y_hat": each.name})
        .set_index(list(KEYS))
        for each in (first, second)
    ]
    # Both are in the same unit, so the y of either can be used.
    both = parts[0].join(parts[1][[second.name]], how="inner").reset_index()
    known = both["unique_id"].unique()
    for each in (first, second):
        both = both[both["ds"] > both["unique_id"].map(each.model.ends("validation_end", known))]
    both = both.reset_index(drop=True)
    if both.empty:
        raise IncomparableError(
            f"{first.name} and {second.name} have seen all of the test rows between them; give later data with --path."
        )
    ends = second.model.ends("train_end", frame["unique_id"].unique())
    yardstick = Yardstick.of(frame, second.settings, ends)
    both = both.join(yardstick.forecast(both).values)
    names = {first.name: first.name, second.name: second.name, **yardstick.labels}
    scores = yardstick.score(both, list(names))
    rows = [
        {
            "forecast": names[row["forecast"]],
            **{name: figure(row[name.lower()]) for name in dict.fromkeys((scores.measure, "RMSE", "MAE"))},
        }
        for row in scores.overall.sort_values(scores.measure.lower(), kind="stable").to_dict("records")
    ]
    horizon = second.settings.model.horizon
    figures = compare(both["y"], both[second.name], both[first.name], both["cutoff"], horizon)
    is_numbered = second.settings.data.is_numbered
    period = " to ".join(day_in_words(moment, is_numbered) for moment in (both["ds"].min(), both["ds"].max()))
    unit = target_of(second.settings).unit
    verdict = judge(scores, second.name, yardstick.labels).sentence
    compared = _comparison(figures, f"{len(both):,} rows that neither has seen, {period}, {unit}", rows)
    return replace(compared, verdict=verdict)


def _require_one_question(first: Contender, second: Contender) -> None:
    one = first.settings
    other = second.settings
    for name, values in {
        "target": (one.target or "y", other.target or "y"),
        "horizon": (one.model.horizon, other.model.horizon),
    }.items():
        if values[0] != values[1]:
            raise IncomparableError(
                f"{first.name} has {name} {values[0]} and {second.name} has {name} {values[1]}; such versions cannot be"
                " compared."
            )


# ---------------------------------------------------------------- language models


def meet_language_model(model: CharLM, text: str, bits_per_char: float) -> Comparison:
    """Let a champion read the last part of a text; `bits_per_char` is what a challenger needs for it."""
    theirs = model.evaluate(text)["bits_per_char"]
    return Comparison(BITS_PER_CHARACTER, bits_per_char, theirs, "the last part of the text")


def compare_language_models(first: Contender, second: Contender, path: Path | None) -> Comparison:
    """Let two language models read a text: that of `path`, or the last part of what the second was trained on.

    Raises
    ------
    IncomparableError
        One of them was trained on it.
    """
    if path is None:
        text = _parts_of_text(second)[1]
        on = f"the last {len(text):,} characters of the text of {second.name}"
    else:
        text = read_text([path])
        on = f"the {len(text):,} characters of {path}"
    for each in (first, second):
        if each.data.exists() and text in _parts_of_text(each)[0]:
            raise IncomparableError(f"{each.name} was trained on {on}; give another text with --path.")
    scores = [{"model": each.name, **each.model.evaluate(text)} for each in (first, second)]
    theirs, ours = (score["bits_per_char"] for score in scores)
    return Comparison(BITS_PER_CHARACTER, ours, theirs, on, rows=language_model_table(scores))


def _parts_of_text(version: Contender) -> tuple[str, str]:
    """Return the text that a language model was trained on, and the text that validated it."""
    require_file(version.data)
    if sha256_file(version.data)[:12] != version.data.stem:
        raise DamagedFileError(
            f"{version.data}, from which {version.name} has learnt, is damaged; 'gatecast text train' with the same"
            " files writes it again."
        )
    return split_text(read_text([version.data]), version.settings.model.validation_fraction)


# ---------------------------------------------------------------- taggers


def meet_tagger(model: Tagger, challenger: Tagger, text: TaggedText) -> Comparison:
    """Let a champion and a challenger tag the dev sentences of the challenger."""
    theirs, ours = (each.evaluate(text.sentences, text.tags) for each in (model, challenger))
    return _tagging_comparison(theirs, ours, "the dev sentences")


def _tagging_comparison(
    theirs: dict[str, Any], ours: dict[str, Any], on: str, rows: Sequence[dict[str, str]] = ()
) -> Comparison:
    """Compare by F1 of chunks or, if the tags mark no chunks, by accuracy."""
    measure, name = (F1, "f1") if "f1" in theirs and "f1" in ours else (ACCURACY, "accuracy")
    return Comparison(measure, float(ours[name]), float(theirs[name]), on, rows=rows)


def read_tagged(path: Path) -> TaggedText:
    """Read tagged sentences of the workspace.

    Raises
    ------
    InputError
        The file is damaged.
    """
    require_hashed(path, "'gatecast tag train' with the same files writes it again")
    return read_conll(path)


def compare_taggers(first: Contender, second: Contender, path: Path | None) -> Comparison:
    """Let two taggers tag sentences that neither was trained on.

    They are those of `path` or, without one, the test sentences of the second tagger, or its dev sentences.

    Raises
    ------
    IncomparableError
        There are no such sentences.
    """
    if path is None:
        found = [file for part in ("test", "dev") if (file := second.data / f"{part}.conll").exists()]
        if not found:
            raise IncomparableError(f"{second.name} has neither test nor dev sentences; give some with --path.")
        text = read_tagged(found[0])
        name = f"the {found[0].stem} sentences of {second.name}"
    else:
        columns = {"word_column": second.settings.word_column, "tag_column": second.settings.tag_column}
        text = read_conll(path, **columns)
        name = str(path)
    learnt = [file for each in (first, second) if (file := each.data / "train.conll").exists()]
    known = {tuple(sentence) for file in learnt for sentence in read_tagged(file).sentences}
    new = [number for number, sentence in enumerate(text.sentences) if tuple(sentence) not in known]
    if not new:
        raise IncomparableError(
            f"{first.name} and {second.name} have learnt from all of {name} between them; give others with --path."
        )
    sentences, tags = ([part[number] for number in new] for part in (text.sentences, text.tags))
    scores = [each.model.evaluate(sentences, tags) for each in (first, second)]
    rows = [
        {
            "model": each.name,
            "F1": F1.text(score["f1"]) if "f1" in score else "–",
            "accuracy": ACCURACY.text(score["accuracy"]),
        }
        for each, score in zip((first, second), scores, strict=True)
    ]
    on = f"{counted(len(new), 'sentence')} of {name} that neither has learnt from"
    return _tagging_comparison(scores[0], scores[1], on, rows)
