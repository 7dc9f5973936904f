"""How well the taggers find entities: the rows of Huang, Xu & Yu (2015, arXiv 1508.01991) on your own corpus.

``python -m benchmarks.tagging FOLDER`` trains an LSTM, a BiLSTM, an LSTM-CRF and a BiLSTM-CRF on ``train.conll`` of the
folder, each from several seeds, chooses the epoch on ``dev.conll``, and scores them on ``test.conll``, compared with
the tag that each word most often has in training.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from rich.console import Console
from rich.table import Table

from gatecast.data.errors import InputError
from gatecast.data.language.tagging import TaggedText, read_conll
from gatecast.data.store import write_json
from gatecast.lstm.tagging.entities import most_frequent_tags, score_chunks

__all__ = ["VARIANTS", "compare", "main"]

VARIANTS: Mapping[str, Mapping[str, bool]] = {
    "LSTM": {"crf": False, "bidirectional": False},
    "BiLSTM": {"crf": False, "bidirectional": True},
    "LSTM-CRF": {"crf": True, "bidirectional": False},
    "BiLSTM-CRF": {"crf": True, "bidirectional": True},
}
PARTS = ("train", "dev", "test")


def compare(
    texts: Mapping[str, TaggedText], variants: Sequence[str], seeds: Sequence[int], settings: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Train and score every variant from every seed.

    Parameters
    ----------
    texts : mapping of "train", "dev" and "test" to TaggedText
    variants : names in `VARIANTS`
    seeds : sequence of int
    settings : mapping
        Fields of `lstm.config.TaggerSettings` that are not the default's.

    Returns
    -------
    list of dict
        ``variant``, ``seed``, ``dev_f1``, ``test_f1``, ``epochs``, ``seconds`` and ``seconds_per_epoch`` of each run.
    """
    from gatecast import Tagger

    train, dev, test = (texts[part] for part in PARTS)
    runs = []
    for seed in seeds:
        for variant in variants:
            begun = time.perf_counter()
            model = Tagger(**{**settings, **VARIANTS[variant], "seed": seed})
            model.fit(train.sentences, train.tags, dev=(dev.sentences, dev.tags))
            run = {
                "variant": variant,
                "seed": seed,
                "dev_f1": 1 - min(record.validation_loss for record in model.history),
                "test_f1": model.evaluate(test.sentences, test.tags)["f1"],
                "epochs": len(model.history),
                "seconds": time.perf_counter() - begun,
                # The first one may compile kernels.
                "seconds_per_epoch": sorted(record.seconds for record in model.history)[len(model.history) // 2],
            }
            runs.append(run)
            print(
                f"{variant:<11} seed {seed}: dev F1 {100 * run['dev_f1']:.2f}, test F1 {100 * run['test_f1']:.2f},"
                f" {run['epochs']} epochs of {run['seconds_per_epoch']:.2f} s",
                flush=True,
            )
    return runs


def naive_f1(texts: Mapping[str, TaggedText]) -> float:
    """Return the test F1 of the tag that each word most often has in training."""
    usual, words = most_frequent_tags(texts["train"].sentences, texts["train"].tags)
    guesses = [[words.get(word, usual) for word in sentence] for sentence in texts["test"].sentences]
    return float(score_chunks(texts["test"].tags, guesses)["f1"])


def main() -> int:
    """Run the comparison given on the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tagging", description="Compare taggers.")
    parser.add_argument("folder", type=Path, help="folder of train.conll, dev.conll and test.conll")
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--output", type=Path, help="JSON file of all runs")
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="NAME=VALUE", help="settings of the tagger, such as max_epochs=5"
    )
    arguments = parser.parse_args()
    try:
        texts = {part: read_conll(arguments.folder / f"{part}.conll") for part in PARTS}
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    settings = dict(item.split("=", 1) for item in arguments.set)
    runs = compare(texts, arguments.variants, arguments.seeds, settings)
    _print(runs, arguments.variants, naive_f1(texts))
    if arguments.output is not None:
        print(write_json(arguments.output, runs).resolve())
    return 0


def _print(runs: Sequence[Mapping[str, Any]], variants: Sequence[str], naive: float) -> None:
    table = Table(title="Entities found on the test sentences, mean over the seeds", title_justify="left")
    table.add_column("tagger")
    for column in ("test F1 %", "lowest", "highest", "dev F1 %", "s an epoch", "epochs"):
        table.add_column(column, justify="right")
    table.add_row("each word's most frequent tag", f"{100 * naive:.2f}", *[""] * 5)
    for variant in variants:
        own = [run for run in runs if run["variant"] == variant]
        scores = [100 * run["test_f1"] for run in own]
        table.add_row(
            variant, f"{fmean(scores):.2f}", f"{min(scores):.2f}", f"{max(scores):.2f}",
            f"{100 * fmean(run['dev_f1'] for run in own):.2f}",
            f"{fmean(run['seconds_per_epoch'] for run in own):.2f}", f"{fmean(run['epochs'] for run in own):.0f}",
        )  # fmt: skip
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
