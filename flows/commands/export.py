"""``gatecast export``: a model for other programs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gatecast.flows.commands.options import CommonOptions, takes
from gatecast.flows.engine.terminal import console, explained, literal, print_next, print_paths, say

if TYPE_CHECKING:
    from gatecast.lstm.forecasting.forecaster import Forecaster

SUFFIXES = {"onnx": ".onnx", "torch": ".safetensors"}


@dataclass(frozen=True, kw_only=True)
class ExportOptions(CommonOptions):
    """The options of ``gatecast export``."""

    model: Annotated[
        str, typer.Argument(help="Name of a model, for its champion, or the folder of a saved one.", show_default=False)
    ]
    to: Annotated[
        str,
        typer.Option(
            help="onnx: a graph that ONNX Runtime runs. torch: the weights under torch's names, as safetensors."
        ),
    ] = "onnx"
    output: Annotated[
        Path | None, typer.Option(help="File to write.", show_default="exports/VERSION in the workspace")
    ] = None
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there already.")] = False


@takes(ExportOptions)
def export(options: ExportOptions) -> None:
    """Write a model for ONNX Runtime or torch.

    Scalers, column names and settings go into an ONNX file as metadata; its input and output are scaled by them.
    """
    with explained(options.debug):
        options.prepare()
        from gatecast.data.errors import InputError, KindError
        from gatecast.flows.registry.kinds import KINDS, find_kind
        from gatecast.lstm.interop import exchange as interop
        from gatecast.lstm.training import checkpoint

        if options.to not in SUFFIXES:
            raise InputError(f"--to {options.to} is not allowed: it should be {' or '.join(SUFFIXES)}.")
        source, default = find(options.model)
        output = options.output or default.with_name(default.name + SUFFIXES[options.to])
        if output.exists() and (output.is_dir() or not options.overwrite):
            raise InputError(f"{output} exists already; name another --output or give --overwrite.")
        kind = find_kind(checkpoint.read_document(source)["kind"], source)
        if options.to not in kind.exported_to:
            able = " or a ".join(other.called for other in KINDS.values() if options.to in other.exported_to)
            raise KindError(f"{source} is a {kind.called}, which cannot be exported to {options.to}; name a {able}.")
        model = kind.load(source)
        write = interop.save_onnx if options.to == "onnx" else interop.save_torch
        written = write(model, output.absolute())
        console().print(f"\n[bold]{literal(source.name)} as {options.to}[/bold]")
        for sentence in describe(model, options.to):
            say(f"  {sentence}")
        print_paths({options.to: str(written), "from": str(source)})
        print_next(f"forecast --name {options.model}" if source.parent.name == options.model else "retrain --help")


def find(model: str) -> tuple[Path, Path]:
    """Return the folder of a model's champion, or the folder itself, and the path of its export without a suffix."""
    from gatecast.data.errors import InputError
    from gatecast.flows.registry.catalogue import champions
    from gatecast.flows.registry.registry import Registry
    from gatecast.flows.settings.workspace import Workspace

    workspace = Workspace.from_environment()
    exports = workspace.root / "exports"
    if model in champions(workspace):
        registry = Registry(workspace, model)
        version = registry.champion()
        assert version is not None, "a model that is listed among the champions has one"
        return registry.path(version), exports / f"{model}-{version}"
    folder = Path(model).expanduser().resolve()
    if (folder / "model.json").is_file():
        return folder, exports / folder.name
    known = ", ".join(champions(workspace)[:10]) or "none yet; run 'gatecast retrain' first"
    raise InputError(f"There is no model {model!r}, and no folder of a saved one; models: {known}.")


def describe(model: Forecaster, to: str) -> list[str]:
    """Print what another program has to know."""
    from gatecast.lstm.interop.onnx_graph import reads_raw

    settings = model.chosen
    if to == "torch":
        return _describe_state_dict(model)
    length = "any length" if settings.stateful else settings.window
    x = f"input x: (batch, {length}, {len(model.columns)}) float32, the columns {', '.join(model.columns)}"
    if not reads_raw(model):
        return [x, f"output y_hat: (batch, {settings.horizon}), scaled as x; scalers are in the metadata"]
    return [
        f"{x}, as they are and without gaps",
        "input series: (batch,) int64, the number of each window's series among the scalers in the metadata",
        f"output y_hat: (batch, {settings.horizon}), in y's unit",
    ]


def _describe_state_dict(model: Forecaster) -> list[str]:
    settings = model.chosen
    sizes = f"input_size={len(model.columns) + model.sees_missing}, hidden_size={settings.hidden_size}"
    both = ", bidirectional=True" if settings.bidirectional else ""
    if settings.residual_layers or settings.layer_norm:
        norms = ", lstm.norms.* a torch.nn.LayerNorm each" if settings.layer_norm else ""
        layers = f"lstm.layers.* is a torch.nn.LSTM of one layer each ({sizes}{both}, batch_first=True){norms}"
    else:
        layers = f"lstm.* is a torch.nn.LSTM({sizes}, num_layers={settings.num_layers}{both}, batch_first=True)"
    attention = [] if settings.attention == "none" else ["attention.* are the matrices of lstm/nn/attention.py"]
    skip = ["skip.* is a torch.nn.Linear over the window of y"] if settings.linear_skip == "window" else []
    return [layers, *attention, "head.* is a torch.nn.Linear", *skip]
