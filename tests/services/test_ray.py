"""A fleet on a local Ray cluster, as it is typed."""

from __future__ import annotations

import importlib.util
import os
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gatecast.data.store import read_json
from tests.services.conftest import GATECAST
from tests.services.processes import kill_all

pytestmark = pytest.mark.skipif(importlib.util.find_spec("prefect_ray") is None, reason="prefect-ray is not installed")
MODELS = ("a", "b", "c", "short")


def test_a_fleet_on_ray_trains_what_it_can(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    home = tmp_path / "workspace"
    rows = {name: 6 if name == "short" else 200 for name in MODELS}
    parts = [
        pd.DataFrame(
            {
                "unique_id": name,
                "ds": pd.date_range("2020-01-01", periods=count),
                "y": np.sin(np.arange(count) / 3) + 0.1 * rng.normal(size=count),
            }
        )
        for name, count in rows.items()
    ]
    pd.concat(parts).to_csv(tmp_path / "load.csv", index=False)
    (tmp_path / "symbols.txt").write_text("\n".join(MODELS))
    options = ["--lookback", "8", "--hidden-size", "4", "--epochs", "2", "--runner", "ray", "--workers", "2"]
    command = [GATECAST, "retrain", "--source", "csv", "--path", str(tmp_path / "load.csv"), *options]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT", "GATECAST"))}
    try:
        done = subprocess.run(
            [*command, "--symbols-file", str(tmp_path / "symbols.txt")],
            env={**kept, "GATECAST_HOME": str(home)},
            capture_output=True,
            text=True,
            timeout=300,
        )
    finally:
        kill_all(home)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 of 4 models failed; to train them again: " in done.stdout + done.stderr
    outcomes = {each["name"]: each for each in read_json(home / "reports" / "load-fleet" / "outcomes.json")}
    assert "for training and 0 for validation" in outcomes.pop("load-short")["error"]
    assert [each["error"] for each in outcomes.values()] == [None] * 3
    for name, each in outcomes.items():
        assert read_json(home / "models" / name / "champion.json")["version"] == each["version"]
