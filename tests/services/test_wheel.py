"""The wheel: one package, `gatecast`, which works next to a user's own `data`, `flows` and `lstm`."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DECOY = "raise SystemExit('a bare import found the user\\'s own module')\n"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of what git has, built as pip builds it."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(source)], check=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet", "--no-deps"]
    subprocess.run([*pip, "--wheel-dir", str(folder), str(source)], check=True)
    return next(folder.glob("*.whl"))


def test_it_holds_nothing_at_the_top_but_the_package(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names} == {"gatecast", f"{'-'.join(wheel.name.split('-')[:2])}.dist-info"}
    assert {
        "gatecast/py.typed",
        "gatecast/__init__.pyi",
        "gatecast/data/samples/sp500.parquet",
        "gatecast/flows/reporting/templates/report.html",
        "gatecast/kernels/scalar.py",
    } <= set(names)


def test_it_retrains_the_sample_next_to_a_users_own_modules(wheel: Path, tmp_path: Path) -> None:
    installed = tmp_path / "installed"
    zipfile.ZipFile(wheel).extractall(installed)
    project = tmp_path / "project"
    for name in ("data/__init__.py", "lstm/__init__.py", "kernels/__init__.py", "flows.py"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(DECOY)
    environment = {**os.environ, "PYTHONPATH": str(installed), "GATECAST_HOME": str(tmp_path / "workspace")}
    code = "import gatecast; print(gatecast.__file__); from gatecast.flows.cli import main; main()"
    options = ["retrain", "--symbols", "sp500", "--start", "2010-01-01", "--lookback", "8", "--hidden-size", "4"]
    done = subprocess.run(
        [sys.executable, "-c", code, *options, "--epochs", "1"],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith(str(installed / "gatecast"))
    assert "against" in done.stdout
    assert not (project / "workspace").exists()
