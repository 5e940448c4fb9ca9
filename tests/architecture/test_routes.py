"""Every route of the API in one table, to be looked through by whoever asks who may do what.

A new route, or another permission, limit or key, is a line here.
"""

import json
import uuid
from typing import Any

import pytest

from fieldgate.http.edge import SECURITY_HEADERS
from local import template as sam
from local.template import Template
from tests.architecture.test_template import PUBLIC
from tests.support.described import document
from tests.support.gateway import call
from tools.routes import DEFAULT, Route, routes

# Who may call: a permission (resource:action) that the caller needs, any `caller` who is signed in,
# `some`: a caller for some of what the body may ask, or `public`: why is in test_template.PUBLIC.
# The class of the rate limit (fieldgate.http.limits), and whether it takes an Idempotency-Key.
TABLE = """
POST   /api/v1/auth/login                          public              auth   -
GET    /api/v1/auth/me                             caller              read   -
GET    /.well-known/jwks.json                      public              -      -
POST   /api/v1/auth/refresh                        public              write  -
POST   /api/v1/auth/logout                         caller              write  -
PUT    /api/v1/auth/two-factor                     caller              write  -
PUT    /api/v1/auth/phone                          caller              auth   -
POST   /api/v1/auth/password                       public              auth   -
POST   /api/v1/auth/register                       public              auth   key
POST   /api/v1/otp/send                            some                auth   key
POST   /api/v1/otp/resend                          public              auth   -
POST   /api/v1/otp/verify                          public              auth   -
GET    /api/v1/users                               users:read          read   -
GET    /api/v1/users/{id}                          users:read          read   -
PUT    /api/v1/users/{id}/roles                    users:write         write  -
PUT    /api/v1/users/{id}/status                   users:write         write  -
POST   /api/v1/uploads/presign                     media:write         write  key
GET    /api/v1/media/{id}                          media:read          read   -
GET    /api/v1/media                               media:read          read   -
DELETE /api/v1/media/{id}                          media:write         write  -
POST   /api/v1/uploads                             media:write         write  key
POST   /api/v1/uploads/{id}/urls                   media:write         read   -
GET    /api/v1/uploads/{id}                        media:read          read   -
POST   /api/v1/uploads/{id}/failures               media:write         write  -
POST   /api/v1/uploads/{id}/resume                 media:write         write  -
POST   /api/v1/uploads/{id}/complete               media:write         write  -
DELETE /api/v1/uploads/{id}                        media:write         write  -
POST   /api/v1/otp/delivery-reports/{secret}       public              -      -
POST   /hubs/permissions/negotiate                 caller              read   -
GET    /api/v1/realtime/events                     caller              read   -
POST   /api/v1/realtime/broadcast                  realtime:broadcast  write  key
PUT    /api/v1/devices                             caller              write  -
GET    /api/v1/devices                             caller              read   -
DELETE /api/v1/devices/{id}                        caller              write  -
POST   /api/v1/notifications                       notifications:send  write  key
GET    /api/v1/notifications/{id}                  notifications:send  read   -
GET    /api/v1/notifications                       caller              read   -
PUT    /api/v1/notifications/{id}/read             caller              write  -
GET    /api/v1/notifications/preferences           caller              read   -
PUT    /api/v1/notifications/preferences           caller              write  -
POST   /api/v1/stock/lots                          stock:write         write  key
GET    /api/v1/stock/lots                          stock:read          read   -
POST   /api/v1/stock/losses                        stock:write         write  key
GET    /api/v1/stock/losses                        stock:read          read   -
POST   /api/v1/stock/losses/{id}/approve           stock:approve       write  key
POST   /api/v1/stock/losses/{id}/reject            stock:approve       write  key
PUT    /api/v1/stock/warehouses/{name}             stock:approve       write  -
GET    /api/v1/config                              config:write        read   -
GET    /api/v1/config/{key}/history                config:write        read   -
PUT    /api/v1/config/{key}                        config:write        write  -
POST   /api/v1/config/{key}/rollback               config:write        write  key
GET    /health                                     public              -      -
GET    /health/signalr                             public              -      -
GET    /health/realtime                            public              -      -
GET    /health/dependencies                        health:read         read   -
GET    /health/version                             public              -      -
GET    /generate_204                               public              -      -
HEAD   /generate_204                               public              -      -
"""

