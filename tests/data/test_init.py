from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import data


@pytest.mark.parametrize("name", dir(data))
def test_every_public_name_is_there(name):
    assert getattr(data, name) is not None


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        data.nothing  # noqa: B018


def test_importing_data_imports_nothing_heavy():
    code = "import sys, data; print({'pandas', 'numpy', 'pyarrow', 'sklearn'} & set(sys.modules))"
    root = Path(data.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
