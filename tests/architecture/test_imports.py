"""Imports run one way, functions stay thin, and importing does nothing but define."""

import ast
from pathlib import Path

import pytest

from local import template as sam
from local.template import ROOT
from tools import import_budgets

FUNCTIONS = ROOT / "functions"
LAYER = ROOT / "layers/common/fieldgate"
CLIENT = ROOT / "clients/python/src/fieldgate_client"
DOMAINS = sorted(path.name for path in FUNCTIONS.iterdir() if (path / "__init__.py").exists())
HANDLERS = sorted(
    properties["Handler"].removesuffix(".handler")
    for _, properties in sam.resources(sam.read_template(), sam.FUNCTION)
)
DEPLOYED = ("functions", "layers", "migrations")
SOURCES = sorted([*FUNCTIONS.rglob("*.py"), *LAYER.rglob("*.py")])
# What a function may have loaded before its first event. boto3 costs 110 ms, SQLAlchemy's ORM 50,
# Pillow 14, valkey 26, jwt with cryptography 140; each is imported where it is used.
HEAVY = {
    "boto3",
    "botocore",
    "PIL",
    "alembic",
    "africastalking",
    "requests",
    "sqlalchemy.orm",
    "aws_xray_sdk",
    "firebase_admin",
    "google",
    "httpx",
    "stamina",
    "valkey",
    "jwt",
    "cryptography",
    "phonenumbers",
    "argon2",
    "bcrypt",
    "olefile",
    "sentry_sdk",
    "aiohttp",
    "tenacity",
}
# The only places that name a package of these: what begins so may load it once it is used.
MAY_USE = {
    "PIL": ("functions/uploads/photo",),
    "olefile": ("functions/uploads/compound_files.py",),
    "aiohttp": ("functions/realtime/posting.py",),
    "firebase_admin": ("layers/common/fieldgate/push/fcm",),
    "google": ("layers/common/fieldgate/push/fcm.py",),
    "africastalking": ("layers/common/fieldgate/sms/africas_talking.py",),
    "argon2": ("functions/identity/passwords.py",),
    "bcrypt": ("functions/identity/passwords.py",),
    "phonenumbers": ("functions/identity/phone_numbers.py", "functions/sms/pumping.py"),
    "jwt": ("layers/common/fieldgate/tokens.py",),
    "cryptography": ("layers/common/fieldgate/tokens.py", "functions/push/device_tokens.py"),
    "valkey": ("layers/common/fieldgate/cache.py",),
    "stamina": ("layers/common/fieldgate/resilience.py",),
    "sentry_sdk": ("layers/common/fieldgate/error_reports.py",),
    "aws_xray_sdk": (),  # Powertools' Tracer does
    "alembic": ("layers/common/fieldgate/db/migrate.py",),
    "boto3": (
        "layers/common/fieldgate/queues.py",
        "layers/common/fieldgate/sms/sns.py",
        "layers/common/fieldgate/storage/s3_client.py",
        "functions/operations/kept_logs.py",
    ),
    "fastapi": ("layers/common/fieldgate/http/", *(f"functions/{domain}/" for domain in DOMAINS)),
    "mangum": ("layers/common/fieldgate/http/app.py",),
}
# Functions that know nothing of the database until they are asked for something, if ever.
WITHOUT_DATABASE = {
    *("edge.unknown_route", "health.generate_204", "health.get_version", "identity.publish_keys"),
    *("identity.authorize", "identity.authorize_connection", "operations.keep_errors"),
    *("realtime.negotiate", "realtime.on_disconnect", "realtime.on_message"),
}
HTTP = {
    properties["Handler"].removesuffix(".handler")
    for _, properties in sam.resources(sam.read_template(), sam.FUNCTION)
    if any(event["Type"] == "HttpApi" for event in properties.get("Events", {}).values())
}
# What the answer to a ping is too hot to wait for: an invocation each 15 s for every phone.
TOO_HEAVY_FOR_A_PING = {"sqlalchemy", "pydantic", "fastapi", "mangum", "aws_lambda_powertools"}
# The calls that only define something.
DEFINING_CALLS = {
    *("AliasChoices", "Annotated", "AppKey", "Column", "ConfigDict", "ContextVar", "Depends"),
    *("Field", "Index", "MetaData", "Table", "TypeVar", "Version", "cache", "compile"),
    *("create_app", "dataclass", "entry_point", "field", "frozenset", "text", "timedelta"),
    *("id_column", "time_column", "split", "values", "CheckConstraint", "ForeignKey", "func"),
    *("false", "lower", "Uuid", "Text", "set", "dict", "tuple", "contextmanager", "lru_cache"),
    *(
        "AfterValidator",
        "ARRAY",
        "BigInteger",
        "Computed",
        "DateTime",
        "Identity",
        "JSONB",
        "local",
    ),
    *(
        "LargeBinary",
        "cast",
        "in_",
        "PlainSerializer",
        "PlainValidator",
        "desc",
        "float",
        "get_args",
        "is_",
        "label",
        "literal_column",
        "now",
        "Numeric",
        "Outcome",
        "range",
        "Setting",
        "Tries",
        "true",
        "WithJsonSchema",
        # Ours, which only make what is read later.
        "_iso",
        "_text",
    ),
}


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add((node.module or "").partition(".")[0])
    return names


