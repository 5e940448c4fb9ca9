"""Where the buckets are, as deployments write it: as STORAGE_* or, on DigitalOcean, DO_SPACES_*."""

from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, SecretStr, field_validator, model_validator

from fieldgate.settings import Settings
from fieldgate.sigv4 import Credentials

SPACES_DEFAULT_REGION = "nyc3"
SPACES_DOMAIN = "digitaloceanspaces.com"
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Place:
    """A bucket and the way to it; `endpoint` is empty on AWS, `public_endpoint` is the phones'."""

    bucket: str
    region: str
    endpoint: str
    public_endpoint: str
    path_style: bool


class StorageSettings(Settings):
    """An empty endpoint means AWS S3; keys are needed where the function's role does not reach."""

    bucket: str = Field(validation_alias=AliasChoices("STORAGE_BUCKET", "DO_SPACES_NAME"))
    media_bucket: str = Field("", validation_alias="MEDIA_BUCKET")
    staging_bucket: str = Field("", validation_alias="STAGING_BUCKET")
    endpoint: str = Field(
        "",
        # The last two are botocore's own; signing here and calling there must agree on them.
        validation_alias=AliasChoices(
            "STORAGE_ENDPOINT", "DO_SPACES_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"
        ),
    )
    public_endpoint: str = Field("", validation_alias="STORAGE_PUBLIC_ENDPOINT")
    region: str = Field(
        validation_alias=AliasChoices("STORAGE_REGION", "DO_SPACES_REGION", "AWS_REGION")
    )
    access_key: SecretStr | None = Field(
        None, validation_alias=AliasChoices("STORAGE_ACCESS_KEY", "DO_SPACES_ACCESS_KEY")
    )
    secret_key: SecretStr | None = Field(
        None, validation_alias=AliasChoices("STORAGE_SECRET_KEY", "DO_SPACES_SECRET_KEY")
    )
    path_style: bool | None = Field(None, validation_alias="STORAGE_PATH_STYLE")
    cdn_base_url: str = Field(
        "", validation_alias=AliasChoices("CDN_BASE_URL", "DO_SPACES_CDN_ENDPOINT")
    )
    public_read: bool = Field(default=False, validation_alias="STORAGE_PUBLIC_READ")
    # Whether `If-None-Match: *` is understood; None: everywhere but on Spaces.
    conditional_writes: bool | None = Field(None, validation_alias="STORAGE_CONDITIONAL_WRITES")

    @model_validator(mode="before")
    @classmethod
    def _default_to_spaces(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Complete a deployment that names its bucket DO_SPACES_NAME: region and address."""
        if "DO_SPACES_NAME" not in values or "STORAGE_BUCKET" in values:
            return values
        region = values.get("DO_SPACES_REGION", SPACES_DEFAULT_REGION)
        endpoint = f"https://{region}.{SPACES_DOMAIN}"
        return {"DO_SPACES_REGION": region, "DO_SPACES_ENDPOINT": endpoint} | values

    @field_validator("endpoint", "public_endpoint")
    @classmethod
    def _is_origin(cls, value: str) -> str:
        """Bring `value` to the form in which clients name the host: what is signed, they send."""
        if not value:
            return ""
        url = urlsplit(value)
        port = "" if url.port in {None, _DEFAULT_PORTS.get(url.scheme)} else f":{url.port}"
        host = url.netloc.rpartition("@")[2].removesuffix(f":{url.port}").lower()
        if url.scheme not in _DEFAULT_PORTS or not host or url.path.strip("/") or url.query:
            raise ValueError("must be like https://host or http://host:port, without a path")
        return f"{url.scheme}://{host}{port}"

    @field_validator("cdn_base_url")
    @classmethod
    def _is_base_url(cls, value: str) -> str:
        if value and urlsplit(value).scheme not in _DEFAULT_PORTS:
            raise ValueError("must be like https://cdn.example.org")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _keys_go_together(self) -> Self:
        if bool(self.access_key) != bool(self.secret_key):
            raise ValueError("STORAGE_ACCESS_KEY and STORAGE_SECRET_KEY are set both or neither")
        if self.access_key is None and self._is_spaces:
            raise ValueError("Spaces needs STORAGE_ACCESS_KEY and STORAGE_SECRET_KEY")
        return self

    @property
    def has_conditional_writes(self) -> bool:
        """Whether this storage can be told to write an object only where there is none."""
        return not self._is_spaces if self.conditional_writes is None else self.conditional_writes

    @property
    def _is_spaces(self) -> bool:
        return (urlsplit(self.endpoint).hostname or "").endswith(SPACES_DOMAIN)

    def place(self, bucket: str) -> Place:
        """Return the way to `bucket`, with what is not set decided."""
        # TLS certificates of virtual hosts cover one label, so a dotted name needs path style.
        default = bool(self.endpoint) or "." in bucket
        return Place(
            bucket=bucket,
            region=self.region,
            endpoint=self.endpoint,
            public_endpoint=self.public_endpoint or self.endpoint,
            path_style=default if self.path_style is None else self.path_style,
        )

    def credentials(self) -> Credentials | None:
        """Return the configured keys; None means those of the function's role."""
        if self.access_key is None or self.secret_key is None:
            return None
        return Credentials(self.access_key.get_secret_value(), self.secret_key.get_secret_value())
