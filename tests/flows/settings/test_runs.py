from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from gatecast.data.errors import InputError, SettingsError
from gatecast.data.sequences.splits import SAMPLE_SPLIT, SplitSettings
from gatecast.flows.engine.terminal import explain
from gatecast.flows.settings.champion import MonitorSettings
from gatecast.flows.settings.runs import DataSettings, RetrainSettings, Workspace
from gatecast.lstm.config import ForecasterSettings


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
    relative = RetrainSettings(features="slides", model=ForecasterSettings(loss="smape"))
    assert relative.resolved("bars").model.scaling == "auto"  # size, in the end


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


def test_a_workspace_is_no_url_with_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATECAST_HOME", "s3://me:hunter2@bucket/workspace")
    with pytest.raises(InputError, match="cannot be the workspace") as refused:
        Workspace.from_environment()
    assert "hunter2" not in str(refused.value)


def test_paths_are_absolute_and_urls_and_variables_stay_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert DataSettings(path="a.csv").path == tmp_path / "a.csv"
    assert DataSettings(path=Path("~/a.csv")).path == Path.home() / "a.csv"
    for kept in ("s3://bucket/a.csv", "$SALES", "${SALES}", "https://me:${PASSWORD}@host/a.csv"):
        assert DataSettings(path=kept).path == kept
    assert MonitorSettings(path="a.csv", prometheus="b").prometheus == tmp_path / "b"


def test_the_source_and_the_name_of_a_url_are_those_of_its_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SALES", "https://host/sales.parquet?token=hunter2")
    settings = DataSettings(path="$SALES")
    assert (settings.source, settings.origin, settings.description) == ("parquet", "SALES", "$SALES")
    monkeypatch.delenv("SALES")
    assert DataSettings(path="$SALES").source == "csv"
    settings = DataSettings(path="https://host/a/sales.pq?token=${TOKEN}&v=a.csv")
    assert (settings.source, settings.origin) == ("parquet", "sales")


def test_a_secret_is_refused_and_not_repeated() -> None:
    with pytest.raises(ValidationError, match="holds a secret") as wrong:
        RetrainSettings.model_validate({"data": {"path": "https://me:hunter2@host/x.csv"}})
    assert "hunter2" not in str(wrong.value)
    sentence, status = explain(wrong.value)
    assert sentence.startswith("path holds a secret, such as a password or a token")
    assert "write '${NAME}' in its place" in sentence
    assert (status, "hunter2" in sentence) == (2, False)


@pytest.mark.parametrize("path", [r"C:\Users\me@work\x.csv", "file.csv?", "a@b/x.csv", "s3://bucket/me@work/x.csv"])
def test_what_is_ordinary_is_taken(path: str) -> None:
    assert DataSettings(path=path).source == "csv"


def test_a_query_may_compare_passwords() -> None:
    query = "SELECT ds, y FROM t WHERE password = 'x' AND tags::jsonb@>'{}' AND note LIKE 'a:b@c'"
    assert DataSettings(source="sql", url="sqlite:///x.db", query=query).query == query


@pytest.mark.parametrize("name", ["../up", ".hidden", "", "a/b", "x" * 81])
def test_a_name_that_is_no_folder_is_refused(name: str) -> None:
    with pytest.raises(SettingsError):
        RetrainSettings(name=name)


def test_every_setting_is_described() -> None:
    for model in (RetrainSettings, DataSettings, ForecasterSettings, SplitSettings):
        assert all(field.description for field in model.model_fields.values())
