from __future__ import annotations

from pathlib import Path

import pytest

from gatecast.data.errors import InputError, SettingsError
from gatecast.data.sequences.splits import SAMPLE_SPLIT, SplitSettings
from gatecast.flows.settings.data import DataSettings
from gatecast.flows.settings.runs import RetrainSettings
from gatecast.lstm.config import ForecasterSettings


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


@pytest.mark.parametrize("name", ["../up", ".hidden", "", "a/b", "x" * 81])
def test_a_name_that_is_no_folder_is_refused(name: str) -> None:
    with pytest.raises(SettingsError):
        RetrainSettings(name=name)


def test_every_setting_is_described() -> None:
    for model in (RetrainSettings, DataSettings, ForecasterSettings, SplitSettings):
        assert all(field.description for field in model.model_fields.values())
