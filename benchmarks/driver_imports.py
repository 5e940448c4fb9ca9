"""What a cold start pays for the driver of the database: importing it, and its size."""

import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import files
from pathlib import Path

from benchmarks.results import KEPT, Table

IMPORT_RUNS = 7
# What is imported, and the packages that only the driver brings.
PG8000, PSYCOPG = ("pg8000", "scramp", "asn1crypto"), ("psycopg", "psycopg-binary")
IMPORTS = {
    "pg8000": ("pg8000.dbapi", PG8000),
    "psycopg": ("psycopg", PSYCOPG),
    "SQLAlchemy Core, pg8000": ("pg8000.dbapi, sqlalchemy.dialects.postgresql.pg8000", PG8000),
    "SQLAlchemy Core, psycopg": ("psycopg, sqlalchemy.dialects.postgresql.psycopg", PSYCOPG),
    "SQLAlchemy ORM, pg8000": (
        "pg8000.dbapi, sqlalchemy.dialects.postgresql.pg8000, sqlalchemy.orm",
        PG8000,
    ),
}


def imports() -> dict[str, list[float]]:
    """Return the milliseconds of processor of each of `IMPORTS`: new processes, in turns."""
    found: dict[str, list[float]] = {name: [] for name in IMPORTS}
    # Compiled, as the layer is; the first turn does it.
    compiled = {"PYTHONPYCACHEPREFIX": str(KEPT / "compiled"), "PYTHONDONTWRITEBYTECODE": ""}
    for turn in range(IMPORT_RUNS + 1):
        for name, (modules, _packages) in IMPORTS.items():
            code = f"import time; began = time.process_time(); import {modules};"
            code += "print((time.process_time() - began) * 1000)"
            command = [sys.executable, "-c", code]
            done = subprocess.run(
                command, env=os.environ | compiled, stdout=subprocess.PIPE, check=True
            )
            found[name] += [float(done.stdout)] if turn else []
    return found


def megabytes(packages: Sequence[str]) -> float:
    """Return how large the installed packages are, without what Python compiled of them."""
    paths = (Path(str(file.locate())) for package in packages for file in files(package) or ())
    return sum(path.stat().st_size for path in paths if path.suffix != ".pyc") / 1e6


def imports_table(imported: dict[str, list[float]]) -> Table:
    rows = [
        (name, f"{statistics.median(imported[name]):.0f}", f"{megabytes(packages):.1f}")
        for name, (_modules, packages) in IMPORTS.items()
    ]
    header = ("", "import, ms of processor", "the driver, MB")
    return Table("What a cold start pays", header, rows)
