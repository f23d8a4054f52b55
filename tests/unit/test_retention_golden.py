"""Every file of tests/golden/retention: policies, recordings and a moment, and what must be decided."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
from pydantic import AwareDatetime, BaseModel, ConfigDict, TypeAdapter

from archiver.core.retention import Action, Decision, Reason, decide, excluded_by
from archiver.policies import parse_policies
from archiver.yaml_file import load_yaml
from tests.support.retention import Sample

FILES = sorted(Path(__file__).parents[1].joinpath("golden", "retention").glob("*.yaml"))
_SAMPLE = TypeAdapter(Sample)


class Expected(BaseModel):
    """The decision that a golden file asks for."""

    model_config = ConfigDict(extra="forbid")
    action: Action
    reason: Reason
    policy: str | None = None
    not_before: AwareDatetime | None = None

    def decision(self) -> Decision:
        return Decision(action=self.action, reason=self.reason, policy=self.policy, not_before=self.not_before)


class Row(BaseModel):
    """A recording of a golden file; what it leaves out is as in `Sample`."""

    model_config = ConfigDict(extra="allow")
    id: str
    expect: Expected
    excluded_by: str | None = None

    def sample(self) -> Sample:
        facts = self.model_extra or {}
        assert set(facts) <= {field.name for field in fields(Sample)}
        return _SAMPLE.validate_python({**facts, "recording_id": self.id})


class Golden(BaseModel):
    model_config = ConfigDict(extra="forbid")
    title: str
    now: AwareDatetime
    policies: str
    recordings: list[Row]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_decides_as_the_golden_file_says(path: Path) -> None:
    golden = Golden.model_validate(load_yaml(path))
    policies = parse_policies(golden.policies).policies
    decided = {row.id: decide(row.sample().candidate(), policies, golden.now) for row in golden.recordings}
    excluded = {row.id: excluded_by(row.sample().candidate(), policies) for row in golden.recordings}
    assert decided == {row.id: row.expect.decision() for row in golden.recordings}
    assert excluded == {row.id: row.excluded_by for row in golden.recordings}


def test_the_golden_files_reach_every_reason() -> None:
    rows = [row for path in FILES for row in Golden.model_validate(load_yaml(path)).recordings]
    assert {row.expect.reason for row in rows} == set(Reason)
