"""The alert rules: PromQL over metrics that there are, each tried and each in the runbook."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final, cast

import pytest
import yaml

from archiver import errors
from archiver.core.health import Cause
from tests.support.metrics import OFFERED, asked

ROOT: Final = Path(__file__).parent.parent.parent
FOLDER: Final = ROOT / "packaging" / "prometheus"
RUNBOOK: Final = (ROOT / "docs" / "runbook.md").read_text()
SCRAPE: Final = {"up"}  # what Prometheus says by itself about a target
PROMTOOL: Final = shutil.which("promtool")


def rules(groups: list[dict[str, list[dict[str, object]]]]) -> Mapping[str, Mapping[str, object]]:
    """All alerts by name."""
    found = [rule for group in groups for rule in group["rules"]]
    assert len({rule["alert"] for rule in found}) == len(found)
    return {str(rule["alert"]): rule for rule in found}


RULES: Final = rules(yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"])
IN_KUBERNETES: Final = rules(
    yaml.safe_load((ROOT / "packaging/kubernetes/components/prometheus/prometheusrule.yaml").read_text())["spec"][
        "groups"
    ]
)


def entries(section: str) -> list[str]:
    """Headings below a section of the runbook."""
    body = re.search(rf"^## {section}\n(.*?)(?=^## |\Z)", RUNBOOK, flags=re.MULTILINE | re.DOTALL)
    assert body, section
    return re.findall(r"^### (.+)$", body[1], flags=re.MULTILINE)


@pytest.mark.parametrize(("name", "rule"), [*RULES.items(), *IN_KUBERNETES.items()])
def test_a_rule_asks_for_metrics_that_there_are(name: str, rule: Mapping[str, object]) -> None:
    names = asked(str(rule["expr"]))
    assert names
    assert names <= OFFERED | SCRAPE


@pytest.mark.parametrize("name", RULES)
def test_a_rule_says_how_bad_it_is_and_where_to_read_on(name: str) -> None:
    labels = cast("dict[str, str]", RULES[name]["labels"])
    notes = cast("dict[str, str]", RULES[name]["annotations"])
    assert labels["severity"] in {"critical", "warning"}
    assert set(notes) == {"summary", "description", "runbook_url"}
    assert notes["runbook_url"] == f"docs/runbook.md#{name.lower()}"


def test_every_alert_has_an_entry_in_the_runbook_and_the_other_way_round() -> None:
    assert sorted(entries("Alerts")) == sorted([*RULES, *IN_KUBERNETES])


def test_every_cause_of_health_has_an_entry() -> None:
    assert sorted(entries("Causes that /healthz names")) == sorted(Cause)


def test_every_error_class_has_an_entry() -> None:
    classes = [
        name for name, one in vars(errors).items() if isinstance(one, type) and issubclass(one, errors.ArchiverError)
    ]
    assert sorted(entries("Kinds of errors")) == sorted(classes)


def test_the_headings_of_the_runbook_are_anchors_that_differ() -> None:
    """GitHub and Grafana make an anchor of a heading by its letters: two of one name would lead to the first."""
    anchors = [re.sub(r"[^\w -]", "", one.lower()) for one in re.findall(r"^#+ (.+)$", RUNBOOK, flags=re.MULTILINE)]
    assert len(anchors) == len(set(anchors))


def test_every_rule_is_tried_both_ways() -> None:
    """Each is expected to fire somewhere in its test file; and every case has a moment at which nothing fires."""
    text = (FOLDER / "alerts_test.yml").read_text()
    assert set(re.findall(r'alertname="(\w+)"', text)) == set(RULES)
    cases = yaml.safe_load(text)["tests"]
    silent = [any(not one["exp_samples"] for one in case["promql_expr_test"]) for case in cases]
    assert len(cases) > len(RULES)
    assert all(silent)


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed (Debian: apt install prometheus)")
def test_prometheus_own_tool_accepts_the_rules_and_they_fire_as_they_should() -> None:
    for words in (["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]):
        done = subprocess.run(
            [str(PROMTOOL), *words], cwd=FOLDER, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "SUCCESS" in done.stdout
