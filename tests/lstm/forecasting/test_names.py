"""Names of series and of columns come back as they went in."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from gatecast import Forecaster, InputError, load
from gatecast.lstm.forecasting.names import SeriesNames
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


BOUNDS = ["y_hat-lo-80", "y_hat-hi-80", "y_hat-lo-95", "y_hat-hi-95"]


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


def renamed(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.rename(columns={"unique_id": "store", "ds": "day", "y": "sales"}).assign(note="x")


ROLES = {"id_column": "store", "time_column": "day", "target": "sales", "exclude": ["note"]}


def test_columns_that_were_named_come_back_from_everything(tmp_path):
    frame = make_series({"b": 40, "a": 40})
    own = renamed(frame)
    plain = small().fit(frame)
    model = small().fit(own, **ROLES)
    expected = plain.predict(frame).rename(columns={"unique_id": "store", "ds": "day"})
    for each in (model, load(model.save(tmp_path / "model"))):
        for forecast in (each.predict(), each.predict(own), each.predict(own.drop(columns="note"))):
            assert list(forecast) == ["store", "day", "y_hat", *BOUNDS]
            pd.testing.assert_frame_equal(forecast, expected)
        rows, samples = each.sample(own, n_samples=3)
        assert (list(rows), samples.shape) == (["store", "day"], (3, 4))
        tested = each.cross_validation(own, n_windows=2)
        assert list(tested) == ["store", "day", "cutoff", "sales", "y_hat", *BOUNDS]
        assert len(own.merge(tested)) == len(tested) == 8
        pd.testing.assert_frame_equal(each.predict(frame), plain.predict(frame))


def test_forecasts_can_be_put_below_their_frame():
    own = renamed(make_series({"b": 40, "a": 40}, covariates=0))
    both = own.merge(small().fit(own, **ROLES).predict(), how="outer", on=["store", "day"])
    assert len(both) == 84
    assert both["sales"].notna().sum() == 80
    assert both["y_hat"].notna().sum() == 4


def test_a_model_that_is_not_fitted_is_tested_with_columns_that_are_named():
    frame = make_series({"a": 40})
    tested = small().cross_validation(renamed(frame), **ROLES)
    assert tested["y_hat"].tolist() == small().cross_validation(frame)["y_hat"].tolist()
    assert list(tested) == ["store", "day", "cutoff", "sales", "y_hat", *BOUNDS]


def test_names_of_several_columns_come_back_as_these(tmp_path):
    frame = make_series({"a": 40, "b": 40}, covariates=0)
    own = frame.assign(
        region=frame["unique_id"].map({"a": "S/N", "b": "N"}), shop=frame["unique_id"].map({"a": 2, "b": 1})
    )
    model = small().fit(own.drop(columns="unique_id"), id_column=["region", "shop"])
    for forecast in (model.predict(), load(model.save(tmp_path / "model")).predict()):
        assert list(forecast) == ["region", "shop", "ds", "y_hat", *BOUNDS]
        assert forecast["region"].tolist() == ["S/N", "S/N", "N", "N"]
        assert forecast["shop"].tolist() == [2, 2, 1, 1]


def test_a_frame_without_names_is_one_series_without_a_name(tmp_path):
    own = renamed(make_series({"a": 40}, covariates=0))[["day", "sales"]]
    model = small().fit(own)
    forecast = load(model.save(tmp_path / "model")).predict(own)
    assert list(forecast) == ["day", "y_hat", *BOUNDS]
    assert forecast["day"].tolist() == list(pd.date_range("2020-02-10", periods=2))


@pytest.mark.parametrize("step", [1, 5, 10, 30])
def test_numbered_rows_are_forecast_with_numbers(step, tmp_path):
    rng = np.random.default_rng(0)
    own = pd.DataFrame({"ds": 3 + step * np.arange(40), "y": rng.normal(size=40)})
    model = small().fit(own)
    last = 3 + step * 39
    for forecast in (model.predict(), load(model.save(tmp_path / "model")).predict(own)):
        assert forecast["ds"].dtype == np.int64
        assert forecast["ds"].tolist() == [last + step, last + 2 * step]
    tested = model.cross_validation(own)
    assert tested["cutoff"].tolist() == [last - 2 * step] * 2
    assert tested["ds"].tolist() == [last - step, last]


def test_other_names_are_refused_where_a_model_knows_its_own():
    own = renamed(make_series({"a": 40}, covariates=0))
    model = small().fit(own, **ROLES)
    with pytest.raises(InputError, match="has no column 'store' for id_column"):
        model.predict(own.rename(columns={"store": "shop"}))


def test_series_that_are_left_out_do_not_lose_the_names_of_the_others():
    frame = make_series({"2": 40, "1": 40}, covariates=0).astype({"unique_id": "int64"})
    frame.loc[frame["unique_id"] == 1, "y"] = np.nan
    assert small().fit(frame).predict()["unique_id"].tolist() == [2, 2]


def test_names_of_models_of_before_are_read():
    names = SeriesNames.from_dict({"names": ["10", "9"], "dtype": "int64"})
    rows = pd.DataFrame({"unique_id": ["9", "10"], "ds": pd.Timestamp("2020-01-01"), "y_hat": [1.0, 2.0]})
    assert names.restored(rows)["unique_id"].tolist() == [10, 9]
    assert names.restored(rows)["y_hat"].tolist() == [2.0, 1.0]
