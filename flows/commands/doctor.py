"""``gatecast doctor``: is everything that a run needs in place?"""

from __future__ import annotations

import importlib
import importlib.util
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import typer

import gatecast
from gatecast.data.secrets import masked
from gatecast.flows.commands.options import CommonOptions, takes
from gatecast.flows.engine.terminal import RUN_FAILED, console, explained, literal, print_next

DEPENDENCIES = (
    "numba", "numpy", "pandas", "pyarrow", "scikit-learn", "prefect", "fastapi", "sqlalchemy", "pydantic",
    "safetensors", "typer", "rich", "matplotlib",
)  # fmt: skip
SERVER_LIMIT_SECONDS = 5


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes
    ----------
    name : str
        What was looked at.
    text : str
        What was found.
    `mend` : str or None
        What to do if something is broken.
    """

    name: str
    text: str
    mend: str | None = None


@takes(CommonOptions)
def doctor(options: CommonOptions) -> None:
    """Look at the installation: versions, processor, kernels, workspace and Prefect's server.

    Ends with exit status 1 if something is broken, and says how to fix it.
    """
    with explained(options.debug):
        options.prepare()
        findings = list(examine())
        broken = [finding for finding in findings if finding.mend]
        for finding in findings:
            mark = "[red]✗[/red]" if finding.mend else "[green]✓[/green]"
            console().print(f"{mark} {literal(finding.name):<12}{literal(masked(finding.text))}")
        for finding in broken:
            console().print(f"\n[red]{literal(finding.name)}:[/red] {literal(masked(finding.mend or ''))}")
        if broken:
            raise typer.Exit(RUN_FAILED)
        print_next("retrain")


def examine() -> Iterator[Finding]:
    """Run one check after the other; a check that raises an error is a finding and does not stop the others."""
    looks: tuple[Callable[[], Iterator[Finding]], ...] = (versions, packages, kernels, workspace, server, yahoo)
    for look in looks:
        try:
            yield from look()
        except Exception as error:
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            yield Finding(look.__name__, reason, "This should not happen; fix what it names, or reinstall Gatecast.")


def versions() -> Iterator[Finding]:
    """List Python and the dependencies."""
    python = f"{platform.python_version()} at {sys.executable}"
    too_old = "Gatecast needs Python 3.11 or newer." if sys.version_info < (3, 11) else None
    yield Finding("Python", python, too_old)
    found = []
    missing = []
    for name in DEPENDENCIES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    yield Finding("versions", ", ".join(found))
    if missing:
        yield Finding("missing", ", ".join(missing), f"Install them: pip install {' '.join(missing)}")


def packages() -> Iterator[Finding]:
    """Say where Gatecast is imported from: Python may find another copy of it first."""
    yield Finding("package", f"gatecast from {Path(gatecast.__file__).parent}")


def kernels() -> Iterator[Finding]:
    """Compile and run a kernel."""
    from gatecast.kernels.backend import describe

    found = describe()
    layer = f"{found['threads']} of {found['cores']} cores through Numba's {found['threading_layer']} layer"
    yield Finding("processor", f"{found['cpu']}, vectors of {found['vector_bits']} bits; {layer}")
    yield Finding("kernels", f"code {found['code_version']}, compiled into {found['cache_folder']}")
    yield Finding("GPU", found["gpu"])


def workspace() -> Iterator[Finding]:
    """Check whether the workspace can be written to, and whether the champion of each of its models is there."""
    from gatecast.data.errors import InputError
    from gatecast.flows.registry.catalogue import champions
    from gatecast.flows.registry.registry import Registry
    from gatecast.flows.settings.workspace import Workspace

    here = Workspace.from_environment()
    nearest = next(path for path in (here.root, *here.root.parents) if path.exists())
    try:
        with tempfile.NamedTemporaryFile(dir=nearest):
            pass
    except OSError as error:
        yield Finding(
            "workspace", f"{here.root} ({error.strerror})", "Name a folder you may write to with --workspace."
        )
        return
    names = champions(here)
    yield Finding("workspace", f"{here.root}, " + (f"models: {', '.join(names)}" if names else "no model yet"))
    for name in names:
        registry = Registry(here, name)
        try:
            # Weights are checked when a model is loaded.
            registry.settings(str(registry.champion()))
        except InputError as error:
            yield Finding(name, "the champion cannot be read", str(error))


def server() -> Iterator[Finding]:
    """Look for Prefect's server: the one that is named, or the embedded one."""
    import httpx

    from gatecast.flows.engine.server import dashboard_url
    from gatecast.flows.settings.workspace import Workspace

    url = os.environ.get("PREFECT_API_URL") or dashboard_url(Workspace.from_environment())
    if not url:
        home = os.environ.get("PREFECT_HOME") or Workspace.from_environment().prefect
        yield Finding("Prefect", f"embedded server, started with each run; its database is in {home}")
        return
    try:
        httpx.get(f"{url.rstrip('/')}/health", timeout=SERVER_LIMIT_SECONDS).raise_for_status()
    except httpx.HTTPError as error:
        mend = "Start that server, or unset PREFECT_API_URL to use the embedded one."
        yield Finding("Prefect", f"{url} does not answer ({error})", mend)
        return
    yield Finding("Prefect", f"server at {url}")


def yahoo() -> Iterator[Finding]:
    """Look for the library behind the Yahoo source."""
    there = importlib.util.find_spec("yfinance") is not None
    yield Finding("yfinance", version("yfinance") if there else "missing", None if there else "pip install yfinance")
