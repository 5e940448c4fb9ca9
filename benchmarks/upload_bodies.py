"""What an app asks with before it sends a photo or a document."""

import hashlib
from collections.abc import Sequence
from typing import Any

CHUNK_BYTES = 512 * 1024
DOCUMENT_BYTES = 2 * 1024**2
PDF_HEADER = b"%PDF-1.7\n"


def photo_body(content: bytes) -> dict[str, Any]:
    """Return the body of POST /uploads/presign for a JPEG."""
    return _described(content, "farmers", "leaf.jpg", "image/jpeg")


def document_body(content: bytes) -> dict[str, Any]:
    """Return the body of POST /uploads for a PDF that comes in chunks of `CHUNK_BYTES`."""
    described = _described(content, "client-documents", "contract.pdf", "application/pdf")
    return described | {"chunkSize": CHUNK_BYTES}


def chunks_of(content: bytes) -> list[bytes]:
    return [content[start : start + CHUNK_BYTES] for start in range(0, len(content), CHUNK_BYTES)]


def chunks_body(chunks: Sequence[bytes]) -> dict[str, Any]:
    """Return the body of POST /uploads/{id}/urls for all chunks of a document."""
    wanted = [
        {"number": number, "sha256": hashlib.sha256(chunk).hexdigest()}
        for number, chunk in enumerate(chunks, start=1)
    ]
    return {"chunks": wanted}


def _described(content: bytes, folder: str, filename: str, content_type: str) -> dict[str, Any]:
    return {
        "folder": folder,
        "filename": filename,
        "contentType": content_type,
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
