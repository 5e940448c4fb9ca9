"""What anybody sees of an environment: the checks that need no account."""

import asyncio
import ssl
import tomllib
from datetime import UTC, datetime
from urllib.parse import urlsplit

import aiohttp
import httpx

from fieldgate.http.edge import SECURITY_HEADERS
from local.template import ROOT
from tools.smoke_report import CheckFailed, Report, expect
from tools.smoke_settings import Settings
from tools.smoke_talk import CONNECT_SECONDS, Talk, body_of, is_untrusted, said

CERTIFICATE_DAYS = 14
FOREIGN_ORIGIN = "https://elsewhere.example"
PREFLIGHT = {
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization,content-type,idempotency-key",
}


async def check_public(report: Report, settings: Settings, talk: Talk) -> str:
    """Run the checks; return why it may not be told credentials, or nothing if it may."""
    look = PublicChecks(settings, talk)
    if not await report.check("reached", look.reached):
        if look.is_untrusted:
            return "not told credentials: its certificate is not to be trusted"
        report.console.print(
            f"Nobody to ask at {settings.base_url}. Is the address right"
            + (", and does `make up` run?" if settings.is_local else "?"),
            soft_wrap=True,
        )
        return "nothing answered there"
    if settings.base_url.startswith("https://"):
        await report.check("certificate", look.certificate)
    else:
        report.leave_out("certificate", "no https, on this machine only")
    await report.check("GET, HEAD /generate_204", look.generate_204)
    await report.check("GET /health/version", look.version)
    await report.check("GET /health", look.health)
    await report.check("GET /health/realtime", look.realtime)
    await report.check("GET /.well-known/jwks.json", look.keys)
    await report.check("security headers", look.security_headers)
    await report.check("no token: 401", look.no_token)
    await report.check("a forged token: 401", look.forged_token)
    await report.check("no such route: 404", look.no_route)
    await report.check("a body that is not valid: 400", look.invalid_body)
    if look.web_origin():
        await report.check("CORS, the web app", look.own_origin)
    else:
        report.leave_out("CORS, the web app", "WEB_ORIGIN is not known")
    await report.check("CORS, another's page", look.foreign_origin)
    await report.check("negotiate: 401", look.negotiate)
    await report.check("WebSocket without token", look.socket_refused)
    if not look.environment:
        return "not told credentials: /health/version does not say which environment it is"
    return ""


