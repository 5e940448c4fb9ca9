"""What phones write into requests about files, and what is refused of it."""

import base64
import binascii
from typing import Annotated

from pydantic import PlainValidator, WithJsonSchema


def _sha256(value: object) -> bytes:
    """Read a SHA-256 digest written in hexadecimal, or in base64 as S3 writes it."""
    try:
        text = str(value)
        digest = bytes.fromhex(text) if len(text) == 64 else base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        digest = b""
    if not isinstance(value, str) or len(digest) != 32:
        raise ValueError("must be a SHA-256 digest in hexadecimal or base64")
    return digest


Sha256 = Annotated[
    bytes,
    PlainValidator(_sha256),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": "^([0-9A-Fa-f]{64}|[A-Za-z0-9+/]{43}=)$",
            "description": "A SHA-256 digest in hexadecimal or base64",
        }
    ),
]
