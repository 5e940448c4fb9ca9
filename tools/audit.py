"""`make audit`: known vulnerabilities of everything that uv.lock names, deployed or not.

Exit code 0: none, or only those that EXCEPTIONS explains. 1: there are. 2: it could not be looked
up, which is not to be taken for clean.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.template import ROOT

# Why a vulnerability that pip-audit finds is none of ours, by its id (PYSEC-, GHSA- or CVE-).
EXCEPTIONS: dict[str, str] = {}

# Groups that may be installed together are looked at together.
DEPLOYED = ("common", "imaging", "realtime", "push", "migrations")
DEVELOPMENT = [("bench", "audit", "node"), ("ministack",), ("sam",), ("checkov",)]

PIP_AUDIT = ROOT / ".venvs/audit/bin/pip-audit"
OPTIONS = ["--disable-pip", "--require-hashes", "--format", "json", "--progress-spinner", "off"]
UV = ROOT / ".uv/bin/uv"


@dataclass(frozen=True)
class Finding:
    """A vulnerability of a package in use; `names` are all of its ids."""

    package: str
    names: frozenset[str]
    fixed_in: str

    @property
    def excused(self) -> bool:
        return bool(self.names & EXCEPTIONS.keys())


@dataclass(frozen=True)
class Audited:
    """What was found of some groups; nothing is known of those `skipped`, as the reasons say."""

    packages: int
    findings: list[Finding]
    skipped: list[str]


def read(report: dict[str, Any]) -> Audited:
    """Read what pip-audit says in JSON."""
    dependencies = report["dependencies"]
    findings = [
        Finding(
            f"{one['name']} {one['version']}",
            frozenset([found["id"], *found.get("aliases", [])]),
            ", ".join(found.get("fix_versions", [])) or "no version yet",
        )
        for one in dependencies
        for found in one.get("vulns", [])
    ]
    skipped = [one["skip_reason"] for one in dependencies if one.get("skip_reason")]
    return Audited(len(dependencies), findings, skipped)


def audited(groups: Iterable[str]) -> Audited:
    """Look up what the lock has for these groups.

    Raises:
        SystemExit: the lock can't be read.

    """
    wanted = [word for group in groups for word in ("--only-group", group)]
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder) / "requirements.txt"
        export = [str(UV), "export", "--quiet", "--frozen", "--no-emit-local", *wanted]
        made = subprocess.run([*export, "-o", str(listed)], cwd=ROOT, check=False)
        if made.returncode:
            raise SystemExit(2)
        asked = subprocess.run(
            [str(PIP_AUDIT), "-r", str(listed), *OPTIONS],
            capture_output=True,
            text=True,
            check=False,
        )
    try:
        return read(json.loads(asked.stdout))
    except ValueError:
        return Audited(0, [], [asked.stderr.strip().splitlines()[-1] if asked.stderr else "?"])


def tell(name: str, result: Audited) -> int:
    """Print what was found; return the exit code."""
    for finding in result.findings:
        reason = [EXCEPTIONS[one] for one in finding.names if one in EXCEPTIONS]
        verdict = f"excused: {reason[0]}" if reason else f"mended in {finding.fixed_in}"
        print(f"{finding.package}: {', '.join(sorted(finding.names))}; {verdict}")
    open_ = [finding for finding in result.findings if not finding.excused]
    if result.skipped:
        left = f"{len(result.skipped)} of {result.packages} packages" if result.packages else "all"
        print(f"{name}: could NOT be audited, {left} left out. The first: {result.skipped[0]}")
    else:
        print(f"{name}: {result.packages} packages, {len(open_)} known vulnerabilities")
    return 1 if open_ else 2 if result.skipped else 0


def main() -> int:
    """Audit what is deployed, and what it is developed with; return the exit code."""
    codes = []
    found: set[str] = set()
    for groups in [DEPLOYED, *DEVELOPMENT]:
        name = "deployed" if groups is DEPLOYED else f"development ({', '.join(groups)})"
        result = audited(groups)
        found |= {one for finding in result.findings for one in finding.names}
        codes.append(tell(name, result))
    if not any(codes):
        for name in EXCEPTIONS.keys() - found:
            print(f"{name} is not found any more: take it out of EXCEPTIONS (tools/audit.py)")
            codes.append(1)
    return 1 if 1 in codes else max(codes)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        sys.exit(130)
