"""Scores as rows of a table, for the terminal, the dashboard and reports."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gatecast.flows.engine.terminal import figure
from gatecast.flows.judging.evaluation import ALL_SERIES, LABELS


def score_table(scores: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Return the scores as rows of text, for a table: readable names and few digits, no NaN or infinity."""
    table = []
    for score in scores:
        row = {
            "series": "all series" if score["unique_id"] == ALL_SERIES else score["unique_id"],
            "forecast": LABELS[score["forecast"]],
            "RMSE": figure(score["rmse"]),
            "MAE": figure(score["mae"]),
            "MSE": figure(score["mse"]),
            "R²": figure(score["r2"], ".3f"),
            "skill": figure(score["skill"], "+.1%"),
        }
        if "mape" in score:
            row["MAPE %"] = figure(score["mape"], ".3f")
        table.append(row)
    return table


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
