"""What a policies file may not say: each with its place, the policy's name and a clear word, and all at once."""

from __future__ import annotations

import re

import pytest

from archiver.core.policy import PolicySet
from archiver.errors import ConfigError
from archiver.policies import parse_policies


def problems(text: str, accounts: tuple[str, ...] | None = None) -> dict[str, str]:
    with pytest.raises(ConfigError) as refused:
        parse_policies(text, "policies.yaml", accounts=accounts)
    assert refused.value.exit_code == 2
    assert str(refused.value).startswith("policies.yaml")
    return dict(refused.value.problems)


def one(policy: str) -> str:
    return f"policies: [{{name: desk, {policy}}}]"


def match(rule: str) -> str:
    return one(f"archive: true, match: {{{rule}}}")


def archive(rules: str) -> str:
    return one(f"archive: {{{rules}}}")


def refused(text: str, path: str, message: str) -> None:
    found = problems(text)
    assert list(found) == [path]
    assert re.search(message, found[path]), found[path]


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        ("polices: []", "polices", r"unknown key; did you mean 'policies'\?"),
        ("qqq: 1", "qqq", r"unknown key \(known here: deletion, policies, zone\)"),
        ("[]", "(file)", "must hold keys and values"),
        ("policies:", "policies", "must be a list"),
        ("policies: [{}]", "policies[0].name", "is required"),
        ("deletion: {mode: automatc}", "deletion.mode", "disabled, approve or automatic; did you mean 'automatic'"),
        ("deletion: {mode: off}", "deletion.mode", "must be disabled, approve or automatic"),
        ("deletion: {mode: Approve}", "deletion.mode", "did you mean 'approve'"),
        ("deletion: {archive: {mode: on}}", "deletion.archive.mode", "must be disabled, approve or automatic"),
        ("deletion: {archive: {mod: approve}}", "deletion.archive.mod", "did you mean 'mode'"),
        ("deletion: {archive: {archive: {}}}", "deletion.archive.archive", "unknown key"),
        ("deletion: {max_percent: 101}", "deletion.max_percent", "must be a number from 0 to 100"),
        ("deletion: {max_percent: -0.1}", "deletion.max_percent", "must be a number from 0 to 100"),
        ("deletion: {max_percent: .nan}", "deletion.max_percent", "must be a number from 0 to 100"),
        ("deletion: {max_percent: true}", "deletion.max_percent", "must be a number from 0 to 100"),
        ("deletion: {archive: {max_percent: '5'}}", "deletion.archive.max_percent", "must be a number from 0 to 100"),
        ("deletion: {max_per_run: -1}", "deletion.max_per_run", "must be greater than or equal to 0"),
        ("deletion: {archive: {max_per_run: 5.0}}", "deletion.archive.max_per_run", "must be a whole number"),
        ("deletion: {max_per_run: true}", "deletion.max_per_run", "must be a whole number"),
        ("deletion: {cooling_off: 1mo}", "deletion.cooling_off", "1mo has no fixed length"),
        ("deletion: {cooling_off: -1d}", "deletion.cooling_off", "not a duration"),
        ("deletion: {cooling_off: never}", "deletion.cooling_off", "not a duration"),
        ("deletion: {cooling_off: 36526d}", "deletion.cooling_off", "longer than 100 years"),
        ("deletion: {plan_valid: 0s}", "deletion.plan_valid", "0 would make every plan worthless"),
        ("deletion: {plan_valid: 1y}", "deletion.plan_valid", "has no fixed length"),
        ("zone: Asia/Kolkatta", "zone", r"is no time zone: .*; did you mean 'Asia/Kolkata'\?"),
        ("zone: IST", "zone", "is no time zone: write it like Asia/Kolkata or UTC"),
        ("zone: +05:30", "zone", "is no time zone"),
        ("zone: 5", "zone", "is no time zone"),
        ("zone: ../UTC", "zone", "is no time zone"),
        ("zone:", "zone", "is no time zone"),
    ],
)  # fmt: skip
def test_the_file_itself(text: str, path: str, message: str) -> None:
    refused(text, path, message)


