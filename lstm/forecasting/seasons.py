"""The season of a set of series: told by the user, or found in the training rows by autocorrelation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from gatecast.data.errors import InputError
from gatecast.lstm.forecasting.panel import Panel

__all__ = ["Seasons", "find_seasons", "given_seasons", "usual_periods"]

_USUAL_OF_NUMBERS = (4, 5, 7, 12, 24, 52, 168, 365)
"""Periods that are looked for where rows have numbers instead of dates"""
_MOST_PERIODS = 2
_MOST_SERIES = 100
"""Series that are looked at, evenly spaced where there are more"""
_LIMIT = 3.0
"""Standard errors that an autocorrelation has to be above zero"""
_RANDOM_WALK = 0.1
"""Sum of the squared autocorrelations of a random walk's remainder over a period, in periods, rounded up"""
_LEAST = 0.1
"""Autocorrelation below which a season is of no use to a forecast, however sure it is"""
_PEAK = 0.9
"""Share of the greatest autocorrelation nearby that a period has to reach"""
_NEARLY = 0.75
"""Share of the greatest autocorrelation of all periods that a shorter period has to reach to be preferred"""
_LASTING = 1.5
"""Factor within which the autocorrelation two periods apart is that of one"""
_ROUNDING = 1e-9
_OUTLIER = 4.0
"""Robust standard deviations beyond which a value is cut off"""


@dataclass(frozen=True)
class Seasons:
    """The periods of a set of series.

    Attributes
    ----------
    periods : tuple of int
        In rows, the one that explains most first; empty where there is no season.
    sentence : str
        How they were found.
    """

    periods: tuple[int, ...]
    sentence: str

    @property
    def main(self) -> int:
        """The period that scaled errors use, 1 where there is no season."""
        return self.periods[0] if self.periods else 1


def given_seasons(periods: Sequence[int], panel: Panel) -> Seasons:
    """Return the seasons that a user has set, and say where they do not fit.

    Raises
    ------
    InputError
        A period is below 2, or comes twice.
    """
    if not periods:
        return Seasons((), "No season, as set.")
    for period in periods:
        if period < 2:
            raise InputError(f"Seasonality {period} is no season; give its length in rows, such as 24 for hourly data.")
    if len(set(periods)) < len(periods):
        raise InputError(f"Seasonality {_listed(periods)} names a season twice; give each once.")
    sentence = f"Season of {_listed(periods)} rows, as set."
    for period in periods:
        short = int(np.sum(panel.trained < period))
        if short == len(panel):
            sentence += f" No series has a full season of {period} training rows, so it is of no use."
        elif short:
            sentence += f" There is no full season of {period} training rows in {short} of {len(panel)} series."
    return Seasons(tuple(period for period in periods if (panel.trained >= period).any()), sentence)


def find_seasons(panel: Panel) -> Seasons:
    """Find the periods of a set of series in its training rows, among those that their frequency usually has.

    A trend over one period, a centred moving average, is taken out first. What is left of white noise, of a random walk
    and of a line is uncorrelated one period apart, so that only a season is correlated there. A period counts where
    the autocorrelation of the series that have three of it, all together, is above zero by three of Bartlett's standard
    errors, none nearby is greater, and it is still there two periods apart. The strongest is taken, and another one if
    it is found in what the first leaves unexplained.
    """
    candidates = usual_periods(panel)
    usable = [period for period in candidates if (panel.trained >= 3 * period).any()]
    if not usable:
        why = "no series has three of one in its training rows" if candidates else "their spacing has no usual one"
        return Seasons((), f"No season was looked for, since {why}.")
    found: list[_Finding] = []
    while len(found) < _MOST_PERIODS:
        finding = _strongest(panel, usable, [known.period for known in found])
        if finding is None:
            break
        found.append(finding)
    if not found:
        return Seasons((), f"No season was found among periods of {_listed(usable, 'or')} rows.")
    parts = " and ".join(f"{period} rows (autocorrelation {r:.2f})" for period, r in found)
    return Seasons(tuple(period for period, _ in found), f"Season of {parts}.")


def usual_periods(panel: Panel) -> tuple[int, ...]:
    """Return how many rows usually fall into an hour, a day, a week and a year, in ascending order.

    They are counted in the longest series, so that business days have a week of 5, and bars of an exchange a day of as
    many as it is open for. Rows that have numbers instead of dates get the most common of all these periods.
    """
    rows = max((rows for rows, _ in panel.each()), key=lambda rows: rows.stop - rows.start)
    if not isinstance(panel.ds, pd.DatetimeIndex):
        return _USUAL_OF_NUMBERS
    ds = panel.ds[rows].tz_localize(None)
    if len(ds) < 2:
        return ()
    units = [ds.floor("h"), ds.normalize(), ds.normalize() - pd.to_timedelta(ds.day_of_week, unit="D")]
    if pd.Series(ds).diff().median() >= pd.Timedelta(days=1):
        units.append(pd.to_datetime(ds.year.astype(str), format="%Y"))
    periods = {_usual_count(unit) for unit in units}
    return tuple(sorted(period for period in periods if period > 1))