def test_the_client_and_the_server_know_nothing_of_each_other() -> None:
    for path in CLIENT.rglob("*.py"):
        assert not imported(path) & {*DOMAINS, "fieldgate", "local", "tools", "tests"}, path
    for path in SOURCES:
        assert "fieldgate_client" not in imported(path), path


def test_what_is_deployed_knows_neither_the_local_stack_nor_the_tools() -> None:
    deployed = [path for folder in DEPLOYED for path in (ROOT / folder).rglob("*.py")]
    for path in deployed:
        assert not imported(path) & {"local", "tools", "tests"}, path


def test_the_local_stack_knows_nothing_of_the_tools() -> None:
    for path in (ROOT / "local").rglob("*.py"):
        assert not imported(path) & {"tools", "tests"}, path


def test_the_layer_imports_no_domain() -> None:
    for path in LAYER.rglob("*.py"):
        assert not imported(path) & set(DOMAINS), path


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_domain_imports_no_other_domain(domain: str) -> None:
    for path in (FUNCTIONS / domain).rglob("*.py"):
        assert not imported(path) & (set(DOMAINS) - {domain}), path


@pytest.mark.parametrize("handler", HANDLERS)
def test_a_function_is_thin(handler: str) -> None:
    path = FUNCTIONS / f"{handler.replace('.', '/')}.py"
    assert path.stem not in {"app", "main", "handler"}
    assert len(path.read_text().splitlines()) <= 75, "a function's module is read at a glance"
    # No queries and no AWS calls of its own. (The health check's one query is `select(1)`.)
    forbidden = {"boto3", "botocore"} | ({"sqlalchemy"} if path.stem != "check_health" else set())
    assert not imported(path) & forbidden


@pytest.mark.parametrize("handler", HANDLERS)
def test_the_errors_of_a_function_are_reported(handler: str) -> None:
    source = (FUNCTIONS / f"{handler.replace('.', '/')}.py").read_text()
    ways = ("@observed\ndef handler(", "@reported\ndef handler(", "handler = entry_point(app)")
    assert any(f"\n{way}" in source for way in ways)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_importing_only_defines(path: Path) -> None:
    for statement in ast.parse(path.read_text()).body:
        assert isinstance(
            statement,
            ast.Import
            | ast.ImportFrom
            | ast.FunctionDef
            | ast.AsyncFunctionDef
            | ast.ClassDef
            | ast.Assign
            | ast.AnnAssign
            | ast.TypeAlias
            | ast.If
            | ast.Expr,
        ), f"{path}:{statement.lineno}"
        if isinstance(statement, ast.Assign | ast.AnnAssign | ast.Expr):
            for call in (node for node in ast.walk(statement) if isinstance(node, ast.Call)):
                name = call.func.attr if isinstance(call.func, ast.Attribute) else None
                name = name or (call.func.id if isinstance(call.func, ast.Name) else None)
                assert name in DEFINING_CALLS, f"{path}:{call.lineno} calls {name}() at import"


@pytest.mark.parametrize("handler", HANDLERS)
def test_importing_a_function_needs_no_environment_and_loads_nothing_heavy(handler: str) -> None:
    assert not import_budgets.loaded()[handler] & HEAVY


def test_answering_a_ping_waits_for_no_library() -> None:
    loaded = import_budgets.loaded()["realtime.on_message"]
    assert not loaded & (HEAVY | TOO_HEAVY_FOR_A_PING)


@pytest.mark.parametrize("package", MAY_USE)
def test_a_heavy_package_is_named_where_it_is_needed(package: str) -> None:
    users = [str(path.relative_to(ROOT)) for path in SOURCES if package in imported(path)]
    assert [user for user in users if not user.startswith(MAY_USE[package])] == []


@pytest.mark.parametrize("handler", HANDLERS)
def test_a_function_loads_the_database_and_http_only_where_they_are_its_work(handler: str) -> None:
    loaded = import_budgets.loaded()[handler]
    assert ("sqlalchemy" in loaded) == (handler not in WITHOUT_DATABASE)
    assert ("pg8000" in loaded) == (handler not in WITHOUT_DATABASE)
    assert ("fastapi" in loaded) == (handler in HTTP)


def test_functions_keep_to_their_budgets_of_modules() -> None:
    assert import_budgets.over_budget(import_budgets.loaded(), import_budgets.read()) == []


def test_a_function_over_its_budget_is_told_of_by_name() -> None:
    found = {"a.grown": {f"pg8000.{n}" for n in range(103)}, "a.same": {"os"}, "a.new": {"os"}}
    faults = import_budgets.over_budget(found, {"a.grown": 100, "a.same": 1, "a.gone": 5})
    assert [fault.partition(" ")[0] for fault in faults] == ["a.gone", "a.grown", "a.new"]
    assert "loads 103 modules" in faults[1]
    assert "pg8000 (103)" in faults[1]


def test_every_folder_of_functions_is_known() -> None:
    assert [
        *("configuration", "edge", "health", "identity", "operations"),
        *("push", "realtime", "sms", "stock", "uploads"),
    ] == DOMAINS
