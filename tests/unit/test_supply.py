"""The bill of materials holds what is locked; the audit never takes ignorance for a good answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import pytest

from archiver import __version__
from tests.support.commands import ROOT
from tests.support.requirements import PIN
from tools import sbom
from tools.audit import Package, Verdict, judge, read

GOOD: Final[Package] = {"name": "good", "version": "1.0", "vulns": []}
BAD: Final[Package] = {
    "name": "bad",
    "version": "2.0",
    "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.1", "3.0"]}, {"id": "GHSA-2", "fix_versions": []}],
}
UNKNOWN: Final[Package] = {"name": "unknown", "skip_reason": "Dependency not found and could not be audited: unknown"}


def test_the_bill_of_materials_holds_what_is_locked(tmp_path: Path) -> None:
    """All of it with its hashes, and no moment or random number, so that two of them can be compared."""
    sbom.write(tmp_path / "new" / "sbom.json")
    text = (tmp_path / "new" / "sbom.json").read_text()
    document = json.loads(text)
    locked = {
        (name, version, frozenset(line.split(":")[1].rstrip(" \\") for line in hashes.splitlines()))
        for name, version, hashes in PIN.findall((ROOT / "requirements.txt").read_text())
    }

    assert {(one["name"], one["version"], hashes_of(one)) for one in document["components"]} == locked
    assert len(locked) > 20
    component = document["metadata"]["component"]
    assert (component["name"], component["version"]) == ("call-recording-archiver", __version__)
    assert not {"serialNumber", "timestamp"} & {*document, *document["metadata"]}
    assert str(ROOT) not in text


def hashes_of(component: dict[str, list[dict[str, list[dict[str, str]]]]]) -> frozenset[str]:
    """SHA-256 of every file that a component may come as."""
    return frozenset(one["content"] for place in component["externalReferences"] for one in place.get("hashes", []))


@pytest.mark.parametrize(
    ("packages", "verdict"),
    [
        ([GOOD], Verdict(0, "1 packages were looked up, and none has a known vulnerability")),
        (
            [GOOD, BAD, UNKNOWN],
            Verdict(
                1, "2 known vulnerabilities:\n  bad 2.0: PYSEC-1, fixed in 2.1, 3.0\n  bad 2.0: GHSA-2, no fix yet"
            ),
        ),
        ([UNKNOWN, UNKNOWN], Verdict(None, "none of 2 packages could be looked up")),
        ([], Verdict(None, "none of 0 packages could be looked up")),
        ([GOOD, UNKNOWN], Verdict(1, "1 of 2 packages could not be looked up: unknown")),
    ],
    ids=["good", "bad", "all unknown", "empty", "some unknown"],
)
def test_only_what_was_looked_up_is_called_good(packages: list[Package], verdict: Verdict) -> None:
    assert judge(packages) == verdict
    assert read(json.dumps({"dependencies": packages, "fixes": []}), "whatever") == verdict


@pytest.mark.parametrize(
    ("last", "code"),
    [
        ("requests.exceptions.ProxyError: HTTPSConnectionPool(host='h', port=443): Max retries exceeded", None),
        ("ERROR:pip_audit._cli:Tip: your network may be blocking this service. Try another service", None),
        ("ERROR:pip_audit._cli:requirement foo is not hashed", 1),
        ("", 1),
    ],
)
def test_silence_is_no_good_answer(last: str, code: int | None) -> None:
    """Out of reach is told apart from an audit that is broken, which would else be broken for ever."""
    assert read("", f"Traceback\n{last}").code == code
    assert read("", last).code == code
