from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.core.duration import Duration
from archiver.core.model import State
from archiver.core.plan import Draft, Plan, PlanItem, digest_of, parse, render
from archiver.core.policy import Match, Policy, PolicySet
from archiver.core.retention import Action, Candidate, Reason
from archiver.errors import ConfigError
from tests.support.retention import NOW, Sample, candidates

POLICIES = PolicySet(policies=(Policy(name="month", source_delete_after=Duration(months=1)),))


def drafted(rows: Iterable[Candidate], policies: PolicySet = POLICIES, now: datetime = NOW) -> Plan:
    draft = Draft(policies=policies, now=now)
    for row in rows:
        draft.consider(row)
    return draft.plan()


def ordinary() -> Plan:
    rows = [Sample(recording_id=str(number), account=name).candidate() for number in (2, 10, 1) for name in ("b", "a")]
    barred = [Sample(recording_id="9", state=State.STORED), Sample(recording_id="8", size_disagrees=True)]
    return drafted([*rows, *(sample.candidate() for sample in barred)])


def resealed(text: str) -> str:
    """The text with a fitting digest, as someone who knows the format could write it."""
    body = text.rpartition('"digest": "')[0]
    return f'{body}"digest": "{hashlib.sha256(body.encode()).hexdigest()}"\n}}\n'


def test_holds_the_deletions_sorted_and_counts_the_rest() -> None:
    plan = ordinary()
    assert [item.key for item in plan.items] == [
        ("a", "1"),
        ("a", "10"),
        ("a", "2"),
        ("b", "1"),
        ("b", "10"),
        ("b", "2"),
    ]
    assert plan.kept == {Reason.NOT_VERIFIED: 1, Reason.SIZE_DISAGREES: 1}
    assert plan.bytes == 6 * 400_000
    assert plan.created_at == NOW
    assert plan.policies_digest == POLICIES.digest


def test_looks_as_documented() -> None:
    sample = Sample(recording_id="42", ended_at=datetime(2025, 3, 31, 9, 30, tzinfo=UTC))
    text = render(drafted([sample.candidate(), Sample(state=State.STORED).candidate()]))
    document = json.loads(text)
    digest = document.pop("digest")
    assert document == {
        "version": 1,
        "created_at": "2025-06-01T00:00:00Z",
        "policies_digest": POLICIES.digest,
        "totals": {"delete": 1, "bytes": 400_000, "keep": 1},
        "kept": {"not_verified": 1},
        "items": [
            {
                "account": "acme",
                "recording_id": "42",
                "action": "delete_at_source",
                "reason": "due",
                "policy": "month",
                "not_before": "2025-05-01T09:30:00Z",
                "ended_at": "2025-03-31T09:30:00Z",
                "sha256": "a" * 64,
                "size": 400_000,
            }
        ],
    }
    assert digest == digest_of(text) == hashlib.sha256(text[: text.index('"digest"')].encode()).hexdigest()


def test_never_holds_who_spoke() -> None:
    policies = PolicySet(
        policies=(replace(POLICIES.policies[0], match=Match(extensions=("919812345678",))), *POLICIES.policies)
    )
    unique = PolicySet(policies=tuple(replace(one, name=f"p{n}") for n, one in enumerate(policies.policies)))
    text = render(drafted([Sample(extensions=("919812345678",)).candidate()], unique))
    assert len(parse(text).items) == 1
    assert "919812345678" not in text


def test_an_empty_plan_is_a_plan() -> None:
    plan = drafted([], PolicySet())
    assert plan.items == ()
    assert parse(render(plan)) == plan


@given(st.lists(candidates(), max_size=12, unique_by=lambda row: (row.account, row.recording_id)))
def test_reads_back_what_was_written(rows: list[Candidate]) -> None:
    plan = drafted(rows, now=datetime(2033, 1, 1, 0, 0, 0, 123, tzinfo=UTC))
    assert parse(render(plan)) == plan
    assert len(plan.items) + sum(plan.kept.values()) == len(rows)


@given(
    st.lists(candidates(), max_size=12, unique_by=lambda row: (row.account, row.recording_id)),
    st.randoms(use_true_random=False),
)
def test_the_order_of_rows_means_nothing(rows: list[Candidate], random: Random) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)
    late = datetime(2033, 1, 1, tzinfo=UTC)
    assert render(drafted(rows, now=late)) == render(drafted(shuffled, now=late))


