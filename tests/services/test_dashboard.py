"""The dashboard in a real browser: what a person sees of a finished retrain is really there."""

from __future__ import annotations

import http.server
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gatecast.data.store import write_parquet
from tests.data.frames import make_series
from tests.services.browser import Browser, needs_browser
from tests.services.conftest import Served

pytestmark = needs_browser


@pytest.fixture(scope="module")
def finished(served: Served) -> str:
    """Id of a finished retrain of the sample."""
    done = served.run("retrain", "--set", "model.max_epochs=6", "--wait")
    assert done.returncode == 0, done.stdout + done.stderr + served.said()
    return done.stdout.split("/flow-run/")[1].split()[0]


@pytest.fixture(scope="module")
def browser(served: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser; its screenshots are kept where ``SCREENSHOTS`` says, as ``docs`` for those of the documentation."""
    folder = os.environ.get("SCREENSHOTS") or tmp_path_factory.mktemp("screenshots")
    browser = Browser(served.url.removesuffix("/api"), Path(folder))
    yield browser
    browser.chrome.quit()


@pytest.fixture(scope="module")
def artifacts(served: Served, finished: str) -> dict[str, str]:
    """Path of the page of each artifact of the run, by its key."""
    found = served.api("artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [finished]}}})
    return {
        artifact["key"].removeprefix("sample-range-"): f"/artifacts/artifact/{artifact['id']}" for artifact in found
    }


def test_the_page_of_a_run_shows_its_steps_and_artifacts(
    browser: Browser, finished: str, artifacts: dict[str, str]
) -> None:
    browser.open(f"/runs/flow-run/{finished}")
    browser.wait_for("body", "Completed")
    browser.wait_for("canvas")
    browser.wait_for("body", "step=evaluate")
    browser.keep("dashboard-run")
    browser.wait_for("button, a, li", "Artifacts").click()
    assert {"scores", "pictures", "champion", "forecasts", "data", "report"} <= set(artifacts)
    for kind in artifacts:
        assert browser.wait_for("main, body", kind)


def test_the_scores_are_a_table_with_the_baselines(browser: Browser, artifacts: dict[str, str]) -> None:
    browser.open(artifacts["scores"])
    table = browser.wait_for("table", "LSTM")
    for text in ("last value", "HAR(1,5,22)", "exponential mean", "ridge regression", "sp500", "nasdaq", "MASE"):
        assert text in table.text
    browser.wait_for("body", "The model")
    browser.keep("dashboard-scores")


def test_the_pictures_are_really_drawn(browser: Browser, artifacts: dict[str, str]) -> None:
    browser.open(artifacts["pictures"])
    assert browser.picture("img[alt^='Forecast against actual']") == (990, 583)
    assert browser.picture("img[alt='Loss by epoch']")[0] > 500
    browser.keep("dashboard-pictures")


@pytest.mark.parametrize(
    ("kind", "text"), [("champion", "v0001-"), ("forecasts", "2019-01-02"), ("data", "2018-12-31")]
)
def test_champion_forecasts_and_data_are_tables(
    browser: Browser, artifacts: dict[str, str], kind: str, text: str
) -> None:
    browser.open(artifacts[kind])
    assert text in browser.wait_for("table", text).text


def test_the_history_of_an_artifact_is_under_its_key(browser: Browser, finished: str) -> None:
    browser.open("/artifacts/key/sample-range-scores")
    assert browser.wait_for("body", "Created sample-range-scores")


def test_the_link_leads_to_the_report(browser: Browser, artifacts: dict[str, str]) -> None:
    browser.open(artifacts["report"])
    browser.wait_for("a", "Report on sample-range").click()
    browser.chrome.switch_to.window(browser.chrome.window_handles[-1])
    browser.wait_for("h1", "sample-range")
    browser.wait_for("table", "HAR(1,5,22)")
    assert browser.picture("img[alt^='Forecast against actual']") == (990, 583)
    browser.keep("report")


def test_the_form_of_a_deployment_explains_its_settings(browser: Browser, served: Served) -> None:
    (retrain,) = served.api("deployments/filter", {"deployments": {"name": {"any_": ["retrain"]}}})
    browser.open(f"/deployments/deployment/{retrain['id']}/run")
    assert browser.wait_for("body", "Units of each LSTM layer")
    browser.keep("dashboard-form")


def test_names_of_series_are_neither_images_nor_links(browser: Browser, served: Served, tmp_path: Path) -> None:
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(404)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        names = [
            f"![p]({address}/1.png)", f"<img src={address}/2.png>", f"[here]({address}/3)", f"see {address}/4",
            "www.example.com", "me@work.example", "**a** _b_ `c` a_b_c 1*2*3", "# x", "S&P 500 &lt;", "back\\slash",
        ]  # fmt: skip
        path = write_parquet(make_series(dict.fromkeys(names, 60)), tmp_path / "hostile.parquet")
        small = ("--set", "model.lookback=4", "--set", "model.max_epochs=1")
        done = served.run("retrain", "--set", f"data.path={path}", *small, "--wait")
        assert done.returncode == 0, done.stdout + done.stderr + served.said()
        run = done.stdout.split("/flow-run/")[1].split()[0]
        found = served.api("artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [run]}}})
        tables = [artifact for artifact in found if artifact["type"] == "table"]
        assert len(tables) >= 4
        for artifact in tables:
            browser.open(f"/artifacts/artifact/{artifact['id']}")
            table = browser.wait_for("table", "here" if artifact["key"] != "hostile-champion" else "v0001")
            assert not browser.chrome.execute_script(
                "return arguments[0].querySelectorAll('img, a, em, code').length", table
            )
            if artifact["key"] in ("hostile-data", "hostile-scores"):
                assert [name for name in names if name not in table.text] == []
        assert browser.hosts() == {"127.0.0.1"}
        assert asked == []
        server.shutdown()


def test_the_pages_ask_no_outside_host_and_offer_none_that_do(browser: Browser, finished: str) -> None:
    browser.open("/dashboard")
    assert "V2" not in browser.wait_for("body", "Flow Runs").text
    assert browser.hosts() == {"127.0.0.1"}
