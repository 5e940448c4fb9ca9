"""Imports run one way, functions stay thin, and importing does nothing but define."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from local import template as sam
from local.template import ROOT

FUNCTIONS = ROOT / "functions"
LAYER = ROOT / "layers/common/fieldgate"
CLIENT = ROOT / "clients/python/src/fieldgate_client"
DOMAINS = sorted(path.name for path in FUNCTIONS.iterdir() if (path / "__init__.py").exists())
HANDLERS = sorted(
    properties["Handler"].removesuffix(".handler")
    for _, properties in sam.resources(sam.read_template(), sam.FUNCTION)
)
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
    "aiohttp",
    "tenacity",
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
        "now",
        "Numeric",
        "Outcome",
        "Outcome",
        "range",
        "Setting",
        "Tries",
        "true",
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
        assert not imported(path) & {*DOMAINS, "fieldgate", "local", "tests"}, path
    for path in SOURCES:
        assert "fieldgate_client" not in imported(path), path


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
    assert not loaded_by(handler) & HEAVY


def test_answering_a_ping_waits_for_no_library() -> None:
    assert not loaded_by("realtime.on_message") & (HEAVY | TOO_HEAVY_FOR_A_PING)


def loaded_by(handler: str) -> set[str]:
    """Return every module that is loaded once a function's module is."""
    program = (
        "import sys, json\n"
        # Any look into the network while importing is a failure.
        "sys.addaudithook(lambda event, _: sys.exit(event) if event.startswith('socket.') else 0)\n"
        f"import {handler}\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    path = ":".join([str(FUNCTIONS), str(LAYER.parent), str(ROOT)])
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env={"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return set(json.loads(ran.stdout))


def test_every_folder_of_functions_is_known() -> None:
    assert [
        *("configuration", "edge", "health", "identity", "operations"),
        *("push", "realtime", "sms", "stock", "uploads"),
    ] == DOMAINS
