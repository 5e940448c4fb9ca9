"""What the documents say of the code is so."""

import ast
import re
from collections.abc import Iterator
from typing import Any

from local.template import ROOT, Template

# What AWS gives every function.
OF_LAMBDA = "AWS_"
SUFFIX = r"_(SECRET_ARN|PARAMETER)$"


def test_every_test_that_the_page_on_threats_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs/threats.md").read_text()))
    defined = {
        node.name
        for path in (ROOT / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef)
    }
    assert len(named) > 60
    assert not named - defined


def test_every_link_between_documents_leads_somewhere() -> None:
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_parameter_of_the_template_is_in_the_table_with_its_default(
    source: Template,
) -> None:
    page = (ROOT / "docs/configuration.md").read_text().partition("## Parameters")[2]
    table = page.partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.*?) ?\|", table, re.MULTILINE)
    expected = {
        name: str(parameter.get("Default", "needed"))
        for name, parameter in source["Parameters"].items()
    }
    assert dict(rows) == expected
    assert len(rows) == len(expected)


def test_every_variable_that_functions_read_is_on_the_page(source: Template) -> None:
    page = (ROOT / "docs/configuration.md").read_text()
    named = set(re.findall(r"\b[A-Za-z]\w+", page))
    variables = _read_by_the_code() | set(_set_by_the_template(source))
    assert len(variables) > 60
    # `NAME_SECRET_ARN` and `NAME_PARAMETER` are explained for all names at once.
    unnamed = {n for n in variables - named if re.sub(SUFFIX, "", n) not in named}
    assert {name for name in unnamed if not name.startswith(OF_LAMBDA)} == set()


def _set_by_the_template(source: Template) -> Iterator[str]:
    yield from source["Globals"]["Function"]["Environment"]["Variables"]
    for resource in source["Resources"].values():
        properties: dict[str, Any] = resource.get("Properties", {})
        yield from properties.get("Environment", {}).get("Variables", {})


def _read_by_the_code() -> set[str]:
    """Fields of `Settings`, and what is looked up by name."""
    found = set()
    for folder in ("functions", "layers/common/fieldgate"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                found |= set(_fields(node)) | set(_looked_up(node))
    return found


def _fields(node: ast.AST) -> Iterator[str]:
    if not isinstance(node, ast.ClassDef) or "Settings" not in map(ast.unparse, node.bases):
        return
    for field in node.body:
        if isinstance(field, ast.AnnAssign) and "ClassVar" not in ast.unparse(field.annotation):
            keywords = getattr(field.value, "keywords", [])
            aliases = [word.value for word in keywords if word.arg == "validation_alias"]
            names = [part for alias in aliases for part in ast.walk(alias)]
            given = [str(part.value) for part in names if isinstance(part, ast.Constant)]
            yield from given or [ast.unparse(field.target).upper()]


def _looked_up(node: ast.AST) -> Iterator[str]:
    calls = {"lookup", "os.environ.get", "os.getenv"}
    if isinstance(node, ast.Call) and ast.unparse(node.func) in calls:
        yield from (str(word.value) for word in node.args[:1] if isinstance(word, ast.Constant))
