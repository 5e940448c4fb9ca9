"""What is read at a glance: files of up to 300 lines, of tests 500, and functions of up to 50."""

import ast
from pathlib import Path

import pytest

from local.template import ROOT

FILES, TEST_FILES, FUNCTIONS = 300, 500, 50
FOLDERS = (
    *("functions", "layers", "local", "tools", "benchmarks"),
    *("clients/python/src", "migrations", "tests"),
)
# Released migrations are never edited, and list what they make.
LONG = {
    "migrations/versions/0001_identity_media_change_log.py",
    "migrations/versions/0002_sessions_one_time_codes.py",
    "migrations/versions/0003_uploads.py",
}
SOURCES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_and_each_of_its_functions_are_short(path: Path) -> None:
    text = path.read_text()
    lines = len(text.splitlines())
    functions = [
        (node.name, (node.end_lineno or 0) - node.lineno + 1)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    too_long = [(name, length) for name, length in functions if length > FUNCTIONS]
    name = path.relative_to(ROOT)
    if str(name) in LONG:
        assert lines > FILES or too_long, "it needs no exception"
    else:
        assert lines <= (TEST_FILES if name.parts[0] == "tests" else FILES)
        assert too_long == []
