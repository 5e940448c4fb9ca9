"""How many modules a function may load by being imported: what its cold start grows with.

    python -m tools.import_budgets            which function loads more than its budget
    python -m tools.import_budgets --write    make the budgets what is loaded now

Counted are modules, which no busy machine changes, and not time (benchmarks/cold_start.py). The
packages are those of .venv, at the versions of the layers.
"""

import ast
import json
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping
from functools import cache

from local import template as sam
from local.template import ROOT

BUDGETS = ROOT / "tests/architecture/import_budgets.json"
# What another Python of the same minor version, or another system, may add.
SLACK = 0.02
# What most functions begin with, and what nearly all their modules come from.
BEGINNINGS = ("fieldgate.http", "fieldgate.db.engine")


def main() -> int:
    found = loaded()
    if "--write" in sys.argv[1:]:
        counts = {name: len(modules) for name, modules in sorted(found.items())}
        BUDGETS.write_text(json.dumps(counts, indent=2) + "\n")
        print(f"{len(counts)} budgets in {BUDGETS.relative_to(ROOT)}")
        return 0
    faults = over_budget(found, read())
    print("\n".join(faults) or f"{len(found)} functions load no more modules than they may")
    return 1 if faults else 0


def read() -> dict[str, int]:
    """Return the budgets by function: `identity.login`."""
    budgets: dict[str, int] = json.loads(BUDGETS.read_text())
    return budgets


def over_budget(found: Mapping[str, set[str]], budgets: Mapping[str, int]) -> list[str]:
    """Return a sentence for each function that is over its budget, has none, or is gone."""
    faults = [f"{name} has a budget and is no function" for name in budgets if name not in found]
    for name, modules in found.items():
        if name not in budgets:
            faults.append(f"{name} has no budget: python -m tools.import_budgets --write")
        elif len(modules) > budgets[name] * (1 + SLACK):
            packages = Counter(module.partition(".")[0] for module in modules).most_common(8)
            faults.append(
                f"{name} loads {len(modules)} modules by being imported, and its budget is"
                f" {budgets[name]}. Most are of {', '.join(f'{p} ({n})' for p, n in packages)}."
                " Import what is heavy where it is used (python -X importtime says what is); where"
                " it is needed at once: python -m tools.import_budgets --write"
            )
    return faults


@cache
def loaded() -> dict[str, set[str]]:
    """Import every function of template.yaml; return the modules that are loaded then, by function.

    Nothing stands in its environment, a warning is an error, and so is any use of the network.

    Raises:
        RuntimeError: one could not be imported.

    """
    groups: dict[str, list[str]] = defaultdict(list)
    for _, properties in sam.resources(sam.read_template(), sam.FUNCTION):
        function = str(properties["Handler"]).removesuffix(".handler")
        groups[" ".join(_beginning(function))].append(function)
    arguments = [f"{beginning}:{' '.join(names)}" for beginning, names in groups.items()]
    path = (ROOT / "functions", ROOT / "layers/common", ROOT)
    ran = subprocess.run(
        [sys.executable, "-P", "-W", "error", str(ROOT / "tools/import_census.py"), *arguments],
        env={"PYTHONPATH": ":".join(map(str, path))},
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode:
        raise RuntimeError(ran.stderr)
    lines = (line.split() for line in ran.stdout.splitlines())
    return {function: set(modules) for function, *modules in lines}


def _beginning(function: str) -> list[str]:
    """Return those of `BEGINNINGS` that a function's own module imports at its top."""
    source = (ROOT / f"functions/{function.replace('.', '/')}.py").read_text()
    imported = {
        statement.module
        for statement in ast.parse(source).body
        if isinstance(statement, ast.ImportFrom)
    }
    return [module for module in BEGINNINGS if module in imported]


if __name__ == "__main__":
    sys.exit(main())