class PublicChecks:
    """Each returns what it saw, or raises CheckFailed or what the client raised."""

    def __init__(self, settings: Settings, talk: Talk) -> None:
        self.settings = settings
        self.talk = talk
        self.environment = ""
        self.is_untrusted = False

    async def reached(self) -> str:
        """Whoever answers is reached, be it with an error."""
        try:
            answer = await self.talk.ask("GET", "/generate_204")
        except httpx.HTTPError as error:
            self.is_untrusted = is_untrusted(error)
            if self.is_untrusted:
                raise CheckFailed(f"the certificate is not to be trusted: {error}") from None
            raise
        return f"HTTP {answer.status_code}"

    async def certificate(self) -> str:
        """Say how long it is good for; that it is trusted the connection has shown."""
        parts = urlsplit(self.settings.base_url)
        async with asyncio.timeout(CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(
                parts.hostname, parts.port or 443, ssl=self.talk.tls
            )
        try:
            found = writer.get_extra_info("peercert")
            version = writer.get_extra_info("ssl_object").version()
        finally:
            writer.close()
        until = datetime.fromtimestamp(ssl.cert_time_to_seconds(found["notAfter"]), UTC)
        days = (until - datetime.now(UTC)).days
        expect(days >= CERTIFICATE_DAYS, f"it ends in {days} days, on {until:%Y-%m-%d}")
        return f"{version}, {days} days left"

    async def generate_204(self) -> str:
        for method in ("GET", "HEAD"):
            answer = await self.talk.ask(method, "/generate_204")
            expect(
                answer.status_code == 204 and not answer.content,
                f"{method} is to be an empty 204, as phones look for portals by it: {said(answer)}",
            )
        return ""

    async def version(self) -> str:
        answer = await self.talk.ask("GET", "/health/version")
        expect(answer.status_code == 200, said(answer))
        build = body_of(answer)
        self.environment = str(build.get("environment", ""))
        commit = str(build.get("commitSha", ""))
        wanted = self.settings.commit
        # One of the two may be short.
        same = commit and (wanted.startswith(commit) or commit.startswith(wanted))
        expect(not wanted or same, f"commit {commit or 'unknown'} answers, not {wanted}")
        return f"{build.get('version')} {self.environment} {commit} {build.get('buildDate')}"

    async def health(self) -> str:
        return await self._healthy("/health")

    async def realtime(self) -> str:
        return await self._healthy("/health/realtime")

    async def _healthy(self, path: str) -> str:
        answer = await self.talk.ask("GET", path)
        healthy = answer.status_code == 200 and body_of(answer).get("status") == "Healthy"
        expect(healthy, said(answer))
        return "Healthy"

    async def keys(self) -> str:
        answer = await self.talk.ask("GET", "/.well-known/jwks.json")
        expect(answer.status_code == 200, said(answer))
        keys = body_of(answer).get("keys") or []
        expect(keys, "there is no key")
        for key in keys:
            expect(key.get("kty") == "RSA" and key.get("kid"), f"not an RSA key with a kid: {key}")
            expect("d" not in key, "a private key is published: rotate it now")
        return f"{len(keys)} of them"

    async def security_headers(self) -> str:
        for path in ("/health/version", "/api/v1/auth/me", "/no/such/route"):
            answer = await self.talk.ask("GET", path)
            wrong = {
                name: answer.headers.get(name, "missing")
                for name, value in SECURITY_HEADERS.items()
                if answer.headers.get(name) != value
            }
            expect(not wrong, f"on {path}: {wrong}")
        return ""

    async def no_token(self) -> str:
        await self.talk.refusal("GET", "/api/v1/auth/me", 401, "UNAUTHORIZED")
        return ""

    async def forged_token(self) -> str:
        # {"alg": "none"}, {"sub": "admin"}, and no signature.
        self.talk.token = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9."  # noqa: S105 good for nothing
        try:
            await self.talk.refusal("GET", "/api/v1/users", 401, "UNAUTHORIZED")
        finally:
            self.talk.token = ""
        return ""

    async def no_route(self) -> str:
        await self.talk.refusal("GET", "/api/v1/no-such-route", 404, "NOT_FOUND")
        return ""

    async def invalid_body(self) -> str:
        path = "/api/v1/auth/login"
        answer = await self.talk.refusal("POST", path, 400, "VALIDATION_ERROR", json={})
        named = {detail.get("field") for detail in body_of(answer)["error"].get("details") or []}
        expect({"identifier", "password"} <= named, f"the fields are not named: {said(answer)}")
        return ""

    def web_origin(self) -> str:
        """Return the web app's origin, as given or as samconfig.toml has it."""
        if self.settings.web_origin:
            return self.settings.web_origin
        sections = tomllib.loads((ROOT / "samconfig.toml").read_text())
        deploy = sections.get(self.environment, {}).get("deploy", {})
        for pair in deploy.get("parameters", {}).get("parameter_overrides", []):
            name, _, value = pair.partition("=")
            if name == "WebOrigin":
                return str(value)
        return ""

    async def own_origin(self) -> str:
        origin = self.web_origin()
        answer = await self._preflight(origin)
        allowed = answer.headers.get("access-control-allow-origin")
        expect(answer.is_success and allowed == origin, f"{origin} may not call: {said(answer)}")
        methods = answer.headers.get("access-control-allow-methods", "")
        expect("POST" in methods or methods == "*", f"POST is not among its methods: {methods!r}")
        return origin

    async def foreign_origin(self) -> str:
        allowed = (await self._preflight(FOREIGN_ORIGIN)).headers.get("access-control-allow-origin")
        expect(allowed not in {"*", FOREIGN_ORIGIN}, f"any page may call: {allowed}")
        return ""

    async def _preflight(self, origin: str) -> httpx.Response:
        headers = PREFLIGHT | {"origin": origin}
        return await self.talk.ask("OPTIONS", "/api/v1/auth/login", headers)

    async def negotiate(self) -> str:
        await self.talk.refusal("POST", "/hubs/permissions/negotiate", 401, "UNAUTHORIZED")
        return ""

    async def socket_refused(self) -> str:
        try:
            async with self.talk.socket():
                raise CheckFailed("it let us in")
        except aiohttp.WSServerHandshakeError as refused:
            expect(refused.status in {401, 403}, f"expected 403, got {refused.status}")
            return f"{refused.status}"
