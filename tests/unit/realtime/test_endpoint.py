import pytest

from fieldgate import settings
from fieldgate.errors import ConfigurationError
from realtime.endpoint import RealtimeSettings, connection_url


@pytest.fixture(autouse=True)
def _nothing_read_before(environment: pytest.MonkeyPatch) -> None:
    environment.delenv("AWS_REGION", raising=False)


def test_the_endpoint_is_kept_without_its_last_slash(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("REALTIME_ENDPOINT", "https://api.example.org/live/")

    loaded = settings.load(RealtimeSettings)

    assert loaded.realtime_endpoint == "https://api.example.org/live"
    assert loaded.region == "eu-west-1"


@pytest.mark.parametrize("value", ["wss://api.example.org/live", "api.example.org", "https:///x"])
def test_what_is_no_endpoint_is_refused(environment: pytest.MonkeyPatch, value: str) -> None:
    environment.setenv("REALTIME_ENDPOINT", value)

    with pytest.raises(ConfigurationError, match="REALTIME_ENDPOINT"):
        settings.load(RealtimeSettings)


@pytest.mark.parametrize(
    ("connection_id", "written"),
    [("abc=", "abc%3D"), ("a/../b", "a%2F..%2Fb"), ("a?b#c", "a%3Fb%23c")],
)
def test_an_id_stays_one_segment_of_the_path(connection_id: str, written: str) -> None:
    url = connection_url("https://api.example.org/live", connection_id)

    assert url == f"https://api.example.org/live/@connections/{written}"
