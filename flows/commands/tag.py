"""``gatecast tag``: train a tagger, score it, and let it tag."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gatecast.flows.commands.options import CommonOptions, TrainingOptions, Typed, starting_prefect, takes
from gatecast.flows.engine.terminal import (
    console,
    explained,
    print_comparison,
    print_next,
    print_paths,
    print_times,
    say,
    standard_output,
)
from gatecast.flows.settings.tagging import ColumnSettings, TaggingSettings

if TYPE_CHECKING:
    from gatecast.data.language.tagging import TaggedText
    from gatecast.flows.tagging import TaggerTrained

EXAMPLES = """Examples:

gatecast tag train train.conll --dev dev.conll --test test.conll

gatecast tag train train.conll --dev dev.conll --vectors glove.6B.100d.txt --name names

echo "Ada met Grace in Boston" | gatecast tag predict --text --format json
"""

tag = typer.Typer(
    name="tag", help="Tag the words of sentences: names of people and places, parts of speech.", no_args_is_help=True
)


@dataclass(frozen=True, kw_only=True)
class TrainOptions(TrainingOptions):
    """The options of ``gatecast tag train``."""

    tagging: Typed[TaggingSettings] = Typed(TaggingSettings)


@tag.command(epilog=EXAMPLES)
@takes(TrainOptions)
def train(options: TrainOptions) -> None:
    """Train a tagger on a CoNLL file.

    Reads the sentences, trains a BiLSTM-CRF until the score on the dev sentences stops rising, compares it with the
    most frequent tag of each word, and makes it the champion unless the present one tags the dev sentences better.
    """
    with options.training() as started:
        settings = options.tagging.settings()
        with starting_prefect(settings.train, settings.dev, settings.test, settings.vectors):
            from gatecast.flows.tagging import train_tagger
        result = train_tagger(settings, resume=options.resume, force=options.force)
        _show_training(result, time.perf_counter() - started)


def _show_training(result: TaggerTrained, seconds: float) -> None:
    from gatecast.data.store import read_json

    evaluated = result["evaluate"]
    scores = read_json(Path(evaluated["scores"]))
    _show_scores(scores, f"Scores of {result['name']} on the {scores['on']} sentences", scores["verdict"])
    print_times(result["steps"], seconds, result["train"]["milliseconds_per_step"])
    print_paths(
        {
            "model": result["checkpoint"]["path"],
            "confusion": evaluated["confusion"],
            "curves": evaluated["curves"],
            "scores": evaluated["scores"],
            "predictions": evaluated["predictions"],
        }
    )
    print_next(f"tag predict --text --name {result['name']}")


def _show_scores(scores: Mapping[str, Any], title: str, verdict: str) -> None:
    from gatecast.flows.judging.tables import tagger_table

    print_comparison(tagger_table(scores), title)
    say(verdict)
    if "f1" in scores:
        console().print(f"{100 * scores['accuracy']:.1f} % of {scores['tokens']:,} tokens have the right tag.")


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions(CommonOptions):
    """The options of ``gatecast tag evaluate``."""

    columns: Typed[ColumnSettings] = Typed(ColumnSettings)
    file: Annotated[Path, typer.Argument(help="CoNLL file with the true tags.", show_default=False)]
    name: Annotated[str | None, typer.Option(help="Name of the tagger.", show_default="the only one there is")] = None


@tag.command()
@takes(EvaluateOptions)
def evaluate(options: EvaluateOptions) -> None:
    """Score a tagger's champion on a CoNLL file: token accuracy, and precision, recall and F1 of each type."""
    with explained(options.debug):
        options.prepare()
        from gatecast.data.language.tagging import read_conll
        from gatecast.flows.settings.workspace import Workspace

        columns = options.columns.settings()
        text = read_conll(options.file, word_column=columns.word_column, tag_column=columns.tag_column)
        with console(stderr=True).status("Loading the tagger"):
            from gatecast.flows.registry.kinds import TAGGER
            from gatecast.flows.reporting import tagging as tagging_report
            from gatecast.flows.tagging import choose_tagger, naive_tagger, score

            registry, version = choose_tagger(Workspace.from_environment(), options.name)
            scores, _ = score(registry.model(version, TAGGER), text, naive_tagger(registry.path(version)))
        title = f"Scores of {registry.name} {version} on {options.file}"
        _show_scores(scores, title, tagging_report.verdict(scores, options.file.name))
        print_next(f"tag predict {options.file} --name {registry.name}")


@dataclass(frozen=True, kw_only=True)
class PredictOptions(CommonOptions):
    """The options of ``gatecast tag predict``."""

    file: Annotated[
        Path | None,
        typer.Argument(help="CoNLL file, or text with --text; - is standard input.", show_default="standard input"),
    ] = None
    name: Annotated[str | None, typer.Option(help="Name of the tagger.", show_default="the only one there is")] = None
    text: Annotated[
        bool, typer.Option("--text", help="The input is a sentence a line, its words parted by spaces.")
    ] = False
    columns: Typed[ColumnSettings] = Typed(ColumnSettings, only=("word_column",))
    form: Annotated[str, typer.Option("--format", help="conll, or json: an object a line.")] = "conll"
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write.", show_default="standard output")
    ] = None


@tag.command()
@takes(PredictOptions)
def predict(options: PredictOptions) -> None:
    """Tag sentences with a tagger's champion.

    Reads CoNLL columns or, with --text, a sentence a line; writes word and tag in two columns, or JSON lines.
    """
    with explained(options.debug):
        options.prepare()
        from gatecast.data.errors import InputError
        from gatecast.flows.settings.workspace import Workspace

        if options.form not in ("conll", "json"):
            raise InputError(f"--format {options.form} is not allowed: it should be conll or json.")
        workspace = Workspace.from_environment()
        with console(stderr=True).status("Loading the tagger"):
            from gatecast.flows.registry.kinds import TAGGER
            from gatecast.flows.tagging import choose_tagger

            registry, version = choose_tagger(workspace, options.name)
            tagger = registry.model(version, TAGGER)
        text = _read(options)
        _write(options, text, tagger.predict(text.sentences))
        if options.output is not None:
            print_paths({"tags": str(options.output.resolve())})
            print_next("tag evaluate --help")


def _read(options: PredictOptions) -> TaggedText:
    from gatecast.data.language.tagging import parse_conll, parse_text, read_text_file

    if options.file is None or str(options.file) == "-":
        if sys.stdin.isatty():
            unit = "sentence a line" if options.text else "word a line, and an empty line after each sentence"
            console(stderr=True).print(f"Type a {unit}; Ctrl-D ends it.")
        name = "standard input"
        content = read_text_file(sys.stdin.buffer.read(), "standard input")
    else:
        from gatecast.data.store import require_file

        require_file(options.file)
        name = str(options.file)
        content = read_text_file(options.file.read_bytes(), name)
    if options.text:
        return parse_text(content, name)
    return parse_conll(content, name, word_column=options.columns.settings().word_column, tag_column=None)


def _write(options: PredictOptions, text: TaggedText, tags: list[list[str]]) -> None:
    from gatecast.data.language.tagging import write_conll, write_json_lines
    from gatecast.data.store import atomic_file

    write = write_json_lines if options.form == "json" else write_conll
    if options.output is None:
        with standard_output() as file:
            write(file, text.sentences, tags)
        return
    with atomic_file(options.output) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        write(file, text.sentences, tags)
