"""Look the locked dependencies up among the known vulnerabilities: `python -m tools.audit [--required]`.

pip-audit says "No known vulnerabilities found" and ends with 0 also where it could look up nothing at all. So its
report is read here, and only what was looked up counts. A finding ends with 1. Where the advisories are out of reach
nothing is known: that is said loudly, and ends with 0 unless the audit is `--required`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import NamedTuple, NotRequired, TypedDict

COMMAND = ("-m", "pip_audit", "--requirement", "requirements.txt", "--require-hashes", "--disable-pip")
FORM = ("--format", "json", "--progress-spinner", "off")
#: What stands in pip-audit's last line when nobody answered it, or not with what it asked for.
UNANSWERED = (
    "network may be blocking", "ConnectionError", "ConnectTimeout", "ProxyError", "ReadTimeout", "ServiceError",
    "SSLError",
)  # fmt: skip


class Finding(TypedDict):
    """A known vulnerability."""

    id: str
    fix_versions: list[str]


class Package(TypedDict):
    """A package in pip-audit's report: looked up, or skipped with a reason."""

    name: str
    version: NotRequired[str]
    vulns: NotRequired[list[Finding]]
    skip_reason: NotRequired[str]


class Verdict(NamedTuple):
    """What is known now. `code`: the exit code; None where nothing is known."""

    code: int | None
    told: str


def judge(packages: list[Package]) -> Verdict:
    """Judge pip-audit's report."""
    found = [f"  {_called(package)}: {_named(one)}" for package in packages for one in package.get("vulns", [])]
    skipped = [package["name"] for package in packages if "vulns" not in package]
    if found:
        return Verdict(1, "\n".join([f"{len(found)} known vulnerabilities:", *found]))
    if len(skipped) == len(packages):
        return Verdict(None, f"none of {len(packages)} packages could be looked up")
    if skipped:
        return Verdict(1, f"{len(skipped)} of {len(packages)} packages could not be looked up: {', '.join(skipped)}")
    return Verdict(0, f"{len(packages)} packages were looked up, and none has a known vulnerability")


def read(out: str, err: str) -> Verdict:
    """Judge what pip-audit wrote."""
    try:
        packages: list[Package] = json.loads(out)["dependencies"]
    except (ValueError, KeyError):
        last = (err.strip() or "it wrote nothing").splitlines()[-1]
        return Verdict(None if any(word in last for word in UNANSWERED) else 1, f"pip-audit failed: {last}")
    return judge(packages)


def _called(package: Package) -> str:
    return f"{package['name']} {package.get('version', '?')}"


def _named(finding: Finding) -> str:
    fixed = ", ".join(finding["fix_versions"])
    return f"{finding['id']}, {f'fixed in {fixed}' if fixed else 'no fix yet'}"


def main(*, required: bool) -> int:
    """Audit, tell, and return the exit code."""
    done = subprocess.run([sys.executable, *COMMAND, *FORM], capture_output=True, text=True, check=False)
    code, told = read(done.stdout, done.stderr)
    if code is None:
        print(f"{'!' * 60}\nNOT AUDITED: advisories out of reach, so nothing is known.\n{told}\n{'!' * 60}")
        return int(required)
    print(f"audit: {told}")
    return code


if __name__ == "__main__":
    sys.exit(main(required="--required" in sys.argv[1:]))
