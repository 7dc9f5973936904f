"""``gatecast text``: train a language model, evaluate it, let it write."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gatecast.flows.commands.options import CommonOptions, TrainingOptions, Typed, starting_prefect, takes
from gatecast.flows.engine.terminal import (
    console,
    counted,
    explained,
    print_comparison,
    print_next,
    print_paths,
    print_times,
    say,
    warn,
)
from gatecast.flows.settings.text import TextSettings

if TYPE_CHECKING:
    from gatecast.flows.settings.workspace import Workspace
    from gatecast.flows.text import TextTrained
    from gatecast.lstm.language.char_lm import CharLM

Files = Annotated[list[Path] | None, typer.Argument(metavar="FILE…", help="Text files in UTF-8.", show_default=False)]
Name = Annotated[str | None, typer.Option(help="Name of the model.", show_default="the only one there is")]


@dataclass(frozen=True, kw_only=True)
class TrainOptions(TrainingOptions):
    """The options of ``gatecast text train``."""

    text: Typed[TextSettings] = Typed(TextSettings)


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions(CommonOptions):
    """The options of ``gatecast text evaluate``."""

    files: Files = None
    name: Name = None


@dataclass(frozen=True, kw_only=True)
class GenerateOptions(CommonOptions):
    """The options of ``gatecast text generate``."""

    prompt: Annotated[str, typer.Option(help="What the model reads first.", show_default="the start of a line")] = ""
    length: Annotated[int, typer.Option(help="Characters, or words, to write.")] = 500
    temperature: Annotated[
        float, typer.Option(help="Below 1 keeps to what is probable; 0 always takes the most probable.")
    ] = 0.8
    top_k: Annotated[int | None, typer.Option(help="Draw among the K most probable.", show_default="all")] = None
    top_p: Annotated[float, typer.Option(help="Draw among the most probable that have this share together.")] = 1.0
    seed: Annotated[int, typer.Option(help="The same seed gives the same text.")] = 0
    stop: Annotated[str | None, typer.Option(help="End before this string.", show_default=False)] = None
    name: Name = None


def train(options: TrainOptions) -> None:
    """Train a language model on text files.

    Reads the files, trains an LSTM for three minutes, compares it with models that only count on the last tenth of the
    text, and makes it the champion if it is not worse than the present one.
    """
    with options.training() as started:
        settings = options.text.settings()
        with starting_prefect(*settings.paths):
            from gatecast.flows.text import train_text
        result = train_text(settings, resume=options.resume, force=options.force)
        show(result, time.perf_counter() - started)


def show(result: TextTrained, seconds: float) -> None:
    """Print the closing tables: scores next to the counting models, a sample, what was written, what to type next."""
    from gatecast.data.store import read_json
    from gatecast.flows.judging.tables import language_model_table

    evaluated = result["evaluate"]
    evaluation = read_json(Path(evaluated["evaluation"]))
    print_comparison(
        language_model_table(evaluation["scores"]),
        "On the last part of the text, which was not trained on (nats per token)",
    )
    say(evaluation["verdict"])
    print_times(result["steps"], seconds, result["train"]["milliseconds_per_step"])
    console().print("\n[bold]It writes[/bold]")
    sample = Path(evaluated["sample"]).read_text(encoding="utf-8")[:400].rstrip()
    for line in f"{sample} …".split("\n"):
        say(line)
    print_paths(
        {
            "model": result["checkpoint"]["path"],
            "scores": evaluated["evaluation"],
            "loss curves": evaluated["losses"],
            "sample": evaluated["sample"],
        }
    )
    print_next(f"text generate --name {result['name']} --length 2000")


def evaluate(options: EvaluateOptions) -> None:
    """Say how well a model expects a text it has not seen.

    The state runs through the whole text. The model is compared with the text's own letter frequencies and the xz
    compressor.
    """
    with explained(options.debug):
        options.prepare()
        from gatecast.data.errors import InputError
        from gatecast.data.language.text import read_text, tokenise
        from gatecast.flows.settings.workspace import Workspace

        if not options.files:
            raise InputError("No text is named; give one or more files.")
        text = read_text(options.files)
        name, model = _champion(Workspace.from_environment(), options.name)
        with console(stderr=True).status(f"Reading {len(text):,} characters"):
            result = model.evaluate(text)
        vocabulary = model.vocabulary
        assert vocabulary is not None  # the model is fitted
        is_scored = vocabulary.trained_unknown or not result["unknown"]
        left_out = set() if is_scored else set(vocabulary.unknown(text))
        # Text that the model is not scored on would only make it harder for the others in the comparison.
        scored_text = "".join(token for token in tokenise(text, vocabulary.level) if token not in left_out)
        rows = [
            {"model": f"LSTM ({name})", "bits/char": f"{result['bits_per_char']:.4f}"},
            *({"model": label, "bits/char": f"{bits:.4f}"} for label, bits in _compressors(scored_text).items()),
        ]
        print_comparison(rows, f"{len(scored_text):,} characters" + (" that the model knows" if left_out else ""))
        unit = "character" if model.settings.level == "character" else "word"
        console().print(
            f"Cross-entropy {result['cross_entropy']:.4f} nats per {unit}, perplexity {result['perplexity']:,.3f}, "
            f"accuracy {result['accuracy']:.1%} over {result['tokens']:,} {unit}s."
        )
        if result["unknown"]:
            scored = "scored as <unk>, without spelling" if is_scored else "left out of all scores"
            warn(f"Unknown to the model, {scored}: {counted(int(result['unknown']), unit)} of the text.")
        print_next(f"text generate --name {name}")


def generate(options: GenerateOptions) -> None:
    """Let a model write.

    The text appears as it is written; the same seed gives the same text.
    """
    with explained(options.debug):
        options.prepare()
        from gatecast.data.errors import InputError
        from gatecast.flows.settings.workspace import Workspace

        if any("\ud800" <= letter <= "\udfff" for letter in options.prompt):  # bytes that could not be decoded
            raise InputError("The prompt is not UTF-8; give it in the terminal's encoding.")
        _, model = _champion(Workspace.from_environment(), options.name)
        vocabulary = model.vocabulary
        unknown = [] if vocabulary is None or not options.prompt else vocabulary.unknown(options.prompt)
        if unknown:
            warn(f"The model does not know {', '.join(map(repr, unknown[:5]))} of the prompt.")
        parts = model.stream(
            options.prompt, options.length, options.temperature, options.top_k, options.seed,
            top_p=options.top_p, stop=options.stop,
        )  # fmt: skip
        try:
            # The text goes to standard output as it is, whether that is a pipe or a terminal.
            for part in chain([options.prompt], parts, ["\n"]):
                sys.stdout.write(part)
                sys.stdout.flush()
        except BrokenPipeError:
            # The reader, such as head, has closed the pipe; Python would complain about it again at the end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _champion(workspace: Workspace, name: str | None) -> tuple[str, CharLM]:
    """Load the champion of the language model that is named, or of the only one."""
    from gatecast.flows.registry.catalogue import choose_champion
    from gatecast.flows.registry.kinds import LANGUAGE_MODEL
    from gatecast.flows.registry.registry import Registry

    registry = Registry(workspace, choose_champion(workspace, name, LANGUAGE_MODEL))
    return registry.name, registry.model(str(registry.champion()), LANGUAGE_MODEL)


def _compressors(text: str) -> dict[str, float]:
    """Return the bits per character needed by the text's own character frequencies and by xz."""
    import lzma
    import math
    from collections import Counter

    counts = Counter(text)
    entropy = -sum(count * math.log2(count / len(text)) for count in counts.values()) / len(text)
    xz = 8 * len(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME)) / len(text)
    return {"the text's own character frequencies": entropy, "xz -9e": xz}


app = typer.Typer(
    name="text",
    help="Language models: train one on text files, evaluate it, let it write.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
TRAIN_EXAMPLES = """Examples:

gatecast text train   (Shakespeare, three minutes)

gatecast text train novel.txt letters.txt --minutes 10

gatecast text train --level word --tie-weights --embedding-size 384
"""
app.command(epilog=TRAIN_EXAMPLES)(takes(TrainOptions)(train))
app.command()(takes(EvaluateOptions)(evaluate))
app.command()(takes(GenerateOptions)(generate))
