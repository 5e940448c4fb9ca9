"""Every route of the HTTP API: what template.yaml and the app behind it say of it."""

import importlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from fieldgate.http.edge import Edge
from fieldgate.http.idempotency import idempotent_request
from fieldgate.http.limits import ADDRESS_FACTOR, RATES
from local import template as sam
from local.template import Template

DEFAULT = "$default"
type Need = Literal["never", "sometimes", "always"]


@dataclass(frozen=True)
class Route:
    """A route; `has_authorizer` is what the template says, all else the app."""

    method: str
    path: str
    module: str
    has_authorizer: bool

    @property
    def key(self) -> str:
        """As API Gateway has it: "GET /health"."""
        return f"{self.method} {self.path}".strip()

    @property
    def domain(self) -> str:
        return self.module.partition(".")[0]

    @property
    def pattern(self) -> re.Pattern[str]:
        """What the paths of its requests look like, with what stands for its parameters."""
        return re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(self.path)))

    @property
    def app(self) -> FastAPI:
        app: FastAPI = importlib.import_module(self.module).app
        return app

    @property
    def handler(self) -> Any:
        return importlib.import_module(self.module).handler

    @property
    def endpoint(self) -> APIRoute:
        (found,) = (
            route
            for route in self.app.routes
            if isinstance(route, APIRoute)
            and route.path == self.path
            and self.method in (route.methods or ())
        )
        return found

    @property
    def needs_caller(self) -> Need:
        """Whether it takes an access token; "sometimes": for some of what a body may ask."""
        if not self.has_authorizer:
            return "never"
        return "sometimes" if self._admission["public"] else "always"

    @property
    def permission(self) -> str | None:
        """The `resource:action` that a caller needs, if any."""
        scopes = {scope for it in self._dependencies for scope in it.own_oauth_scopes or []}
        return min(scopes, default=None)

    @property
    def is_idempotent(self) -> bool:
        """Whether it takes an Idempotency-Key."""
        return any(it.call is idempotent_request for it in self._dependencies)

    @property
    def limit(self) -> str | None:
        """The class of its rate limit."""
        limit: str | None = self._admission["limit"]
        if limit == "by_method":
            return "read" if self.method in {"GET", "HEAD"} else "write"
        return limit

    @property
    def rate(self) -> tuple[int, int] | None:
        """How many requests a minute, and at once: of a caller, or else of a network address."""
        if self.limit is None:
            return None
        factor = ADDRESS_FACTOR if self._admission["public"] else 1
        a_minute, at_once = RATES[self.limit]
        return a_minute * factor, at_once * factor

    @property
    def _admission(self) -> dict[str, Any]:
        kinds: list[tuple[Any, Any]] = [(it.cls, it.kwargs) for it in self.app.user_middleware]
        (admit,) = (options["admit"] for kind, options in kinds if kind is Edge)
        keywords: dict[str, Any] = admit.keywords
        return keywords

    @cached_property
    def _dependencies(self) -> list[Dependant]:
        return list(_all_of(self.endpoint.dependant))


def routes(template: Template | None = None) -> list[Route]:
    """Return every route in the template's order, the one for all other addresses among them."""
    found = []
    for _, function in sam.resources(template or sam.read_template(), sam.FUNCTION):
        for event in function.get("Events", {}).values():
            if event["Type"] == "HttpApi":
                properties = event["Properties"]
                found.append(
                    Route(
                        method=properties.get("Method", "").upper(),
                        path=properties.get("Path", DEFAULT),
                        module=function["Handler"].removesuffix(".handler"),
                        has_authorizer=properties.get("Auth", {}).get("Authorizer") != "NONE",
                    )
                )
    return found


def _all_of(dependant: Dependant) -> Iterator[Dependant]:
    yield dependant
    for dependency in dependant.dependencies:
        yield from _all_of(dependency)
