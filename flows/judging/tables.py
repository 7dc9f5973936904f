"""Scores as rows of a table, for the terminal, the dashboard and reports."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from gatecast.flows.engine.terminal import figure
from gatecast.flows.judging.evaluation import ALL_SERIES, LABELS

COLUMNS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "mase": ("MASE", ""),
        "rmsse": ("RMSSE", ""),
        "rmse": ("RMSE", ""),
        "mae": ("MAE", ""),
        "smape": ("sMAPE %", ".2f"),
        "r2": ("R²", ".3f"),
    }
)
WORST = 10
"""Series in tables and pictures of the worst ones"""
FORMER_COLUMNS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "rmse": ("RMSE", ""),
        "mae": ("MAE", ""),
        "mse": ("MSE", ""),
        "r2": ("R²", ".3f"),
        "skill": ("skill", "+.1%"),
        "mape": ("MAPE %", ".3f"),
    }
)
"""Of versions of 0.1.0"""


def score_table(evaluation: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the scores of an evaluation as rows of text: readable names and few digits, no NaN or infinity.

    The forecasts of each series, and of all, are in the order of the measure that the verdict uses, the best first.
    """
    labels = evaluation.get("labels", LABELS)
    columns = COLUMNS if "labels" in evaluation else FORMER_COLUMNS
    return [
        {
            "series": "all series" if score["unique_id"] == ALL_SERIES else score["unique_id"],
            "forecast": labels[score["forecast"]],
            **{name: figure(score[key], form) for key, (name, form) in columns.items() if key in score},
        }
        for score in _ordered(evaluation)
    ]


def _ordered(evaluation: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the scores group by group, in each the best first; those of 0.1.0 as they are."""
    scores = list(evaluation["scores"])
    if "judged" not in evaluation:
        return scores
    place = {unique_id: number for number, unique_id in enumerate(dict.fromkeys(row["unique_id"] for row in scores))}
    measure = evaluation["judged"]["measure"].lower()
    raw = "rmse" if measure == "rmsse" else "mae"

    def key(row: Mapping[str, Any]) -> tuple[int, float]:
        # Where a series has no scale, its error stands as it is.
        return place[row["unique_id"]], row[raw] if row[measure] is None else row[measure]

    return sorted(scores, key=key)


def worst_series(evaluation: Mapping[str, Any], count: int = WORST) -> list[str]:
    """Return the series with the greatest errors of the model by the verdict's measure, the worst first."""
    measure = evaluation["judged"]["measure"].lower()
    model = evaluation["judged"]["model"]
    of_series = [row for row in evaluation["scores"] if row["forecast"] == model]
    of_series = of_series[:-1] if len(of_series) > 1 else of_series
    # What has no scale cannot be compared with other series.
    ordered = sorted(of_series, key=lambda row: -1.0 if row[measure] is None else row[measure], reverse=True)
    return [row["unique_id"] for row in ordered[:count]]


def short_score_table(evaluation: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the scores of all series, and of the worst ones; those of each series where there are no more."""
    shown = [ALL_SERIES, *worst_series(evaluation)]
    if len({score["unique_id"] for score in evaluation["scores"]}) <= len(shown):
        return score_table(evaluation)
    by_series: dict[str, list[Mapping[str, Any]]] = {unique_id: [] for unique_id in shown}
    for score in evaluation["scores"]:
        if score["unique_id"] in by_series:
            by_series[score["unique_id"]].append(score)
    return score_table({**evaluation, "scores": [row for rows in by_series.values() for row in rows]})


def language_model_table(scores: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Return the scores of a language model and of what it is compared with, in the given order."""
    return [
        {
            "model": score["model"],
            "nats": f"{score['cross_entropy']:.4f}",
            "perplexity": f"{score['perplexity']:,.3f}",
            "bits/char": f"{score['bits_per_char']:.4f}",
            "accuracy": f"{score['accuracy']:.1%}" if "accuracy" in score else "–",
        }
        for score in scores
    ]


def tagger_table(scores: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return what `gatecast.Tagger.evaluate` returns: the scores of all chunks, and of each type."""
    if "types" not in scores:
        return [{"tokens": f"{scores['tokens']:,}", "accuracy %": f"{100 * scores['accuracy']:.1f}"}]
    rows = [("all", scores), *sorted(scores["types"].items())]
    return [
        {
            "type": type_,
            "precision %": f"{100 * score['precision']:.1f}",
            "recall %": f"{100 * score['recall']:.1f}",
            "F1 %": f"{100 * score['f1']:.1f}",
            "in the file": f"{score['support']:,}",
        }
        for type_, score in rows
    ]


def interval_table(evaluation: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the scores of the intervals as rows of text; none of an evaluation without intervals."""
    intervals = evaluation.get("intervals") or {"levels": []}
    return [
        {
            "interval": f"{each['level']:g} %",
            "covers": f"{each['coverage']:.1%}",
            "least at a step": f"{min(step['coverage'] for step in each['steps']):.1%}",
            "width": figure(each["width"]),
            "interval score": figure(each["interval_score"]),
            "holds": "yes" if each["holds"] else "no",
        }
        for each in intervals["levels"]
    ]