def _usual_count(unit: pd.DatetimeIndex) -> int:
    """Return how many rows most of the units hold, 0 where they differ; the first and the last may be cut off."""
    counts = np.unique(unit, return_counts=True)[1][1:-1]
    if not len(counts):
        return 0
    usual = int(np.median(counts))
    return usual if np.mean(np.abs(counts - usual) <= 0.02 * usual) > 0.5 else 0


class _Finding(NamedTuple):
    period: int
    autocorrelation: float


def _strongest(panel: Panel, periods: Sequence[int], found: Sequence[int]) -> _Finding | None:
    """Return the shortest of the periods that explain nearly as much as the one that explains most."""
    strengths = {period: _seasonality(panel, period, found) for period in periods if period not in found}
    greatest = max(strengths.values(), default=0.0)
    enough = (_Finding(*item) for item in strengths.items() if item[1] >= _NEARLY * greatest > 0)
    return next(enough, None)


def _seasonality(panel: Panel, period: int, found: Sequence[int]) -> float:
    """Return the autocorrelation one period apart where it is that of a season, 0 where not."""
    lags = np.arange(2 * period + 1)
    products, pairs = np.zeros(len(lags)), np.zeros(len(lags))
    total, count = np.zeros(panel.times.max() + 1), np.zeros(panel.times.max() + 1)
    for times, y in _training(panel, 3 * period):
        x = _unexplained(y, period, found)
        products += _products(x, len(lags))
        pairs += (len(x) - lags).clip(0)
        middle = times[period // 2 :][: len(x)]
        total[middle] += x
        count[middle] += 1
    if products[0] == 0:
        return 0.0
    r = products / pairs.clip(1) * (pairs[0] / products[0])
    # Series that go together tell as much as fewer ones that do not: their sum varies more.
    independent = np.sum(count**2) / max(np.sum(total**2), count.sum())
    evidence = pairs[period] / count.max() * independent
    # The season itself must not count as an error of its own.
    others = min(np.sum(r[1:period] ** 2), _RANDOM_WALK * period)
    is_sure = r[period] > max(_LIMIT * np.sqrt((1 + 2 * others) / evidence), _LEAST)
    is_peak = r[period] >= _PEAK * r[period // 2 + 1 : period + period // 2 + 1].max()
    is_lasting = pairs[-1] < period or r[period] / _LASTING <= r[-1] <= r[period] * _LASTING
    # A found season whose shape changes slowly is not explained by its mean: it is still there in its own multiples.
    is_another = all(r[period - other] <= _PEAK * r[period] for other in found if other < period)
    return float(r[period]) if is_sure and is_peak and is_lasting and is_another else 0.0


def _training(panel: Panel, least: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Give times and values of the training rows of series that have at least so many."""
    long_enough = [slice(rows.start, rows.start + trained) for rows, trained in panel.each() if trained >= least]
    chosen = np.unique(np.linspace(0, len(long_enough) - 1, min(len(long_enough), _MOST_SERIES)).astype(int))
    for number in chosen:
        rows = long_enough[number]
        known = np.isfinite(panel.filled[rows])
        if known.sum() >= least:
            yield panel.times[rows][known], panel.filled[rows][known]


def _unexplained(y: np.ndarray, period: int, found: Sequence[int]) -> np.ndarray:
    """Return y less its centred moving average over a period and the mean course of each found one, with deviation 1.

    Outliers, which are far from the moving median, are cut off first; ``period // 2`` rows are left out at either end.
    Zeros where all that is left of y is rounding.
    """
    from scipy.ndimage import median_filter

    median = median_filter(y, period | 1, mode="nearest")
    bound = _OUTLIER * 1.4826 * np.median(np.abs(y - median))
    calm = median + (y - median).clip(-bound, bound) if bound > 0 else y
    x = calm[period // 2 : len(y) - period // 2] - _moving_average(calm, period)
    for other in found:
        place = np.arange(len(x)) % other
        x = x - (np.bincount(place, x) / np.bincount(place))[place]
    deviation = x.std()
    return (x - x.mean()) / deviation if deviation > _ROUNDING * np.abs(y).max() else np.zeros(len(x))


def _moving_average(y: np.ndarray, period: int) -> np.ndarray:
    """Return the mean of a period around each row; one of even length counts its two ends by half."""
    sums = np.concatenate([[0.0], np.cumsum(y - y[0])])
    means = (sums[period:] - sums[:-period]) / period + y[0]
    return means if period % 2 else (means[:-1] + means[1:]) / 2


def _products(x: np.ndarray, lags: int) -> np.ndarray:
    """Return the sums of products of values 0, 1, ... rows apart, (lags,)."""
    spectrum = np.fft.rfft(x, 2 * len(x))
    sums = np.fft.irfft(np.abs(spectrum) ** 2)[: min(lags, len(x))]
    return np.pad(sums, (0, lags - len(sums)))


def _listed(periods: Sequence[int], word: str = "and") -> str:
    *others, last = map(str, periods)
    return f"{', '.join(others)} {word} {last}" if others else last
