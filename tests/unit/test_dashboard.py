"""The Grafana dashboard, as far as its file can be judged without Grafana: shape, queries, variables."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from itertools import combinations
from pathlib import Path
from typing import Final, cast

import pytest

from tests.support.metrics import OFFERED, asked

Panel = Mapping[str, object]
DASHBOARD: Final = json.loads(
    (Path(__file__).parent.parent.parent / "packaging" / "grafana" / "archiver.json").read_text()
)
PANELS: Final = cast("list[Panel]", DASHBOARD["panels"])
SHOWN: Final = [panel for panel in PANELS if panel["type"] != "row"]
VARIABLES: Final = {str(one["name"]): one for one in DASHBOARD["templating"]["list"]}
OWN: Final = {"__rate_interval", "__all"}  # Grafana's
COLUMNS: Final = 24


def queries() -> Iterator[tuple[str, str]]:
    """Title of the panel and expression, of each query."""
    for panel in SHOWN:
        for target in cast("list[dict[str, str]]", panel["targets"]):
            yield str(panel["title"]), target["expr"]


def filled(text: str) -> str:
    """Put a value where a variable stands."""
    return text.replace("$__rate_interval", "5m").replace("$", "")


@pytest.mark.parametrize(("title", "expression"), list(queries()))
def test_a_panel_asks_for_metrics_that_there_are(title: str, expression: str) -> None:
    names = asked(filled(expression))
    assert names, title
    assert names <= OFFERED


def test_variables_that_are_used_are_defined_and_ask_for_metrics_that_there_are() -> None:
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(DASHBOARD)))
    assert used - OWN == set(VARIABLES)
    asking = [one["query"]["query"] for one in VARIABLES.values() if one["type"] == "query"]
    assert {name for query in asking for name in re.findall(r"archiver_\w+", query)} <= OFFERED
    assert len(asking) == 3


def test_all_data_come_from_the_source_that_is_chosen() -> None:
    assert VARIABLES["datasource"]["query"] == "prometheus"
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    assert all(panel["datasource"] == chosen for panel in SHOWN)
    assert all(target["datasource"] == chosen for panel in SHOWN for target in cast("list[Panel]", panel["targets"]))


def test_panels_have_names_of_their_own_and_lie_beside_each_other() -> None:
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    placed = [cast("dict[str, int]", panel["gridPos"]) for panel in PANELS]
    assert all(at["x"] >= 0 and at["x"] + at["w"] <= COLUMNS and at["h"] > 0 for at in placed)
    overlapping = [
        (one, other)
        for one, other in combinations(placed, 2)
        if one["x"] < other["x"] + other["w"]
        and other["x"] < one["x"] + one["w"]
        and one["y"] < other["y"] + other["h"]
        and other["y"] < one["y"] + one["h"]
    ]
    assert overlapping == []


def test_what_a_person_on_call_looks_for_is_there() -> None:
    """Every metric of health and of the archive's state is on some panel."""
    shown = {name for _, expression in queries() for name in asked(filled(expression))}
    assert shown >= {
        "archiver_health_level", "archiver_health_reason", "archiver_catalogue_up", "archiver_recordings",
        "archiver_archived_bytes", "archiver_open_gaps", "archiver_coverage", "archiver_watermark_timestamp_seconds",
        "archiver_last_good_pass_timestamp_seconds", "archiver_oldest_pending_timestamp_seconds",
        "archiver_quota_used_requests", "archiver_retries_total", "archiver_stage_seconds_sum",
        "archiver_passes_total", "archiver_transfer_seconds_bucket",
    }  # fmt: skip


def test_it_is_a_dashboard_that_can_be_imported() -> None:
    """Without an id, which would be that of another installation's database."""
    assert DASHBOARD["id"] is None
    assert DASHBOARD["schemaVersion"] == 39
    assert {"title", "uid", "time", "templating", "panels", "timezone"} <= set(DASHBOARD)