@pytest.mark.parametrize(
    "name", ["a b", "", "-a", ".a", "a/b", "a" * 101, "Ünal", "a\u200bb", "प्रिया", "a\\nb", "a:b", "'"]
)
def test_names_with_odd_characters(name: str) -> None:
    message = "must be up to 100 letters, digits, - _ or . and begin with a letter or digit"
    text = f'policies: [{{name: "{name}", archive: true}}]'
    found = problems(text)
    assert list(found) == ["policies[0].name"]
    assert message in found["policies[0].name"]


@pytest.mark.parametrize("name", ["a", "9", "a.b-c_D", "a" * 100])
def test_names_with_plain_ones(name: str) -> None:
    assert parse_policies(f'policies: [{{name: "{name}", archive: true}}]').policies[0].name == name


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        (one("match: {}"), "policies[0]", "policy 'desk': says nothing: give it source or archive"),
        ("policies: [{name: desk}]", "policies[0]", "policy 'desk': says nothing"),
        ("policies: [{name: 12, archive: true}]", "policies[0].name", "must be text: put it in quotes"),
        (one("archive: true, match:"), "policies[0].match", "policy 'desk': must hold keys and values"),
        (match("extension: ['1']"), "policies[0].match.extension", "did you mean 'extensions'"),
        (match("extensions: [123]"), "policies[0].match.extensions[0]", "must be text: put it in quotes"),
        (match("extensions: '21*'"), "policies[0].match.extensions", "must be a list"),
        (match("extensions: ['2 1']"), "policies[0].match.extensions[0]", "without spaces"),
        (match("extensions: ['']"), "policies[0].match.extensions[0]", "without spaces"),
        (match("rule_ids: [7]"), "policies[0].match.rule_ids[0]", "must be text: put it in quotes"),
        (match("callers: ['+']"), "policies[0].match.callers[0]", r"must hold digits, or \* or \?"),
        (match("callers: ['']"), "policies[0].match.callers[0]", r"must hold digits, or \* or \?"),
        (match("dnis: [18005550100]"), "policies[0].match.dnis[0]", "must be text: put it in quotes"),
        (match('dnis: ["1\\n2"]'), "policies[0].match.dnis[0]", "1 to 100 characters on one line"),
        (match("cnam: [' ']"), "policies[0].match.cnam[0]", "1 to 100 characters on one line"),
        (match(f"cnam: ['{'a' * 101}']"), "policies[0].match.cnam[0]", "1 to 100 characters on one line"),
        (match("numbers: ['1']"), "policies[0].match.numbers", "unknown key"),
        (match("directions: [IN]"), "policies[0].match.directions[0]", "must be 'INBOUND', 'OUTBOUND' or"),
        (match("directions: [inbound]"), "policies[0].match.directions[0]", "must be 'INBOUND', 'OUTBOUND' or"),
        (match("min_duration: 1mo"), "policies[0].match.min_duration", "has no fixed length"),
        (match("max_duration: -1s"), "policies[0].match.max_duration", "not a duration"),
        (match("min_duration: 5m, max_duration: 60s"), "policies[0].match", "1m is shorter than min_duration 5m"),
    ],
)
def test_a_policy_and_what_it_matches(text: str, path: str, message: str) -> None:
    refused(text, path, message)


@pytest.mark.parametrize("rule", ["accounts", "extensions", "directions", "callers", "dnis", "cnam", "rule_ids"])
def test_empty_lists(rule: str) -> None:
    """One reader takes it for none, the next for all."""
    refused(match(f"{rule}: []"), f"policies[0].match.{rule}", "must not be empty: leave the key out if you mean all")


@pytest.mark.parametrize(
    "hours",
    ['"9-17"', '"09:00"', '"09:00-09:00"', '"24:00-06:00"', '"25:00-06:00"', '"09:60-10:00"', '"09:00-24:01"', "17",
     '""', '"09:00 to 17:00"', '"09:00-17:00-18:00"', "[9, 17]", '"-09:00-17:00"', '"09:00-\u0661\u0667:00"',
     '"09:00-\u0660\u0669:00"'],
)  # fmt: skip
def test_hours(hours: str) -> None:
    refused(match(f"hours: {hours}"), "policies[0].match.hours", 'must be a time of day in quotes, like "09:00-17:30"')


