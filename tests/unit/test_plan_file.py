"""The plan's file: readable, always the same for the same plan, and trusted only unaltered."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.core.decision import Action, Candidate, Reason
from archiver.core.match import Match
from archiver.core.model import State
from archiver.core.plan import ARCHIVE, SOURCE, Draft, Plan, PlanItem, erasure
from archiver.core.plan_file import digest_of, parse, render
from archiver.core.policy import PolicySet
from archiver.core.retention import Terms, decide_erasure
from archiver.errors import ConfigError
from tests.support.retention import NOW, Sample, policy, terms
from tests.support.retention_drawn import candidates, tried
from tests.support.retention_drawn import terms as any_terms

MONTH = policy("month", source="1mo", ceiling="2mo")


def drafted(*rows: Candidate, under: Terms | None = None, now: datetime = NOW) -> Plan:
    draft = Draft(terms=under or terms(MONTH), now=now)
    for row in rows:
        draft.consider(row)
    return draft.plan(author="Anna B")


def ordinary() -> Plan:
    both = [Sample(recording_id=str(number), account=name) for number in (2, 10, 1) for name in ("b", "a")]
    gone = [Sample(recording_id="7", account="a", state=State.PURGED), Sample(recording_id="9", state=State.STORED)]
    return drafted(*(sample.candidate() for sample in (*both, *gone)))


def resealed(text: str) -> str:
    """The text with a fitting digest, as someone who knows the format could write it."""
    body = text.rpartition('"digest": "')[0]
    return f'{body}"digest": "{hashlib.sha256(body.encode()).hexdigest()}"\n}}\n'


def test_looks_as_documented() -> None:
    late = Sample(recording_id="42", ended_at=datetime(2025, 3, 31, 9, 30, tzinfo=UTC))
    gone = Sample(recording_id="41", state=State.PURGED)
    text = render(drafted(late.candidate(), gone.candidate(), Sample(state=State.STORED).candidate()))
    document = json.loads(text)
    digest = document.pop("digest")
    copy = {"reason": "due", "policy": "month", "sha256": "a" * 64, "size": 400_000}
    assert document == {
        "version": 2,
        "created_at": "2025-06-01T00:00:00Z",
        "expires_at": "2025-06-08T00:00:00Z",
        "author": "Anna B",
        "policies_digest": terms(MONTH).rules.policies.digest,
        "totals": {
            "source": {"delete": 1, "bytes": 400_000, "keep": 2},
            "archive": {"delete": 1, "bytes": 400_000, "keep": 2},
        },
        "kept": {
            "source": {"already_purged": 1, "not_verified": 1},
            "archive": {"not_verified": 1, "still_at_source": 1},
        },
        "items": [
            {"account": "acme", "recording_id": "41", "action": "delete_in_archive",
             "not_before": "2025-03-01T00:10:00Z", "ended_at": "2025-01-01T00:10:00Z", **copy},
            {"account": "acme", "recording_id": "42", "action": "delete_at_source",
             "not_before": "2025-05-01T09:30:00Z", "ended_at": "2025-03-31T09:30:00Z", **copy},
        ],
    }  # fmt: skip
    assert digest == digest_of(text) == hashlib.sha256(text[: text.index('"digest"')].encode()).hexdigest()
    assert len(text.splitlines()) == 8 + 2 + 4  # one deletion to a line
    assert text.isascii()


def test_never_holds_who_spoke() -> None:
    told = Match(extensions=("919812345678",), callers=("+4420*",), cnam=("ANNA*",))
    sample = Sample(extensions=("919812345678",), caller_id="+442079460000", dnis="15550147", cnam="Anna Baker")
    text = render(drafted(sample.candidate(), under=terms(policy("p", match=told, source="1d"))))
    assert len(parse(text).items) == 1
    for secret in ("919812345678", "4420", "15550147", "ANNA", "Baker"):
        assert secret not in text


@tried(40)
@given(st.lists(candidates(), max_size=8, unique_by=lambda row: (row.account, row.recording_id)), any_terms())
def test_reads_back_what_was_written(rows: list[Candidate], under: Terms) -> None:
    plan = drafted(*rows, under=under, now=datetime(2033, 1, 1, 0, 0, 0, 123, tzinfo=UTC))
    assert parse(render(plan)) == plan


@tried(40)
@given(st.lists(candidates(sound=True), max_size=5, unique_by=lambda row: (row.account, row.recording_id)), any_terms())
def test_an_erasure_reads_back_too(rows: list[Candidate], under: Terms) -> None:
    decided = ((row, decide_erasure(row, under, NOW)) for row in rows)
    plan = erasure([pair for pair in decided if pair[1].action is Action.ERASE], under, NOW, author="Anna B")
    assert parse(render(plan)) == plan


@pytest.mark.parametrize("author", ["प्रिया शर्मा", 'A "quoted" \\ name', "李小龍", "digest"])
def test_odd_names_survive_the_file(author: str) -> None:
    plan = replace(ordinary(), author=author)
    assert parse(render(plan)).author == author


def test_any_single_character_changed_is_refused() -> None:
    text = render(drafted(Sample().candidate(), Sample(recording_id="2", state=State.PURGED).candidate()))
    for place, old in enumerate(text):
        for new in {chr(ord(old) ^ 1), "0", " ", "é"} - {old}:
            with pytest.raises(ConfigError):
                parse(text[:place] + new + text[place + 1 :])


def test_any_single_character_lost_or_added_and_any_cut_is_refused() -> None:
    text = render(drafted(Sample().candidate()))
    for place in range(len(text)):
        for altered in (text[:place] + text[place + 1 :], text[:place] + " " + text[place:], text[:place]):
            with pytest.raises(ConfigError):
                parse(altered)
    with pytest.raises(ConfigError):
        parse(text + " ")


def test_what_was_altered_is_said_to_be_so() -> None:
    with pytest.raises(ConfigError, match="this plan was altered, or cut, after it was written") as refused:
        parse(render(ordinary()).replace('"recording_id": "10"', '"recording_id": "11"', 1))
    assert refused.value.exit_code == 2


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('"version": 2', '"version": 1', r"version 1, this program reads version 2: plan again"),
        ('"version": 2', '"version": true', r"has no version"),
        ('"version": 2', '"version": "2"', r"has no version"),
        ('"recording_id": "10"', '"recording_id": "1"', r"lists recording 1 of account a twice"),
        ('"recording_id": "10"', '"recording_id": 10', r"items\[1\]\.recording_id: must be text"),
        ('"size": 400000', '"size": "400000"', r"items\[0\]\.size: must be a whole number"),
        ('"size": 400000', '"size": true', r"items\[0\]\.size: must be a whole number"),
        ('"size": 400000', '"size": -1', r"items\[0\]\.size: must be a whole number"),
        ('"sha256": "aaaa', '"sha256": "AAAA', r"items\[0\]\.sha256: must be a SHA-256"),
        ('"policy": "month"', '"policy": null', r"items\[0\]\.policy: must be text"),
        ('"action": "delete_at_source"', '"action": "keep"', r"items\[0\]\.action: a plan holds only deletions"),
        ('"action": "delete_at_source"', '"action": "erase"', r"items\[0\]\.action: a plan holds only deletions"),
        ('"action": "delete_at_source"', '"action": []', r"items\[0\]\.action: must be text"),
        ('"action": "delete_at_source"', '"action": {}', r"items\[0\]\.action: must be text"),
        ('"reason": "due"', '"reason": "not_yet"', r"items\[0\]\.action: a plan holds only deletions"),
        ('"reason": "due"', '"reason": ["due"]', r"items\[0\]\.reason: must be text"),
        ('"ended_at": "2025-01-01T00:10:00Z"', '"ended_at": "9999-12-31T23:59-10:00"', r"ended_at: must be a moment"),
        ('"not_before": "2025-02-01T00:10:00Z"', '"not_before": "2025-02-01"', r"items\[0\]\.not_before: must be"),
        ('"not_before": "2025-02-01T00:10:00Z"', '"not_before": null', r"items\[0\]\.not_before: must be text"),
        ('"created_at": "2025-06-01T00:00:00Z"', '"created_at": "today"', r"created_at: must be a moment"),
        ('"expires_at": "2025-06-08T00:00:00Z"', '"expires_at": 9', r"expires_at: must be text"),
        ('"author": "Anna B"', '"author": ""', r"author: must be text"),
        ('"author": "Anna B"', '"author": " "', r"author must name somebody"),
        ('"author": "Anna B"', '"author": "Anna  B"', r"totals, order or layout differ"),
        ('"author": "Anna B"', '"author": "Anna\\u202e"', r"author: a name has at most"),
        ('"not_verified": 1', '"mood": 1', r"kept\.source: 'mood' is not a reason"),
        ('"not_verified": 1', '"not_verified": -1', r"kept\.source\.not_verified: must be a whole number"),
        ('"kept": {', '"kept": [], "more": {', r"kept: must hold keys and values"),
        ('"archive": {"not_verified"', '"attic": {"not_verified"', r"kept\.archive: must hold keys and values"),
        ('"items": [', '"items": {}, "rows": [', r"items: must be a list"),
        ('"items": [', '"items": [7,', r"items\[0\]: must hold keys and values"),
        ('"delete": 6', '"delete": 5', r"totals, order or layout differ"),
        ('"account": "a", "recording_id": "1",', '"account": "zz", "recording_id": "1",', r"order or layout differ"),
        ('"size": 400000', '"size": 400000, "caller": "x"', r"totals, order or layout differ"),
        ('"size": 400000', '"size": 400000, "size": 400000', r"totals, order or layout differ"),
        ('"version": 2', '"version":  2', r"totals, order or layout differ"),
    ],
)  # fmt: skip
def test_names_what_is_wrong_with_a_plan_of_other_making(old: str, new: str, problem: str) -> None:
    text = render(ordinary())
    assert old in text
    with pytest.raises(ConfigError, match=problem) as refused:
        parse(resealed(text.replace(old, new, 1)))
    assert refused.value.exit_code == 2


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", "null", "garbage", "[" * 100_000, '{"version": ' + "9" * 5000 + "}", '{"version": 2}', "\ud800",
     '{"version": 2, "digest": "x"}', '{"version": NaN}', "\x00"],
)  # fmt: skip
def test_what_is_no_plan_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse(text)
    if text:
        with pytest.raises(ConfigError):
            parse(resealed(text + '"digest": "') if "\ud800" not in text else text)


def anything() -> st.SearchStrategy[object]:
    plain = st.none() | st.booleans() | st.integers() | st.text()
    return plain | st.lists(plain, max_size=2) | st.dictionaries(st.text(), plain, max_size=2)


@tried(40)
@given(anything(), st.data())
def test_whatever_stands_in_a_resealed_plan_the_answer_is_a_plain_refusal(value: object, data: st.DataObject) -> None:
    document = json.loads(render(ordinary()))
    row = data.draw(st.sampled_from([document, document["items"][0], document["kept"], document["kept"]["source"]]))
    key = data.draw(st.sampled_from(sorted(row)))
    if row[key] != value or isinstance(value, bool):
        row[key] = value
        with pytest.raises(ConfigError):
            parse(resealed(json.dumps(document)))


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
    plan = replace(drafted(), items=(item,))
    assert '"not_before": "2025-02-01T00:00:00Z"' in render(plan)
    assert parse(render(plan)).items[0].not_before == item.not_before


def test_the_same_recording_may_go_on_both_sides() -> None:
    plan = drafted(Sample(at_source=False).candidate())
    assert len(parse(render(plan)).items) == 2
    assert plan.kept == {SOURCE: {}, ARCHIVE: {}}
    assert render(replace(plan, items=plan.items[::-1])) == render(plan)


def test_no_policies_plan_nothing_and_that_reads_back() -> None:
    plan = drafted(under=Terms.of(PolicySet()))
    assert parse(render(plan)) == plan
