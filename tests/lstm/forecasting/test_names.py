"""Names of series come back as they went in."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa
import pytest

from gatecast import Forecaster, load
from tests.data.frames import make_series

LENGTHS = {"10": 40, "9": 40, "1": 40}
KINDS = {
    "text": lambda ids: ids.astype("str"),
    "int64": lambda ids: ids.astype("int64"),
    "float64": lambda ids: ids.astype("int64") + 0.5,
    "category": lambda ids: ids.astype("category"),
    "arrow text": lambda ids: ids.astype(pd.ArrowDtype(pa.large_string())),
    "arrow int": lambda ids: ids.astype("int64").astype(pd.ArrowDtype(pa.int32())),
}


@pytest.fixture(params=KINDS)
def frame(request):
    frame = make_series(LENGTHS, covariates=0)
    return frame.assign(unique_id=KINDS[request.param](frame["unique_id"]))


def small() -> Forecaster:
    return Forecaster(lookback=4, horizon=2, hidden_size=2, max_epochs=1, dropout=0.1)


def test_ids_come_back_as_they_were_in_the_order_they_came(frame, tmp_path):
    model = small().fit(frame)
    expected = frame["unique_id"].drop_duplicates().repeat(2).reset_index(drop=True)
    loaded = load(model.save(tmp_path / "model"))
    for forecast in (model.predict(), model.predict(frame), loaded.predict(), loaded.predict(frame)):
        assert forecast["unique_id"].tolist() == expected.tolist()
        assert len(frame.merge(forecast, on="unique_id")) == len(frame) * 2
        if expected.dtype not in ("str", "object"):
            assert forecast["unique_id"].dtype == expected.dtype


def test_forecasts_and_samples_keep_to_their_series(frame):
    model = small().fit(frame)
    plain = small().fit(frame.assign(unique_id=frame["unique_id"].astype(str)).sort_values(["unique_id", "ds"]))
    level = model.predict().groupby("unique_id", observed=True)["y_hat"].mean()
    expected = plain.predict().groupby("unique_id")["y_hat"].mean()
    assert {str(name): value for name, value in level.items()} == expected.to_dict()
    rows, samples = model.sample(n_samples=4)
    plain_rows, plain_samples = plain.sample(n_samples=4)
    for name in plain_rows["unique_id"].unique():
        ours = samples[:, (rows["unique_id"].astype(str) == name).to_numpy()]
        assert (ours == plain_samples[:, (plain_rows["unique_id"] == name).to_numpy()]).all()


def test_cross_validation_and_attention_have_the_names_too(frame):
    model = Forecaster(lookback=4, horizon=2, hidden_size=2, max_epochs=1, attention="dot").fit(frame)
    forecasts = model.cross_validation(frame, n_windows=2)
    assert set(forecasts["unique_id"]) == set(frame["unique_id"])
    assert forecasts["cutoff"].is_monotonic_increasing
    assert set(model.attention_weights()["unique_id"]) == set(frame["unique_id"])


def test_a_model_that_is_fitted_again_forgets_the_former_names():
    frame = make_series(LENGTHS, covariates=0)
    model = small().fit(frame.assign(unique_id=frame["unique_id"].astype("int64")))
    assert model.fit(make_series({"a": 40}, covariates=0)).predict()["unique_id"].tolist() == ["a", "a"]