@pytest.mark.parametrize(
    ("dates", "path", "message"),
    [
        ("{}", "dates", "needs from, until, or both"),
        ("{from: 2025-02-01, until: 2025-01-31}", "dates", "until 2025-01-31 is before from 2025-02-01: no call fits"),
        ('{from: "2025-02-30"}', "dates.from", "must be a day alone, like 2025-03-31"),
        ('{from: "1.2.2025"}', "dates.from", "must be a day alone"),
        ("{until: 2025-01-01T00:00:00Z}", "dates.until", "must be a day alone"),
        ("{until: 2025}", "dates.until", "must be a day alone"),
        ("{since: 2025-01-01}", "dates.since", "unknown key"),
        ("2025-01-01", "dates", "must hold keys and values"),
    ],
)
def test_dates(dates: str, path: str, message: str) -> None:
    refused(match(f"dates: {dates}"), f"policies[0].match.{path}", message)


def test_a_day_that_never_was_is_refused_with_its_line() -> None:
    with pytest.raises(ConfigError, match=r"policies\.yaml:1:\d+: this looks like a date or a number, but is none"):
        parse_policies(match("dates: {from: 2025-02-30}"), "policies.yaml")


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        (one("source: {}"), "source.delete_after", "is required"),
        (one("source: {delete_after: 30}"), "source.delete_after", "not a duration"),
        (one("source: {delete_after: -1d}"), "source.delete_after", "not a duration"),
        (one("source: {delete_after: Never}"), "source.delete_after", "not a duration"),
        (one("source: {delete_after: 101y}"), "source.delete_after", "longer than 100 years"),
        (one("source: {delete_after: 36526d}"), "source.delete_after", "longer than 100 years"),
        (archive("delete_after: 0d"), "archive.delete_after", "0 would keep no copy at all"),
        (archive("keep_at_least: 0s"), "archive.keep_at_least", "0 would keep no copy at all"),
        (archive("delete_after: -30d"), "archive.delete_after", "not a duration"),
        (archive("delete_after: ''"), "archive.delete_after", "not a duration"),
        (archive("delete_after: 100y1d"), "archive.delete_after", "longer than 100 years"),
        (archive("delete_after: 999999999y"), "archive.delete_after", "longer than 100 years"),
        (archive("keep_at_least: 1201mo"), "archive.keep_at_least", "longer than 100 years"),
        (archive("keep_at_least: never"), "archive.keep_at_least", "not a duration"),
        (archive("keep_at_leest: 5y"), "archive.keep_at_leest", "did you mean 'keep_at_least'"),
        (archive("keep_at_least: 8y, delete_after: 5y"), "archive",
         "policy 'desk': delete_after 5y is, or can be, shorter than keep_at_least 8y"),
        (archive("keep_at_least: 1y, delete_after: 365d"), "archive", "can be, shorter than"),
        (archive("keep_at_least: 1mo, delete_after: 30d"), "archive", "can be, shorter than"),
        (archive("lock: governance"), "archive", "lock needs keep_at_least: a lock is set until the floor"),
        (archive("lock: governance, delete_after: 5y"), "archive", "lock needs keep_at_least"),
        (archive("lock: complience, keep_at_least: 1y"), "archive.lock",
         "must be governance or compliance; did you mean 'compliance'"),
        (archive("lock: true, keep_at_least: 1y"), "archive.lock", "must be governance or compliance"),
        (archive("storage_class: GLACIER"), "archive.storage_class", "must be restored before it can be read"),
        (archive("storage_class: DEEP_ARCHIVE"), "archive.storage_class", "must be restored before it can be read"),
        (archive("storage_class: standard"), "archive.storage_class", "must be one of STANDARD, STANDARD_IA"),
        (archive("storage_class: 1"), "archive.storage_class", "must be one of STANDARD"),
        (one("archive: maybe"), "archive", "must hold keys and values"),
        (one("archive: [1]"), "archive", "must hold keys and values"),
    ],
)  # fmt: skip
def test_source_and_archive(text: str, path: str, message: str) -> None:
    refused(text, f"policies[0].{path}", message)


