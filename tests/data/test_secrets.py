"""Secrets in URLs are found, hidden and taken from the environment, and ordinary locations are left alone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gatecast.data.errors import InputError, SourceError
from gatecast.data.secrets import PATTERN, holds_secret, masked
from gatecast.data.variables import replacements, resolved, secrets_hidden

SECRET = "hunter2"
WITH_SECRET = [
    "postgresql+psycopg://me:hunter2@host/db",
    "postgresql://me:hunter2@host:5432/db?sslmode=require",
    "postgresql://me:hun/ter2hunter2@host/db",
    "postgresql://me:12/hunter2@host/db",
    "postgresql://me:hunter2@hunter2@host/db",
    "redis://:hunter2@host",
    "postgresql:/me:hunter2@host/db",
    "postgresql:///me:hunter2@host/db",
    "postgresql//me:hunter2@host/db",
    "postgresql;//me:hunter2@host/db",
    "htps://me:hunter2@host/x.csv",
    "me:hunter2@host/db",
    "//me:hunter2@host/db",
    "/data/me:hunter2@host/x.csv",
    r"C:\data\me:hunter2@host\x.csv",
    "https://hunter2@host/x.csv",
    "https://me:hunter2@host:8080/a/x.csv",
    "zip://x.csv::https://me:hunter2@host/x.zip",
    "simplecache::s3://me:hunter2@bucket/x.csv",
    "sqlite:///x.db?password=hunter2",
    "mysql+pymysql://host/db?user=me&passwd=hunter2&charset=utf8",
    "mssql+pyodbc:///?odbc_connect=DRIVER%3D%7BSQL%7D%3BUID%3Dme%3BPWD%3Dhunter2%3B",
    "Driver={SQL};Server=host;UID=me;PWD=hunter2",
    "host=db user=me password=hunter2 dbname=sales",
    "password = hunter2",
    "me:hun ter2hunter2@host/db",
    *(
        f"https://host/x.csv?a=1&{name}=hunter2&b=2"
        for name in (
            "password", "passwd", "PWD", "token", "access_token", "api_key", "apikey", "ApiKey", "x-api-key", "key",
            "secret", "client_secret", "sig", "signature", "X-Amz-Signature", "X-Amz-Security-Token",
            "X-Goog-Signature", "X-Amz-Credential", "auth", "refresh_token", "subscription-key", "sslpassword", "jwt",
        )
    ),
    "https://host/x.csv#access_token=hunter2",
    "x.csv?token=hunter2",
]  # fmt: skip
ORDINARY = [
    "bars.csv",
    "file.csv?",
    "file.csv?token=",
    "a@b/x.csv",
    "/home/me@work.example/sales/x.csv",
    r"C:\Users\me@work\x.csv",
    "C:/Users/me@work/x.csv",
    "/data/2024-01-01T10:30:00/x.csv",
    "/data/10:30/me@work/x.csv",
    "/lake/token=abc/key=AAPL/part-0.parquet",
    "key=AAPL/part-0.parquet",
    "s3://bucket/me@work/x.csv",
    "https://host:8080/me@work/x.csv",
    "hdfs://name:8020/data/me@work/x.csv",
    "https://cdn.example/npm/vega-datasets@2/data/x.csv",
    "https://data.example/x.csv?$limit=50&$where=a>1&keyword=sun&sort_key=day&monkey=1&tokens=5",
    "sqlite:///sales.db",
    "sqlite:////home/me@work/sales.db",
    "sqlite:///C:/Users/me@work/sales.db",
    "postgresql+psycopg://host/db",
    "postgresql://me@host:5432/db",
    "tcp://10.0.0.1:8786",
    "$SALES_URL",
    "${SALES_URL}",
    "postgresql://me:${PASSWORD}@host/db",
    "https://${TOKEN}@host/x.csv",
    "https://host/x.csv?token=${TOKEN}&a=1",
    "sqlite:///x.db?password=***",
]


@pytest.mark.parametrize("location", WITH_SECRET)
def test_a_secret_is_found_and_hidden(location: str) -> None:
    assert holds_secret(location)
    if " " not in location or "=" in location:  # in a sentence a blank ends a URL
        assert re.search(PATTERN, location)
        assert SECRET not in masked(f"The file {location} cannot be read ({location!r}).")
        assert not holds_secret(masked(location))


@pytest.mark.parametrize(
    "location",
    [
        "http://me%3Ahunter2%40host/x.csv",
        "http:/me%3Ahunter2%40host/x.csv",
        "https%3A%2F%2Fme%3Ahunter2%40host%2Fx.csv",
        "https://host/x.csv?%74oken=hunter2",
    ],
)
def test_a_secret_in_an_encoded_url_is_found(location: str) -> None:
    assert holds_secret(location)


@pytest.mark.parametrize("location", ["bars/sales-1/A%3AB%40C.parquet", "C:/bars/A%3AB%40C.parquet"])
def test_an_encoded_name_is_no_url(location: str) -> None:
    assert not holds_secret(location)


@pytest.mark.parametrize("location", ORDINARY)
def test_what_is_ordinary_is_neither_refused_nor_changed(location: str) -> None:
    assert not holds_secret(location)
    assert not re.search(PATTERN, location)
    assert masked(location) == location


def test_a_path_that_was_a_url_is_found_as_well() -> None:
    # A path of two slashes in a row has one.
    assert holds_secret(str(Path("postgresql://me:hunter2@host/db")))
    assert holds_secret(str(Path("https://me:hun/ter2@host/x.csv").absolute()))


def test_what_is_no_secret_stays_readable() -> None:
    assert masked("postgresql://me:hunter2@host/db fails") == "postgresql://me:***@host/db fails"
    assert masked("https://host/x.csv?a=1&token=hunter2&b=2") == "https://host/x.csv?a=1&token=***&b=2"


@pytest.mark.parametrize("part", ["a", "a:", "a@", "a:b@", "://", "xx://a:", "http://a:", "?", "?a_", "&token_", "x="])
def test_a_long_text_is_masked_in_the_end(part: str) -> None:
    text = part * (50_000 // len(part))
    assert masked(f"{text} https://me:hunter2@host {text}").count("hunter2") == 0


def test_variables_are_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SALES_URL", "https://me:hunter2@host/x.csv")
    monkeypatch.setenv("TOKEN", "hunter3")
    for whole in ("$SALES_URL", "${SALES_URL}"):
        assert resolved(whole) == "https://me:hunter2@host/x.csv"
    assert resolved("https://host/x?token=${TOKEN}&$TOKEN=1") == "https://host/x?token=hunter3&$TOKEN=1"
    assert resolved("data/${TOKEN}/$TOKEN.csv") == "data/${TOKEN}/$TOKEN.csv"
    monkeypatch.setenv("EMPTY", "")
    for name in ("NOWHERE", "EMPTY"):
        with pytest.raises(InputError, match=f"variable {name} is not set"):
            resolved(f"${name}")


def test_a_known_secret_is_hidden_wherever_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SALES_URL", "https://me:hunter%2F2@host/x.csv")
    known = replacements("$SALES_URL")
    assert masked("https://me:hunter%2F2@host/x.csv is away", known) == "$SALES_URL is away"
    assert masked("nonnumeric port: 'hunter%2F2@host', hunter/2", known) == "nonnumeric port: '***@host', ***"
    monkeypatch.setenv("TOKEN", "hunter3")
    assert masked("wrong hunter3", replacements("https://h/x?token=${TOKEN}")) == "wrong ${TOKEN}"
    assert replacements("https://host/x.csv") == {}


def test_no_error_tells_a_secret_nor_the_one_it_came_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SALES_URL", "https://me:hunter2@host/x.csv")
    for error, kind in ((InputError("hunter2"), InputError), (OSError("port: 'hunter2@host'"), SourceError)):
        with pytest.raises(kind) as caught, secrets_hidden("$SALES_URL"):
            raise error
        assert SECRET not in str(caught.value)
        assert caught.value.__suppress_context__
    with pytest.raises(OSError, match="as it is"), secrets_hidden("https://host/x.csv"):
        raise OSError("as it is")


def test_an_error_is_on_one_line_and_shows_no_secret() -> None:
    for kind in (InputError, SourceError):
        assert str(kind("a\nb\x1b[31m\u2028https://me:hunter2@host")) == "a\\nb\\x1b[31m\\u2028https://me:***@host"
