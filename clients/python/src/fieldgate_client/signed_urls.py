"""Leave to send chunks: signed in batches, and anew when it has ended or soon will.

How long a URL lives is the difference of two times of the server's, counted on our own monotonic
clock from before it was asked: the phone's wall clock may be a day off. A phone that slept may
still come too late (a monotonic clock stops meanwhile); then storage says 403.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import httpx

from fieldgate_client.addresses import is_open_to_all
from fieldgate_client.answers import Answer, Fields, not_understood
from fieldgate_client.api import Api
from fieldgate_client.policy import URLS_PER_REQUEST


@dataclass(frozen=True)
class SignedUrl:
    """The one request that may bring a chunk, exactly so; `ends_at` is by our monotonic clock."""

    method: str
    url: str
    headers: Mapping[str, str]
    ends_at: float


class SignedUrls:
    """The URLs of an upload's chunks.

    Args:
        api: asked for them.
        upload_id: the server's.
        digests: SHA-256 (hex) of each chunk that may be sent.
        reserve_seconds: how long a URL has to last when it is given out: one chunk's time.
        clock: monotonic, in seconds.

    """

    def __init__(
        self,
        api: Api,
        upload_id: str,
        digests: Mapping[int, str],
        reserve_seconds: float,
        clock: Callable[[], float],
    ) -> None:
        self._api = api
        self._path = f"/uploads/{upload_id}/urls"
        self._digests = digests
        self._reserve_seconds = reserve_seconds
        self._clock = clock
        self._held: dict[int, SignedUrl] = {}
        self._signing = asyncio.Lock()

    async def get(self, number: int, others: Iterable[int]) -> SignedUrl:
        """Return a URL that is good by what we know; `others` are chunks to be sent as well.

        Raises as `Api.request` does, and NotUnderstood.
        """
        async with self._signing:
            if not self._is_good(number):
                wanted = dict.fromkeys(n for n in (number, *others) if not self._is_good(n))
                await self._sign(list(wanted)[:URLS_PER_REQUEST])
            if number not in self._held:
                raise not_understood(f"no URL for chunk {number}.")
            return self._held[number]

    def refused(self, number: int, url: SignedUrl) -> None:
        """Forget a URL that storage refused, and those signed before it or with it.

        They ended together, or their signer's credentials did (Amazon S3 User Guide, "Download and
        upload objects with presigned URLs": one ends with the credentials that it was signed by).
        """
        if self._held.get(number) == url:
            self._held = {n: held for n, held in self._held.items() if held.ends_at > url.ends_at}

    def _is_good(self, number: int) -> bool:
        held = self._held.get(number)
        return held is not None and self._clock() + self._reserve_seconds < held.ends_at

    async def _sign(self, numbers: list[int]) -> None:
        chunks = [{"number": number, "sha256": self._digests[number]} for number in numbers]
        asked_at = self._clock()
        # Signing twice does no more than signing once.
        answer = await self._api.request(
            "POST", self._path, json={"chunks": chunks}, repeatable=True
        )
        for signed in answer.fields.each("urls"):
            number = signed.whole("number", 1, max(self._digests))
            self._held[number] = self._read(signed, answer, asked_at)

    def _read(self, signed: Fields, answer: Answer, asked_at: float) -> SignedUrl:
        expires_at = signed.moment("expiresAt")
        lifetime = (expires_at - answer.timestamp).total_seconds() if answer.timestamp else 0
        return SignedUrl(
            signed.name("method"),
            self._address(signed.visible("url")),
            signed.headers("headers"),
            asked_at + lifetime,
        )

    def _address(self, url: str) -> str:
        """Return a URL that may be asked; files are shown to nobody to whom tokens are not."""
        try:
            address = httpx.URL(url)
            host = address.host if address.scheme in {"http", "https"} else ""
            is_open = is_open_to_all(str(address))
        except (httpx.InvalidURL, ValueError) as error:
            raise not_understood("a URL that is none.") from error
        if not host:
            raise not_understood("a URL that is none.")
        if is_open and not is_open_to_all(self._api.server):
            raise not_understood(f"http://{host} would show files to everybody on the way.")
        return url
