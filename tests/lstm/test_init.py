from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import lstm

HEAVY = ("pandas", "numba", "prefect", "sklearn", "pyarrow", "matplotlib", "numpy")


def loaded_after(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    root = Path(lstm.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_package_imports_nothing_heavy():
    assert loaded_after("import lstm") == set()


def test_a_layer_needs_neither_pandas_nor_prefect():
    loaded = loaded_after("from lstm import LSTM; LSTM(1, 1)")
    assert "numba" in loaded
    assert not loaded & {"pandas", "prefect", "sklearn", "pyarrow", "matplotlib"}


@pytest.mark.parametrize("name", lstm.__all__)
def test_every_public_name_can_be_imported(name):
    assert getattr(lstm, name).__name__ == name
    assert name in dir(lstm)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="Transformer"):
        lstm.Transformer  # noqa: B018
