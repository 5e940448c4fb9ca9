"""The requests about one upload, but those for its chunks. Each may be sent twice without harm."""

from fieldgate_client.answers import Answer
from fieldgate_client.api import Api
from fieldgate_client.errors import ApiError, is_passing
from fieldgate_client.upload_answers import View, is_there
from fieldgate_client.upload_record import UploadRecord


class UploadRequests:
    """Asks the server about an upload as it is kept; all raise as `Api.request` does."""

    def __init__(self, api: Api, record: UploadRecord) -> None:
        self._api = api
        self._record = record

    async def create(self) -> Answer:
        """Have the server agree to the upload, or say again what it has agreed to."""
        record = self._record
        return await self._api.request(
            "POST",
            "/uploads",
            json={
                "folder": record.folder,
                "filename": record.filename,
                "contentType": record.content_type,
                "size": record.size,
                "chunkSize": record.chunk_size,
                "sha256": record.sha256,
            },
            idempotency_key=record.idempotency_key,
        )

    async def ask(self, method: str, action: str = "") -> View:
        """Ask how it is, or for a change of that."""
        path = f"/uploads/{self._record.upload_id}{action}"
        answer = await self._api.request(method, path, repeatable=True)
        return View.of(answer, self._record.chunk_count)

    async def delete(self, upload_id: str) -> None:
        await self._api.request("DELETE", f"/uploads/{upload_id}")

    async def has_arrived(self) -> bool:
        """Say whether the file is there, although the server has forgotten how it came there."""
        if self._record.media_id is None:
            return False
        try:
            media = await self._api.request("GET", f"/media/{self._record.media_id}")
        except ApiError as error:
            if is_passing(error):
                raise
            return False
        return is_there(media, self._record.sha256)
