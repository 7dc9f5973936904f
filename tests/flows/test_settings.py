from __future__ import annotations

from pathlib import Path

import pytest

from data.errors import InputError, SettingsError
from data.splits import SAMPLE_SPLIT, SplitSettings
from flows.settings import DataSettings, RetrainSettings, Workspace
from lstm.config import ForecasterSettings


def test_the_workspace_is_absolute_and_not_made_by_asking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GATECAST_HOME", raising=False)
    workspace = Workspace.from_environment()
    assert workspace.root == tmp_path / "workspace"
    assert not workspace.root.exists()
    assert workspace.prefect == tmp_path / "workspace" / "prefect"


def test_a_workspace_that_is_a_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_text("")
    monkeypatch.setenv("GATECAST_HOME", str(path))
    with pytest.raises(InputError, match="is a file"):
        Workspace.from_environment()


def test_the_sample_resolves_to_range_and_its_own_split() -> None:
    settings = RetrainSettings().resolved("bars")
    assert (settings.name, settings.target, settings.features) == ("sample-range", "range", "returns")
    assert settings.split == SAMPLE_SPLIT


def test_a_feature_set_brings_its_scaling_unless_one_is_given() -> None:
    assert RetrainSettings(features="slides").resolved("bars").model.scaling == "minmax"
    several = RetrainSettings(model=ForecasterSettings(horizon=5))
    assert several.resolved("bars").name == "sample-range-5-steps"
    chosen = RetrainSettings(features="slides", model=ForecasterSettings(scaling="robust"))
    assert chosen.resolved("bars").model.scaling == "robust"


def test_a_series_frame_has_no_target_to_choose(tmp_path: Path) -> None:
    data = DataSettings(source="csv", path=tmp_path / "my load!.csv")
    settings = RetrainSettings(data=data).resolved("series")
    assert (settings.name, settings.target, settings.split) == ("my-load", None, SplitSettings())
    with pytest.raises(InputError, match="--target"):
        RetrainSettings(data=data, target="close").resolved("series")


def test_a_path_tells_its_source_unless_one_is_given() -> None:
    assert [DataSettings(path=path).source for path in ("a.csv", "s3://b/A.PARQUET", "folder")] == [
        "csv", "parquet", "csv",
    ]  # fmt: skip
    assert DataSettings(path="a.csv", source="parquet").source == "parquet"
    assert DataSettings().source == "sample"


@pytest.mark.parametrize("name", ["../up", ".hidden", "", "a/b", "x" * 81])
def test_a_name_that_is_no_folder_is_refused(name: str) -> None:
    with pytest.raises(SettingsError):
        RetrainSettings(name=name)


def test_every_setting_is_described() -> None:
    for model in (RetrainSettings, DataSettings, ForecasterSettings, SplitSettings):
        assert all(field.description for field in model.model_fields.values())
