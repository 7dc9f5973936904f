"""The import name: what it offers, what it costs, and that each file is one module."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import gatecast

ROOT = Path(__file__).parents[1]
ROOMS = ("data", "flows", "kernels", "lstm")
HEAVY = ("pandas", "numba", "prefect", "sklearn", "pyarrow", "matplotlib", "numpy")


def loaded_after(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "statement", ["import gatecast", *(f"import gatecast.{room}" for room in ("data", "flows", "lstm"))]
)
def test_importing_a_package_imports_nothing_heavy(statement):
    assert not loaded_after(statement) & set(HEAVY)


def test_a_layer_needs_neither_pandas_nor_prefect():
    loaded = loaded_after("from gatecast import LSTM; LSTM(1, 1)")
    assert "numba" in loaded
    assert not loaded & {"pandas", "prefect", "sklearn", "pyarrow", "matplotlib"}


@pytest.mark.parametrize("name", dir(gatecast))
def test_every_public_name_can_be_imported(name):
    assert getattr(gatecast, name) is not None


def test_the_stub_is_the_one_list_of_public_names():
    assert {"LSTM", "LSTMCell", "Forecaster", "LSTMRegressor", "CharLM", "Tagger", "load"} <= set(dir(gatecast))
    assert sorted(gatecast.__all__) == dir(gatecast)


@pytest.mark.parametrize("name", ["Transformer", "__path_of_nothing__"])
def test_an_unknown_name_is_an_attribute_error(name):
    with pytest.raises(AttributeError, match=name):
        getattr(gatecast, name)


def test_the_rooms_and_interop_are_attributes():
    assert "load_torch" in dir(gatecast.lstm.interop)
    assert gatecast.kernels.get_backend


def test_each_file_is_one_module():
    """The rooms are links in gatecast/, so a file could be imported under two names, as two modules."""
    for room in ROOMS:
        assert (ROOT / "gatecast" / room).resolve() == ROOT / room
    loaded = loaded_after("import gatecast.flows.cli, gatecast.lstm.forecasting.forecaster")
    assert not {name for name in loaded if name.split(".")[0] in ROOMS}


def test_nothing_imports_a_room_by_its_bare_name():
    found = []
    for folder in (*ROOMS, "gatecast", "benchmarks", "tests"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and not node.level:
                    names.append(str(node.module))
                found += [f"{path}: {name}" for name in names if name.split(".")[0] in ROOMS]
    assert found == []
