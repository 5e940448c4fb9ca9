"""Which tables a function may change, read from the source: who names whom, down to a statement.

What is named counts as called, so that what is only picked at run time is found as well; and a
statement counts as one on each table that is named beside it. `OLD_ROWS` says by its keys of which
tables rows are deleted (fieldgate.db.old_rows).
"""

import ast
import re
from collections.abc import Iterator

from local.template import ROOT

ROOTS = (ROOT / "functions", ROOT / "layers/common")
SQL = re.compile(r"\b(?:INSERT\s+INTO|UPDATE|DELETE\s+FROM)\s+(\w+)")
TABLES = "fieldgate.db.tables"


def named_by_definitions() -> dict[str, set[str]]:
    """Return what of ours each of our definitions names, and `changes <table>`."""
    named: dict[str, set[str]] = {}
    for path in (path for root in ROOTS for path in root.rglob("*.py")):
        (root,) = (root for root in ROOTS if path.is_relative_to(root))
        module = ".".join(path.relative_to(root).with_suffix("").parts)
        tree = ast.parse(path.read_text())
        imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        known = {
            it.asname or it.name: f"{by.module}.{it.name}" for by in imports for it in by.names
        }
        parts = {name: part for part in tree.body for name in _defined(part)}
        known |= {name: f"{module}.{name}" for name in parts}
        named |= {f"{module}.{name}": set(_named(part, known)) for name, part in parts.items()}
    return named


def tables_changed(module: str, named: dict[str, set[str]]) -> set[str]:
    """Return the tables that what is in a module may change, by whatever it leads to."""
    seen = led_to(module, named)
    return {name.removeprefix("changes ") for name in seen if name.startswith("changes ")}


def led_to(module: str, named: dict[str, set[str]]) -> set[str]:
    """Return whatever of ours what is in a module may come to."""
    seen, ahead = set[str](), {name for name in named if name.startswith(f"{module}.")}
    while ahead:
        seen |= ahead
        ahead = {there for name in ahead for there in named.get(name, ())} - seen
    return seen


def _defined(part: ast.stmt) -> list[str]:
    if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [part.name]
    targets = part.targets if isinstance(part, ast.Assign) else [getattr(part, "target", None)]
    return [it.id if isinstance(it, ast.Name) else f"line {part.lineno}" for it in targets]


def _named(part: ast.stmt, known: dict[str, str]) -> Iterator[str]:
    tables, statement = set(), False
    match part:
        case ast.Assign(targets=[ast.Name(id="OLD_ROWS")], value=ast.Dict(keys=keys)):
            tables_of_old_rows = [ast.literal_eval(key) for key in keys if key]
            yield from (f"changes {table}" for table in tables_of_old_rows)
    for node in ast.walk(part):
        match node:
            case ast.Name(id="insert" | "update" | "delete"):
                statement = True
            case ast.Name(id=name) if name in known:
                yield known[name]
                tables |= {name} if known[name].startswith(TABLES) else set()
            case ast.Attribute(value=ast.Name(id=name), attr=attribute) if name in known:
                yield f"{known[name]}.{attribute}"
            case ast.Constant(value=str(text)):
                yield from (f"changes {table}" for table in SQL.findall(text))
    if statement:
        yield from (f"changes {table}" for table in tables)
