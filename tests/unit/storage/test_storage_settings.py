import os
from collections.abc import Iterator
from datetime import timedelta

import pytest

from fieldgate import settings, storage
from fieldgate.errors import ConfigurationError
from fieldgate.sigv4 import Credentials
from fieldgate.storage.settings import Place, StorageSettings

KEYS = {"STORAGE_ACCESS_KEY": "key", "STORAGE_SECRET_KEY": "hush"}
SPACES_KEYS = {"DO_SPACES_ACCESS_KEY": "key", "DO_SPACES_SECRET_KEY": "hush"}


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in list(os.environ):
        if name.startswith(("STORAGE_", "DO_SPACES_", "AWS_", "MEDIA_", "STAGING_", "CDN_")):
            monkeypatch.delenv(name)
    settings.forget()
    yield
    settings.forget()


def _load(monkeypatch: pytest.MonkeyPatch, **environment: str) -> StorageSettings:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return settings.load(StorageSettings)


def test_on_aws_a_bucket_is_all_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = _load(monkeypatch, STORAGE_BUCKET="originals", AWS_REGION="eu-west-1")

    assert settings.place("originals") == Place("originals", "eu-west-1", "", "", path_style=False)
    assert settings.credentials() is None
    assert not settings.public_read


def test_the_names_of_spaces_alone_mean_spaces_in_nyc3(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = _load(monkeypatch, DO_SPACES_NAME="almafrica", AWS_REGION="eu-west-1", **SPACES_KEYS)

    endpoint = "https://nyc3.digitaloceanspaces.com"
    expected = Place("almafrica", "nyc3", endpoint, endpoint, path_style=True)
    assert settings.place(settings.bucket) == expected
    assert settings.credentials() == Credentials("key", "hush")


def test_the_endpoint_of_spaces_follows_the_region(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = _load(
        monkeypatch, DO_SPACES_NAME="almafrica", DO_SPACES_REGION="fra1", **SPACES_KEYS
    )

    assert settings.endpoint == "https://fra1.digitaloceanspaces.com"


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("https://S3.Example.org/", "https://s3.example.org"),
        ("https://s3.example.org:443", "https://s3.example.org"),
        ("http://127.0.0.1:80", "http://127.0.0.1"),
        ("http://127.0.0.1:8081", "http://127.0.0.1:8081"),
        ("http://[::1]:8081", "http://[::1]:8081"),
    ],
)
def test_an_endpoint_is_written_as_clients_send_the_host(
    monkeypatch: pytest.MonkeyPatch, written: str, sent: str
) -> None:
    settings = _load(
        monkeypatch, STORAGE_BUCKET="b", STORAGE_REGION="us-east-1", STORAGE_ENDPOINT=written
    )

    assert settings.endpoint == sent


@pytest.mark.parametrize("endpoint", ["nyc3", "ftp://host", "https://host/path", "https://h?q=1"])
def test_what_is_no_endpoint_is_refused(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    with pytest.raises(ConfigurationError, match="STORAGE_ENDPOINT"):
        _load(monkeypatch, STORAGE_BUCKET="b", AWS_REGION="r", STORAGE_ENDPOINT=endpoint)


def test_the_local_clouds_address_is_not_mistaken_for_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = _load(
        monkeypatch,
        STORAGE_BUCKET="b",
        AWS_REGION="us-east-1",
        AWS_ENDPOINT_URL="http://127.0.0.1:4566",
    )

    assert settings.endpoint == "http://127.0.0.1:4566"


@pytest.mark.parametrize("url", ["cdn.example.org", "ftp://cdn.example.org"])
def test_what_is_no_cdn_address_is_refused(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    with pytest.raises(ConfigurationError, match="CDN_BASE_URL"):
        _load(monkeypatch, STORAGE_BUCKET="b", AWS_REGION="r", CDN_BASE_URL=url)


def test_missing_settings_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match=r"STORAGE_BUCKET is not set.*STORAGE_REGION"):
        _load(monkeypatch)


@pytest.mark.parametrize("name", KEYS)
def test_one_key_without_the_other_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    with pytest.raises(ConfigurationError, match="both or neither") as caught:
        _load(monkeypatch, STORAGE_BUCKET="b", AWS_REGION="r", **{name: "hush-hush"})

    assert "hush-hush" not in str(caught.value)


def test_spaces_without_keys_would_be_sent_the_roles(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="Spaces needs"):
        _load(monkeypatch, DO_SPACES_NAME="almafrica")


def test_a_dotted_bucket_is_addressed_by_path(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = _load(monkeypatch, STORAGE_BUCKET="media.example.org", AWS_REGION="eu-west-1")

    assert settings.place(settings.bucket).path_style


def test_path_style_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = _load(
        monkeypatch,
        STORAGE_BUCKET="b",
        AWS_REGION="r",
        STORAGE_ENDPOINT="https://s3.example.org",
        STORAGE_PATH_STYLE="false",
    )

    assert not settings.place("b").path_style


def test_secrets_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = _load(monkeypatch, STORAGE_BUCKET="b", AWS_REGION="r", **KEYS)

    assert "hush" not in f"{settings!r} {settings.credentials()!r}"


def test_originals_are_never_public_nor_behind_the_cdn(monkeypatch: pytest.MonkeyPatch) -> None:
    _load(
        monkeypatch,
        STORAGE_BUCKET="originals",
        MEDIA_BUCKET="media",
        STORAGE_PUBLIC_READ="true",
        CDN_BASE_URL="https://cdn.example.org/",
        AWS_REGION="eu-west-1",
        **KEYS,
    )
    hour = timedelta(hours=1)

    assert "X-Amz-Signature" in storage.originals().url_for("a.jpg", expires_in=hour)
    assert storage.published().url_for("a.jpg", expires_in=hour) == "https://cdn.example.org/a.jpg"


def test_chunks_wait_in_a_bucket_of_their_own_or_with_the_originals(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hour = timedelta(hours=1)
    _load(monkeypatch, STORAGE_BUCKET="originals", AWS_REGION="eu-west-1", **KEYS)
    assert "//originals." in storage.staging().url_for("staging/a", expires_in=hour)

    settings.forget()
    monkeypatch.setenv("STAGING_BUCKET", "chunks")

    assert "//chunks." in storage.staging().url_for("staging/a", expires_in=hour)
    assert "//originals." in storage.originals().url_for("a.jpg", expires_in=hour)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"STORAGE_BUCKET": "b", "AWS_REGION": "r"}, True),
        ({"STORAGE_BUCKET": "b", "AWS_REGION": "r", "STORAGE_CONDITIONAL_WRITES": "false"}, False),
        ({"DO_SPACES_NAME": "b", **SPACES_KEYS}, False),
        ({"DO_SPACES_NAME": "b", **SPACES_KEYS, "STORAGE_CONDITIONAL_WRITES": "true"}, True),
    ],
)
def test_conditional_writes_are_taken_for_granted_everywhere_but_on_spaces(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: bool
) -> None:
    assert _load(monkeypatch, **environment).has_conditional_writes is expected


def test_storage_is_built_once_and_again_after_forget(monkeypatch: pytest.MonkeyPatch) -> None:
    _load(monkeypatch, STORAGE_BUCKET="one", AWS_REGION="eu-west-1")
    first = storage.originals()
    assert storage.originals() is first

    settings.forget()
    monkeypatch.setenv("STORAGE_BUCKET", "two")

    assert storage.originals() is not first