def test_any_single_character_changed_is_refused() -> None:
    text = render(ordinary())
    for place, old in enumerate(text):
        for new in {chr(ord(old) ^ 1), "0", " ", "é"} - {old}:
            with pytest.raises(ConfigError):
                parse(text[:place] + new + text[place + 1 :])


def test_any_single_character_lost_or_added_is_refused() -> None:
    text = render(ordinary())
    for place in range(len(text)):
        with pytest.raises(ConfigError):
            parse(text[:place] + text[place + 1 :])
    for place in range(len(text) + 1):
        with pytest.raises(ConfigError):
            parse(text[:place] + " " + text[place:])


def test_a_plan_cut_anywhere_is_refused() -> None:
    text = render(ordinary())
    for place in range(len(text)):
        with pytest.raises(ConfigError):
            parse(text[:place])


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('"version": 1', '"version": 2', r"version 2, this program reads version 1"),
        ('"version": 1', '"version": true', r"has no version"),
        ('"version": 1', '"version": "1"', r"has no version"),
        ('"recording_id": "10"', '"recording_id": "1"', r"lists recording 1 of account a twice"),
        ('"recording_id": "10"', '"recording_id": 10', r"items\[1\]\.recording_id: must be text"),
        ('"size": 400000', '"size": "400000"', r"items\[0\]\.size: must be a whole number"),
        ('"size": 400000', '"size": true', r"items\[0\]\.size: must be a whole number"),
        ('"size": 400000', '"size": -1', r"items\[0\]\.size: must be a whole number"),
        ('"sha256": "aaaa', '"sha256": "AAAA', r"items\[0\]\.sha256: must be a SHA-256"),
        ('"policy": "month"', '"policy": null', r"items\[0\]\.policy: must be text"),
        ('"action": "delete_at_source"', '"action": "keep"', r"items\[0\]\.action: a plan holds only delete_at_source"),
        ('"reason": "due"', '"reason": "not_yet"', r"items\[0\]\.action: a plan holds only delete_at_source"),
        (
            '"not_before": "2025-02-01T00:10:00Z"',
            '"not_before": "2025-02-01"',
            r"items\[0\]\.not_before: must be a mom",
        ),
        ('"created_at": "2025-06-01T00:00:00Z"', '"created_at": "today"', r"created_at: must be a moment"),
        ('"not_verified": 1', '"mood": 1', r"kept: 'mood' is not a reason"),
        ('"kept": {', '"kept": [], "more": {', r"kept: must hold keys and values"),
        ('"items": [', '"items": {}, "rows": [', r"items: must be a list"),
        ('"delete": 6', '"delete": 5', r"totals, order or layout differ"),
        ('"account": "a", "recording_id": "1",', '"account": "zz", "recording_id": "1",', r"order or layout differ"),
        ('"size": 400000', '"size": 400000, "caller": "x"', r"totals, order or layout differ"),
    ],
)
def test_names_what_is_wrong_with_a_plan_of_other_making(old: str, new: str, problem: str) -> None:
    text = render(ordinary())
    assert old in text
    with pytest.raises(ConfigError, match=problem) as refused:
        parse(resealed(text.replace(old, new, 1)))
    assert refused.value.exit_code == 2


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", "null", "garbage", "[" * 100_000, '{"version": ' + "9" * 5000 + "}", '{"version": 1}', "\ud800"],
)
def test_what_is_no_plan_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse(text)


def test_the_same_recording_twice_is_planned_once() -> None:
    plan = drafted([Sample().candidate(), Sample().candidate()])
    assert len(plan.items) == 1


def test_moments_are_written_in_utc() -> None:
    item = PlanItem(
        account="acme",
        recording_id="1",
        action=Action.DELETE_AT_SOURCE,
        reason=Reason.DUE,
        policy="month",
        not_before=datetime.fromisoformat("2025-02-01T05:30:00+05:30"),
        sha256="a" * 64,
        size=1,
        ended_at=NOW - timedelta(days=60),
    )
    plan = Plan(created_at=NOW, policies_digest="b" * 64, items=(item,), kept={})
    assert '"not_before": "2025-02-01T00:00:00Z"' in render(plan)
