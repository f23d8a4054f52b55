"""What CI runs: the workflow asks for what there is, and for no less than .ci/run does."""

from __future__ import annotations

import re
from typing import Any, Final

import pytest
import yaml

from tests.support.commands import ROOT

Step = dict[str, Any]
WORKFLOW: Final[dict[Any, Any]] = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
JOBS: Final[dict[str, Any]] = WORKFLOW["jobs"]
STEPS: Final[list[Step]] = [step for job in JOBS.values() for step in job["steps"]]


def made(text: str) -> set[str]:
    """Targets of make that a text asks for."""
    return {target for words in re.findall(r"\bmake ([a-z ]+)", text) for target in words.split()}


def test_the_workflow_makes_what_the_local_run_makes() -> None:
    local = made((ROOT / ".ci" / "run").read_text())
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert local == {"lint", "types", "test", "sbom", "audit"}
    assert local <= made("\n".join(step.get("run", "") for step in STEPS)) <= targets


def test_the_weekly_audit_must_be_possible() -> None:
    """Elsewhere the advisories may be out of reach; here that would hide a finding for ever."""
    when = WORKFLOW[True]  # YAML takes the word `on` for true
    assert len(when["schedule"]) == 1
    assert "if" not in JOBS["supply"]
    assert {"run": "make audit ARGS=--required"} in JOBS["supply"]["steps"]


@pytest.mark.parametrize("step", [step for step in STEPS if "uses" in step], ids=lambda step: str(step["uses"]))
def test_actions_are_pinned(step: Step) -> None:
    """By their major version, and all are the platform's own."""
    assert re.fullmatch(r"actions/[a-z-]+@v\d+", step["uses"])


def test_its_token_can_only_read() -> None:
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert [name for name, job in JOBS.items() if "permissions" in job or "timeout-minutes" not in job] == []
    assert not re.search(r"\$\{\{\s*secrets\.", (ROOT / ".github" / "workflows" / "ci.yml").read_text())
