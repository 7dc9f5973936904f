from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.accuracy.excerpts import write_folder


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Excerpts of all data sets, to be read only."""
    return write_folder(tmp_path_factory.mktemp("datasets"))