def test_only_a_recording_with_a_copy_may_be_deleted_at_the_source() -> None:
    refused(one("archive: false, source: {delete_after: 1d}"), "policies[0]", "policy 'desk': .* exclude each other")


def test_two_policies_that_contradict_are_named_both() -> None:
    long, short = "{name: long, archive: {keep_at_least: 5y}}", "{name: short, archive: {delete_after: 1y}}"
    for place, text in ((0, f"policies: [{long}, {short}]"), (1, f"policies: [{short}, {long}]")):
        refused(text, f"policies[{place}]", "^policy 'long': contradicts policy 'short': .*at least 5y.* after 1y")
    classes = (
        "policies: [{name: a, archive: {storage_class: STANDARD}}, {name: b, archive: {storage_class: STANDARD_IA}}]"
    )
    refused(classes, "policies[1]", "^policy 'b': contradicts policy 'a': .*STANDARD_IA.*STANDARD")


def test_contradictions_are_looked_for_only_in_a_file_that_can_be_read() -> None:
    text = "policies: [{name: a, archive: {keep_at_least: 5y}}, {name: b, archive: {delete_after: 1x}}]"
    assert set(problems(text)) == {"policies[1].archive.delete_after"}


def test_names_that_stand_twice() -> None:
    text = "policies: [{name: a, archive: true}, {name: b, archive: true}, {name: a, source: {delete_after: 1d}}]"
    refused(text, "policies[2].name", "policy 'a': another policy above has the same name")


def test_all_problems_come_at_once() -> None:
    text = """
zone: Mars/Olympus
deletion: {mode: sometimes, max_percent: 200, archive: {max_per_run: -1}}
policies:
  - {name: a, match: {accounts: [acem]}, source: {delete_after: soon}}
  - {name: a, archive: {keep_at_least: 8y, delete_after: 5y}}
  - {name: c}
"""
    assert set(problems(text, accounts=("acme",))) == {
        "zone",
        "deletion.mode",
        "deletion.max_percent",
        "deletion.archive.max_per_run",
        "policies[0].source.delete_after",
        "policies[0].match.accounts[0]",
        "policies[1].archive",
        "policies[1].name",
        "policies[2]",
    }


def test_an_account_that_does_not_exist_is_refused_where_accounts_are_known() -> None:
    text = match("accounts: [acem]")
    assert parse_policies(text).policies[0].match.accounts == ("acem",)
    expected = "policy 'desk': no account has the name 'acem'; did you mean 'acme'?"
    assert problems(text, accounts=("acme", "zenith")) == {"policies[0].match.accounts[0]": expected}


@pytest.mark.parametrize(
    "text",
    [
        one("source: {delete_after: 0d}"),
        one("source: {delete_after: 100y}"),
        archive("keep_at_least: 1y, delete_after: 12mo"),
        archive("keep_at_least: 1y, delete_after: 366d"),
        archive("keep_at_least: 99y, delete_after: never"),
        archive("keep_at_least: 1y, lock: governance"),
        archive("storage_class: GLACIER_IR"),
        archive(""),
        one("archive: false, source: {delete_after: never}"),
        match('hours: "00:00-24:00", dates: {from: 2024-02-29, until: 2024-02-29}'),
        match('hours: "09:00 - 17:30", callers: ["*", "(?)"], cnam: ["Émile *"]'),
        "deletion: {max_per_run: 0, max_percent: 0}",
        "deletion: {max_percent: 100, cooling_off: 0d, plan_valid: 1s, archive: {mode: disabled}}",
        "deletion: {mode: approve, archive: {mode: automatic}}",
        "policies: [{name: a, archive: {keep_at_least: 5y, delete_after: 6y}}, {name: b, archive: {delete_after: 1y}}]",
    ],
)
def test_the_edges_are_taken(text: str) -> None:
    assert isinstance(parse_policies(text), PolicySet)
