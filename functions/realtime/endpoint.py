"""Where connections are spoken to: the management side of the WebSocket API.

(docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-how-to-call-websocket-api-connections.html)
"""

from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

from pydantic import AliasChoices, Field, field_validator

from fieldgate.settings import Settings
from fieldgate.sigv4 import Credentials, signed_headers

# A connection to it that rested for longer is opened anew: in a frozen environment nobody hears
# that the other end hung up.
IDLE_SECONDS = 20


class RealtimeSettings(Settings):
    """`realtime_endpoint` is like https://{api}.execute-api.{region}.amazonaws.com/{stage}."""

    realtime_endpoint: str
    region: str = Field(validation_alias=AliasChoices("AWS_REGION", "AWS_DEFAULT_REGION"))

    @field_validator("realtime_endpoint")
    @classmethod
    def _is_base_url(cls, value: str) -> str:
        url = urlsplit(value)
        if url.scheme not in {"http", "https"} or not url.netloc or url.query or url.fragment:
            raise ValueError("must be like https://host/stage")
        return value.rstrip("/")


def connection_url(endpoint: str, connection_id: str) -> str:
    """Return where a connection is posted to and deleted."""
    return f"{endpoint}/@connections/{quote(connection_id, safe='')}"


def signed_request(
    settings: RealtimeSettings,
    credentials: Credentials,
    method: str,
    connection_id: str,
    body: bytes,
) -> tuple[str, dict[str, str]]:
    """Return the URL and the headers by which something is asked about a connection now."""
    url = connection_url(settings.realtime_endpoint, connection_id)
    headers = signed_headers(
        method,
        url,
        body,
        service="execute-api",
        region=settings.region,
        credentials=credentials,
        now=datetime.now(UTC),
    )
    return url, headers
