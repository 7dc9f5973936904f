from __future__ import annotations

import os
import re

import pytest

from gatecast.data.errors import InputError
from gatecast.flows.engine.login import LOGIN, URL, is_loopback, take_login_out_of_address


@pytest.mark.parametrize(
    ("address", "url", "login"),
    [
        ("http://user:hunter%2F2@host:4200/api", "http://host:4200/api", "user:hunter/2"),
        ("http://host:4200/api", "http://host:4200/api", None),
        ("", "", None),
    ],
)
def test_the_login_in_the_address_gets_a_variable_of_its_own(
    monkeypatch: pytest.MonkeyPatch, address: str, url: str, login: str | None
) -> None:
    monkeypatch.setenv(LOGIN, "")  # so that it is taken away after the test even where it was not set before
    monkeypatch.delenv(LOGIN)
    monkeypatch.setenv(URL, address)
    take_login_out_of_address()
    assert (os.environ[URL], os.environ.get(LOGIN)) == (url, login)


def test_a_login_that_is_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LOGIN, "other:password")
    monkeypatch.setenv(URL, "http://user:hunter2@host/api")
    take_login_out_of_address()
    assert (os.environ[URL], os.environ[LOGIN]) == ("http://host/api", "other:password")


@pytest.mark.parametrize(
    ("host", "only_here"),
    [
        ("127.0.0.1", True),
        ("127.0.0.2", True),
        ("127.1", True),
        ("localhost", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("0", False),
        ("::", False),
        ("192.0.2.7", False),
    ],
)
def test_loopback_is_what_only_this_machine_reaches(host: str, only_here: bool) -> None:
    assert is_loopback(host) is only_here


@pytest.mark.parametrize("host", ["", "no such host", "[::1]"])
def test_what_is_no_address_is_refused(host: str) -> None:
    with pytest.raises(InputError, match=f"{re.escape(repr(host))} is no address to listen on"):
        is_loopback(host)
