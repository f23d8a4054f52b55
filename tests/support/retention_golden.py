"""The form of tests/golden/retention: terms, a moment, recordings, and what must be decided about each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, TypeAdapter

from archiver.core.decision import Action, Candidate, Decision, Reason
from archiver.core.holds import Hold, Query
from archiver.core.model import Lock, LockMode
from archiver.core.retention import Earlier, Terms
from archiver.core.rulebook import Bound, Rulebook
from archiver.policies import parse_policies
from archiver.yaml_file import load_yaml
from tests.support.retention import Sample

FILES = sorted(Path(__file__).parents[1].joinpath("golden", "retention").glob("*.yaml"))
_SAMPLE = TypeAdapter(Sample)


class Form(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Expected(Form):
    """A decision. Without an action the recording is kept."""

    action: Action = Action.KEEP
    reason: Reason
    policy: str | None = None
    not_before: AwareDatetime | None = None
    holds: tuple[str, ...] = ()

    def decision(self) -> Decision:
        return Decision(
            action=self.action, reason=self.reason, policy=self.policy, not_before=self.not_before, holds=self.holds
        )


class Dated(Form):
    policy: str
    at: AwareDatetime

    def bound(self) -> Bound:
        return Bound(self.at, self.policy)


class WantedLock(Form):
    mode: LockMode
    until: AwareDatetime

    def lock(self) -> Lock:
        return Lock(self.mode, self.until)


class Says(Form):
    """What the policies say of a recording beside the decisions; asked where a file gives it."""

    floor: Dated | None = None
    ceiling: Dated | None = None
    lock: WantedLock | None = None
    storage_class: str | None = None


class Row(BaseModel):
    """A recording; what it leaves out is as in `Sample`."""

    model_config = ConfigDict(extra="allow")
    id: str
    source: Expected
    archive: Expected
    erasure: Expected | None = None
    excluded_by: str | None = None
    says: Says | None = None

    def candidate(self) -> Candidate:
        facts = self.model_extra or {}
        assert set(facts) <= {field.name for field in fields(Sample)}
        sample: Sample = _SAMPLE.validate_python({**facts, "recording_id": self.id})
        return sample.candidate()


class Case(Form):
    """A legal hold, its query as the record has it."""

    name: str
    at: AwareDatetime
    query: Mapping[str, Any]
    future: bool = False
    release_asked_by: str | None = None
    released_at: AwareDatetime | None = None

    def hold(self) -> Hold:
        return Hold(
            name=self.name,
            reason="a complaint",
            author="Anna",
            at=self.at,
            query=Query.of_json(
                {key: str(value) if key in ("since", "until") else value for key, value in self.query.items()}
            ),
            future=self.future,
            release_asked_by=self.release_asked_by,
            released_at=self.released_at,
        )


class Before(Form):
    """Earlier policies of an account; null: they can no longer be read."""

    account: str = "acme"
    until: AwareDatetime
    policies: str | None

    def earlier(self) -> Earlier:
        return Earlier(None if self.policies is None else Rulebook(parse_policies(self.policies)), self.until)


class Golden(Form):
    title: str
    now: AwareDatetime
    policies: str
    holds: tuple[Case, ...] = ()
    earlier: tuple[Before, ...] = ()
    recordings: tuple[Row, ...]

    def terms(self) -> Terms:
        accounts = {before.account for before in self.earlier}
        return Terms(
            rules=Rulebook(parse_policies(self.policies)),
            holds=tuple(case.hold() for case in self.holds),
            earlier={name: tuple(one.earlier() for one in self.earlier if one.account == name) for name in accounts},
        )

    def moment(self) -> datetime:
        return self.now.astimezone(UTC)


def read(path: Path) -> Golden:
    golden = Golden.model_validate(load_yaml(path))
    ids = [row.id for row in golden.recordings]
    assert len(ids) == len(set(ids))
    return golden
