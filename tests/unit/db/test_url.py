import json
import traceback
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldgate.db import url as url_module
from fieldgate.db.url import (
    DatabaseAddress,
    parse_connection_string,
    parse_secret,
    parse_url,
    resolve_database_address,
)
from fieldgate.errors import ConfigurationError

EXPECTED = DatabaseAddress("db.example", 5433, "fieldgate", "app", "s3cret")
RDS_SECRET = {
    "username": "app",
    "password": "s3cret",
    "engine": "postgres",
    "host": "db.example",
    "port": 5433,
    "dbname": "fieldgate",
}


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "DATABASE_URL",
        "ConnectionStrings__fieldgate",
        "DATABASE_SECRET_ARN",
        "DATABASE_HOST",
        "DATABASE_NAME",
    ):
        for suffix in ("", "_SECRET_ARN", "_PARAMETER"):
            monkeypatch.delenv(name + suffix, raising=False)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "POSTGRESQL", "postgresql+pg8000"])
def test_every_usual_scheme_is_accepted(scheme: str) -> None:
    assert parse_url(f"{scheme}://app:s3cret@db.example:5433/fieldgate", "X") == EXPECTED


def test_a_query_is_ignored_and_the_port_has_a_default() -> None:
    address = parse_url("postgres://app@db.example/fieldgate?sslmode=disable", "X")
    assert (address.port, address.password) == (5432, "")


def test_an_ipv6_host_stands_in_brackets() -> None:
    address = parse_url("postgresql://app:p@[2001:db8::1]:5433/fieldgate", "X")
    assert (address.host, address.port) == ("2001:db8::1", 5433)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_any_password_survives_percent_encoding(password: str) -> None:
    address = parse_url(f"postgres://app:{quote(password, safe='')}@h/d", "X")
    assert address.password == password


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1))
def test_any_password_survives_dotnet_quoting(password: str) -> None:
    quoted = '"' + password.replace('"', '""') + '"'
    address = parse_connection_string(f"Host=h;Password={quoted};Database=d;Username=u", "X")
    assert address == DatabaseAddress("h", 5432, "d", "u", password)


@pytest.mark.parametrize(
    "text",
    [
        "Host=db.example;Port=5433;Database=fieldgate;Username=app;Password=s3cret",
        "HOST=db.example; port = 5433 ;DATABASE=fieldgate;user id=app;PWD='s3cret';",
        "Server=db.example;Port=5433;Initial Catalog=fieldgate;UID=app;password=s3cret;Pooling=1; ",
        "postgresql://app:s3cret@db.example:5433/fieldgate",
    ],
)
def test_dotnet_connection_strings_and_urls_name_the_same(text: str) -> None:
    assert parse_connection_string(text, "X") == EXPECTED


def test_a_dotnet_password_may_hold_an_equals_sign_and_a_scheme() -> None:
    text = "Host=h;Database=d;Username=u;Password=a=b://c"
    assert parse_connection_string(text, "X").password == "a=b://c"


def test_the_order_is_url_then_dotnet_then_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(url_module, "read_secret", lambda arn: json.dumps(RDS_SECRET))
    monkeypatch.setenv("DATABASE_SECRET_ARN", "arn:aws:secretsmanager:x")
    assert resolve_database_address() == EXPECTED
    monkeypatch.setenv("ConnectionStrings__fieldgate", "Host=dotnet;Database=d;Username=u")
    assert resolve_database_address().host == "dotnet"
    monkeypatch.setenv("DATABASE_URL", "postgres://u:p@url/d")
    assert resolve_database_address().host == "url"


def test_a_secret_is_json_or_a_url() -> None:
    assert parse_secret(json.dumps(RDS_SECRET), "X") == EXPECTED
    assert parse_secret("postgres://app:s3cret@db.example:5433/fieldgate", "X") == EXPECTED


def test_a_secret_of_user_and_password_takes_the_rest_from_the_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    managed_by_rds = json.dumps({"username": "app", "password": "s3cret"})
    monkeypatch.setattr(url_module, "read_secret", lambda arn: managed_by_rds)
    monkeypatch.setenv("DATABASE_SECRET_ARN", "arn:aws:secretsmanager:x")
    with pytest.raises(ConfigurationError, match="names no host"):
        resolve_database_address()
    monkeypatch.setenv("DATABASE_HOST", "db.example")
    with pytest.raises(ConfigurationError, match="names no database"):
        resolve_database_address()
    monkeypatch.setenv("DATABASE_NAME", "fieldgate")
    assert resolve_database_address() == DatabaseAddress(
        "db.example", 5432, "fieldgate", "app", "s3cret"
    )


def test_what_a_secret_says_itself_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_HOST", "other.example")
    monkeypatch.setenv("DATABASE_NAME", "other")
    assert parse_secret(json.dumps(RDS_SECRET), "X") == EXPECTED


def test_nothing_set_names_what_to_set() -> None:
    with pytest.raises(ConfigurationError, match="DATABASE_URL is not set"):
        resolve_database_address()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("postgres://app:hunter2#x@h/d", "percent-encode"),
        ("postgres://app:hunter2@[::1/d", "percent-encode"),
        ("postgres://app:hunter2@h:99999/d", "percent-encode"),
        ("mysql://app:hunter2@h/d", "must begin with"),
        ("postgres://app:hunter2@h", "names no database"),
        ("postgres://app:hunter2@/d", "names no host"),
        ("postgres://:hunter2@h/d", "names no username"),
        ("Host=h;Password=hunter2;Database=d", "names no username"),
        ("Host=h;Password=hunter2;Port=x;Database=d;Username=u", "port"),
        ('Host=h;Password="hunter2', "neither a URL nor"),
        ("hunter2", "neither a URL nor"),
        ('{"password": "hunter2"', "begins like JSON"),
        ('{"password": "hunter2"}', "names no host"),
    ],
)
def test_a_malformed_one_is_refused_without_showing_it(text: str, fault: str) -> None:
    with pytest.raises(ConfigurationError, match=fault) as caught:
        parse_secret(text, "SETTING")
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))
    assert "SETTING" in str(caught.value)


def test_the_password_is_not_in_the_repr() -> None:
    assert "s3cret" not in repr(EXPECTED)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("10.0.0.1", False),
        ("localhost.example", False),
    ],
)
def test_loopback_is_told_from_the_rest(host: str, loopback: bool) -> None:
    assert DatabaseAddress(host, 1, "d", "u", "p").is_loopback is loopback
