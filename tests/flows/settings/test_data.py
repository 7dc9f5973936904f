from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from gatecast.flows.engine.terminal import explain
from gatecast.flows.settings.champion import MonitorSettings
from gatecast.flows.settings.data import DataSettings
from gatecast.flows.settings.runs import RetrainSettings


def test_a_path_tells_its_source_unless_one_is_given() -> None:
    assert [DataSettings(path=path).source for path in ("a.csv", "s3://b/A.PARQUET", "folder")] == [
        "csv", "parquet", "csv",
    ]  # fmt: skip
    assert DataSettings(path="a.csv", source="parquet").source == "parquet"
    assert DataSettings().source == "sample"


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
