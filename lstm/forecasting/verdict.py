"""Whether a model is worth more than the best of its baselines, in one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from gatecast.lstm.forecasting.scores import Scores
from gatecast.lstm.forecasting.significance import diebold_mariano, fewest_origins

__all__ = ["Verdict", "judge"]

Outcome = Literal["better", "level", "worse"]


@dataclass(frozen=True, eq=False)
class Verdict:
    """What comes out of a comparison with the best baseline.

    Attributes
    ----------
    sentence : str
        The verdict in words.
    outcome : {"better", "level", "worse"}
        Of the model; level where the difference may be luck. Where there are too few origins to tell, what the figures
        say.
    best : str
        The baseline with the best figure.
    measure : {"MASE", "RMSSE", "MAE"}
    score, best_score : float
        Measure of the model and of the best baseline.
    series : int
        How many were judged.
    share_better : float
        Share of the series on which the model is better than the best baseline; a tie counts by half.
    origins : int
    p_value : float or None
        One-sided, of the difference found: small where it is more than luck. None where there are too few origins.
    by_step : DataFrame
        ``step``, ``model``, ``best`` and ``p_value``, one-sided for the model to be better.
    """

    sentence: str
    outcome: Outcome
    best: str
    measure: str
    score: float
    best_score: float
    series: int
    share_better: float
    origins: int
    p_value: float | None
    by_step: pd.DataFrame


def judge(
    scores: Scores, model: str, baselines: Mapping[str, str], step_size: int = 1, significance: float = 0.05
) -> Verdict:
    """Hold a model against the best of its baselines.

    Series count alike: forecasts are compared by the mean of the scaled errors over the series. Whether the difference
    is more than luck is told by the test of Diebold and Mariano on these means, origin by origin.

    Parameters
    ----------
    scores : Scores
        Of the model and the baselines.
    model : str
        The forecast to be judged.
    baselines : mapping of str to str
        What it is held against, and what people call each.
    step_size : int
        Rows from one origin to the next.
    significance : float
        Greatest p-value of a difference that is more than luck.
    """
    means, of_series = scores.means, scores.comparable
    best = str(means[list(baselines)].idxmin())
    gains = scores.losses[best] - scores.losses[model]
    by_step = _by_step(scores, model, best, gains, step_size)
    overlap = _overlap(len(by_step), step_size)
    p_value = _p_value(gains.groupby("cutoff").mean(), overlap, scores.origins)
    gain = float(means[best] - means[model])
    agrees = gain * gains.mean() > 0
    is_luck = p_value is not None and (p_value >= significance or not agrees)
    wins, ties = of_series[model] < of_series[best], of_series[model] == of_series[best]
    verdict = Verdict(
        sentence="",
        outcome="level" if is_luck or gain == 0 else "better" if gain > 0 else "worse",
        best=best,
        measure=scores.measure,
        score=float(means[model]),
        best_score=float(means[best]),
        series=len(of_series),
        share_better=float(wins.mean() + ties.mean() / 2),
        origins=scores.origins,
        p_value=p_value,
        by_step=by_step,
    )
    return replace(verdict, sentence=_sentence(verdict, baselines[best], fewest_origins(overlap)))


def _by_step(scores: Scores, model: str, best: str, gains: pd.Series, step_size: int) -> pd.DataFrame:
    """Return the measure of model and best baseline at each step, and whether the model is better by more than luck."""
    score = {name: rows.set_index("step")["score"] for name, rows in scores.by_step.groupby("forecast")}
    table = pd.DataFrame({"model": score[model], "best": score[best]}).rename_axis("step").reset_index()
    p_values = [
        _p_value(gains.xs(step, level="step"), _overlap(step, step_size), scores.origins, is_better=True)
        for step in table["step"]
    ]
    return table.assign(p_value=np.array(p_values, np.float64))


def _overlap(step: int, step_size: int) -> int:
    """Return over how many origins forecasts of so many steps ahead overlap."""
    return -(-step // step_size)


def _p_value(gain: pd.Series, overlap: int, origins: int, is_better: bool = False) -> float | None:
    """Test a gain, one value for each origin, in the direction it has; with `is_better`, whether it is one at all."""
    if origins < fewest_origins(overlap):
        return None
    values = gain.sort_index().to_numpy(np.float64)
    return diebold_mariano(values if is_better or values.mean() > 0 else -values, overlap)


def _sentence(verdict: Verdict, label: str, needed: int) -> str:
    how = {"better": "beats", "level": "is no better than", "worse": "loses to"}[verdict.outcome]
    best, score = _told_apart(verdict.best_score, verdict.score)
    sentence = f"The model {how} {label} ({verdict.measure} {best} against {score})"
    where, steps = [], len(verdict.by_step)
    if verdict.series > 1:
        where.append(f"on {100 * verdict.share_better:.0f} % of {verdict.series:,} series")
    if steps > 1:
        better_at = int((verdict.by_step["model"] < verdict.by_step["best"]).sum())
        where.append(f"at {better_at} of {steps} steps")
    if where:
        sentence += f", better {' and '.join(where)}"
    if verdict.p_value is None:
        return f"{sentence}; too few origins to tell this from luck ({verdict.origins}, where {needed} are needed)."
    luck = "may be luck" if verdict.outcome == "level" else "is more than luck"
    return f"{sentence}; the difference {luck} (p = {verdict.p_value:.2g})."


def _told_apart(*values: float) -> list[str]:
    """Write numbers with as many digits as it takes to tell them apart, at least three and at most six."""
    written: list[str] = []
    for digits in range(3, 7):
        written = [f"{value:#.{digits}g}" if value else "0" for value in values]
        if len(set(written)) == len(set(values)):
            break
    return written
