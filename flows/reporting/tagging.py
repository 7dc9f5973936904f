"""Scores and pictures of a tagger, for the terminal and for Prefect's dashboard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gatecast.data.display import one_line
from gatecast.flows.engine.artifacts import Markdown, create_markdown_artifact, create_table_artifact, escaped
from gatecast.flows.engine.orchestration import artifact_key
from gatecast.flows.judging.tables import tagger_table
from gatecast.flows.reporting.pictures import ACTUAL, FORECAST, MARK, STYLE, embedded_picture, save_picture
from gatecast.lstm.training.loop import EpochRecord

OUTSIDE = "O"
# More types than this would be too small to read; the rarest are merged.
LARGEST_PICTURE = 20


def plot_confusion(names: Sequence[str], counts: np.ndarray, title: str, path: Path) -> Path:
    """Draw how many tokens of each type were tagged as each type; colours are shares of a row.

    Parameters
    ----------
    names : sequence of str
        As `lstm.tagging.entities.confusion` returns them.
    counts : (n, n) array
        Rows are true types, columns predicted ones.
    title : str
    path : Path
        A PNG file.
    """
    from matplotlib import rc_context
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure

    names, counts = _most_frequent(names, counts)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = 2.2 + 0.62 * len(names)
    colours = LinearSegmentedColormap.from_list("shares", ["white", FORECAST])
    with rc_context(STYLE):  # type: ignore[arg-type]
        figure = Figure(figsize=(size + 1.0, size), dpi=110, layout="constrained")
        axis = figure.subplots()
        axis.grid(False)
        axis.imshow(shares, cmap=colours, vmin=0, vmax=1)
        for (row, column), count in np.ndenumerate(counts):
            if count:
                dark = shares[row, column] > 0.6
                axis.text(
                    column, row, f"{count:,}", ha="center", va="center", fontsize=8, color="white" if dark else MARK
                )
        labels = list(map(one_line, names))
        axis.set_xticks(range(len(names)), labels, rotation=35, ha="right")
        axis.set_yticks(range(len(names)), labels)
        axis.set_xlabel("predicted")
        axis.set_ylabel("true")
        axis.set_title(f"{title}\ntokens; colour is the share of the row", loc="left", fontsize=9)
        save_picture(figure, path)
    return path


def _most_frequent(names: Sequence[str], counts: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Keep the most frequent types, and merge the rest."""
    if len(names) <= LARGEST_PICTURE:
        return list(names), counts
    order = np.argsort(-(counts.sum(axis=0) + counts.sum(axis=1)), kind="stable")
    kept = sorted(order[: LARGEST_PICTURE - 1])
    group = np.full(len(names), len(kept))
    group[kept] = np.arange(len(kept))
    merged = np.zeros((len(kept) + 1,) * 2, counts.dtype)
    np.add.at(merged, (group[:, None], group[None, :]), counts)
    return [*(names[place] for place in kept), "others"], merged


def plot_scores(history: Sequence[EpochRecord], best_epoch: int, measure: str, path: Path) -> Path:
    """Draw training loss and dev score by epoch, with the epoch whose weights were kept.

    Parameters
    ----------
    history : sequence of EpochRecord
        Of the training; ``validation_loss`` is 1 minus the score.
    best_epoch : int
    measure : str
        Name of the score.
    path : Path
        A PNG file.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    epochs = [record.epoch for record in history]
    with rc_context(STYLE):  # type: ignore[arg-type]
        figure = Figure(figsize=(6.5, 4.2), dpi=110, layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True)
        above.plot(
            epochs, [100 * (1 - record.validation_loss) for record in history], "o-", color=FORECAST, markersize=3
        )
        below.plot(epochs, [record.train_loss for record in history], "o-", color=MARK, markersize=3)
        for axis in (above, below):
            axis.axvline(best_epoch, color=ACTUAL, linestyle="--", linewidth=1)
        above.set_ylabel(f"dev {measure} (%)")
        above.set_title(f"best epoch: {best_epoch}", loc="left", fontsize=9)
        below.set_ylabel("training loss (nats)")
        below.set_xlabel("epoch")
        below.xaxis.set_major_locator(MaxNLocator(integer=True))
        save_picture(figure, path)
    return path


def verdict(scores: Mapping[str, Any], name: str) -> str:
    """Return one sentence on the scores, with those of the naive tagger if they are known."""
    unknown = f"{scores['unknown_words'] / scores['tokens']:.0%} of the words were not in training"
    chunked = "f1" in scores
    reached = (
        f"F1 is {_percent(scores['f1'])} %" if chunked else f"{_percent(scores['accuracy'])} % of the tags are right"
    )
    naive = ""
    if "most_frequent" in scores:
        naive = f", against {_percent(scores['most_frequent'])} % for each word's most frequent tag of training"
        if scores["most_frequent"] >= (scores["f1"] if chunked else scores["accuracy"]):
            naive += ", which is not worse"
    return f"On {name}, {reached}{naive}; {unknown}."


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def publish(name: str, scores: Mapping[str, Any], sentence: str, picture: Path) -> None:
    """Show scores and confusion matrix on Prefect's dashboard; must be called within a task run."""
    key = artifact_key(name)
    shown = embedded_picture(picture, "Tokens by true and predicted type")
    create_table_artifact(table=tagger_table(scores), key=f"{key}-scores", description=sentence)
    markdown = Markdown(f"{escaped(sentence)}\n\n{shown}\n")
    create_markdown_artifact(markdown, key=f"{key}-confusion", description=f"What {name} takes for what")
