"""The bar chart: how many times faster than each peer, one bar a row."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.results import Comparison, Report
from gatecast.data.store import atomic_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["write_chart"]

_COLOURS = {"torch": "#d9622b", "ONNX Runtime": "#3d7ea6", "neuralforecast": "#5b8c5a", "pytorch-crf": "#8b6bb1"}
_ITSELF = "#7a7a7a"  # for a row whose other side is Gatecast too, without what is measured
_TICKS = (0.25, 0.5, 1, 2, 4, 8, 16, 32)


def write_chart(report: Report, path: Path) -> Path:
    """Draw every row that has a ratio, with its middle half and the ratio asked for; return `path`."""
    from matplotlib.figure import Figure

    rows = [row for row in report.comparisons if row.ratio is not None]
    positions = _positions(rows)
    figure = Figure(figsize=(8, 1.6 + 0.24 * positions[-1]), layout="constrained")
    axes = figure.add_subplot()
    for row, position in zip(rows, positions, strict=True):
        _draw(axes, row, position)
    axes.set_yticks(positions, [row.name for row in rows], fontsize=8)
    for row, position in zip(rows, positions, strict=True):
        if row.group not in {other.group for other in rows[: rows.index(row)]}:
            axes.text(0, position - 0.95, row.group, fontsize=9, weight="bold", transform=axes.get_yaxis_transform())
    _style(axes, rows, positions)
    facts = report.machine
    figure.suptitle("Gatecast: times faster than the peer", fontsize=12, weight="bold")
    axes.set_title(
        f"same run, {facts['processor']}, {facts['threads']} threads, float32; batch/seq/input/hidden", fontsize=8
    )
    with atomic_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=150)
    return path


def _positions(rows: list[Comparison]) -> list[float]:
    """Return the place of each bar from the top, with room for the heading of each group."""
    positions = []
    place = 0.0
    group = None
    for row in rows:
        place += 1 if row.group == group else 2
        group = row.group
        positions.append(place)
    return positions


def _draw(axes: Axes, row: Comparison, position: float) -> None:
    """Draw one bar, from 1× to the ratio: to the right if Gatecast is faster, to the left if the peer is."""
    ratio = row.ratio
    assert ratio is not None
    spread = [[max(0, ratio.median - ratio.low)], [max(0, ratio.high - ratio.median)]]
    axes.barh(position, ratio.median - 1, left=1, height=0.72, color=_colour(row.peer))
    axes.errorbar(ratio.median, position, xerr=spread, color="#333333", linewidth=1, capsize=2)
    if row.floor is not None:
        axes.plot([row.floor] * 2, [position - 0.42, position + 0.42], color="black", linewidth=2)
    axes.text(1.01, position, f"{ratio.median:.2f}×", fontsize=8, va="center", transform=axes.get_yaxis_transform())


def _colour(peer: str) -> str:
    return next((colour for name, colour in _COLOURS.items() if peer.startswith(name)), _ITSELF)


def _style(axes: Axes, rows: list[Comparison], positions: list[float]) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    ratios = [row.ratio for row in rows if row.ratio is not None]
    axes.set_xscale("log", base=2)
    axes.set_xticks(_TICKS, [f"{tick:g}×" for tick in _TICKS])
    ends = [*(ratio.high for ratio in ratios), *(row.floor for row in rows if row.floor is not None)]
    axes.set_xlim(min(0.5, min(ratio.low for ratio in ratios) * 0.9), max(4, *ends) * 1.1)
    axes.set_ylim(positions[-1] + 0.8, 0.2)
    axes.axvline(1, color="#333333", linewidth=1)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    peers = [Patch(color=colour, label=peer) for peer, colour in _COLOURS.items() if peer in {r.peer for r in rows}]
    if any(_colour(row.peer) == _ITSELF for row in rows):
        peers.append(Patch(color=_ITSELF, label="Gatecast without it"))
    floor = Line2D([], [], color="black", linewidth=2, label="asked for, at least")
    handles = [*peers, floor]
    axes.figure.legend(handles=handles, fontsize=8, loc="outside lower center", ncols=len(handles), frameon=False)
