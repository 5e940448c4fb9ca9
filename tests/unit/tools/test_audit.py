"""An audit that could not look anything up is never taken for a clean one."""

from typing import Any

import pytest

from tools import audit

CLEAN = {"name": "boto3", "version": "1.43.1", "vulns": []}
SKIPPED = {"name": "boto3", "skip_reason": "Dependency not found on PyPI: boto3 (1.43.1)"}
VULNERABLE = {
    "name": "pillow",
    "version": "12.0.0",
    "vulns": [{"id": "PYSEC-2026-1", "aliases": ["CVE-2026-1"], "fix_versions": ["12.0.1"]}],
}


def tell(*dependencies: dict[str, Any]) -> int:
    return audit.tell("deployed", audit.read({"dependencies": list(dependencies)}))


def test_clean_is_clean() -> None:
    assert tell(CLEAN) == 0


def test_what_was_not_looked_up_is_not_clean(capsys: pytest.CaptureFixture[str]) -> None:
    assert tell(CLEAN, SKIPPED) == 2
    told = capsys.readouterr().out
    assert "could NOT be audited, 1 of 2 packages" in told
    assert "not found on PyPI" in told


def test_a_vulnerability_is_told_with_its_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    assert tell(CLEAN, VULNERABLE, SKIPPED) == 1
    assert "pillow 12.0.0: CVE-2026-1, PYSEC-2026-1; mended in 12.0.1" in capsys.readouterr().out


def test_an_exception_has_its_reason(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(audit.EXCEPTIONS, "CVE-2026-1", "we decode no such files")
    assert tell(VULNERABLE) == 0
    assert "excused: we decode no such files" in capsys.readouterr().out