# POSTs that make something and take no key, and why.
REPEATABLE = {
    "POST /api/v1/otp/resend": "the same code again; the pause between two texts is the limit",
    "POST /api/v1/uploads/{id}/complete": "it is put together once, however often it is asked",
}
ROUTES = [route for route in routes() if route.path != DEFAULT]


def line_of(route: Route) -> str:
    who = {
        "never": "public",
        "sometimes": "some",
        "always": route.permission or "caller",
    }[route.needs_caller]
    key = "key" if route.is_idempotent else "-"
    return " ".join([route.method, route.path, who, route.limit or "-", key])


def test_the_table_is_right() -> None:
    lines = [" ".join(line.split()) for line in TABLE.strip().splitlines()]
    assert lines == [line_of(route) for route in ROUTES]


def test_an_app_is_public_where_the_template_says_so() -> None:
    """Also the other way round: what has an authorizer and a public app is `some`."""
    assert {it.key for it in ROUTES if it.needs_caller == "never"} | {DEFAULT} == PUBLIC.keys()
    assert [it.key for it in ROUTES if it.needs_caller == "sometimes"] == ["POST /api/v1/otp/send"]


def test_what_a_post_makes_it_makes_once() -> None:
    made = {
        route.key
        for route in ROUTES
        if route.method == "POST" and route.endpoint.status_code in {201, 202}
    }
    keyed = {route.key for route in ROUTES if route.is_idempotent}
    assert made - keyed == REPEATABLE.keys()


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.key)
def test_every_answer_has_the_security_headers_and_nobody_gets_in_without_a_token(
    route: Route,
) -> None:
    """Nothing is set up here: what needs a database or a key can only fail, in the same headers."""
    path = route.path
    for name in ("id", "key", "name", "secret"):
        path = path.replace(f"{{{name}}}", str(uuid.UUID(int=0)))
    answer = call(route.handler, route.method, path, content={}, route=route.key)
    kept = dict(SECURITY_HEADERS)
    if answer.status == 200 and path == "/.well-known/jwks.json":
        del kept["cache-control"]
    assert kept.items() <= answer.headers.items()
    assert answer.headers["x-request-id"]
    # CORS is the gateway's alone: two that say it are one too many for a browser.
    assert not [name for name in answer.headers if name.startswith("access-control-")]
    if route.needs_caller == "always":
        assert answer.status == 401
        assert answer.error["code"] == "UNAUTHORIZED"
        refused = {"failure": "TOKEN_EXPIRED"}
        answer = call(
            route.handler, route.method, path, content={}, authorizer=refused, route=route.key
        )
        assert answer.error["code"] == "TOKEN_EXPIRED"


def test_browsers_may_send_and_read_what_is_described(source: Template) -> None:
    """API Gateway answers CORS for every route alike (docs/decisions/0005)."""
    ((_, api),) = sam.resources(source, "AWS::Serverless::HttpApi")
    cors: dict[str, Any] = api["CorsConfiguration"]
    assert {route.method for route in ROUTES} <= set(cors["AllowMethods"])
    parameters = document()["components"]["parameters"].values()
    sent = {it["name"].lower() for it in parameters if it["in"] == "header"}
    assert set(cors["AllowHeaders"]) == sent | {"authorization", "content-type"}
    text = json.dumps(document()["paths"]) + json.dumps(document()["components"]["responses"])
    told = {name for name in cors["ExposeHeaders"] if name in text.lower()}
    assert told == set(cors["ExposeHeaders"])
    # One origin, and never with credentials of its own: tokens are in a header.
    assert cors["AllowOrigins"] == [{"Ref": "WebOrigin"}]
    assert "AllowCredentials" not in cors
