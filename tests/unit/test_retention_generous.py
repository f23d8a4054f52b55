"""More generous terms never destroy more. More generous is, precisely, one of these changes:

a longer floor; a longer source wait, or never; a ceiling taken away, or set to never; a ceiling that applies set to a
later time; a lock, or a stronger one; a policy more that has only a floor, with or without a lock, or only says never;
a hold more; an earlier set more that still binds, or one that binds for longer.

Not in the list, by design: a ceiling below the floor does not apply, so a later one that is no longer below it comes
into force. Nor is a policy that permits a deletion where no policy did.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.core.decision import Action, Candidate, Reason
from archiver.core.duration import Duration, add
from archiver.core.match import Fit
from archiver.core.model import LockMode, State
from archiver.core.policy import NEVER, Policy
from archiver.core.retention import Terms, ask, counted_from, decide, decide_archive, decide_erasure
from archiver.core.rulebook import Rulebook
from tests.support.retention import NOW, Sample, policy, terms
from tests.support.retention_drawn import candidates, earlier, holds, matches, moments, tried, waits
from tests.support.retention_drawn import terms as any_terms

Change = Callable[[st.DataObject, Candidate, Terms], Terms]
PolicyChange = Callable[[st.DataObject, Policy], Policy]
FURTHER = "zz-further"


def longer(data: st.DataObject, wait: Duration) -> Duration:
    more = data.draw(waits())
    return Duration(
        years=wait.years + more.years,
        months=wait.months + more.months,
        days=wait.days + more.days,
        seconds=wait.seconds + more.seconds,
    )


def longer_floor(data: st.DataObject, one: Policy) -> Policy:
    return replace(one, keep_at_least=longer(data, one.keep_at_least or Duration()))


def longer_source_wait(data: st.DataObject, one: Policy) -> Policy:
    wait = one.source_delete_after
    return replace(one, source_delete_after=longer(data, wait)) if isinstance(wait, Duration) else one


def never_at_source(data: st.DataObject, one: Policy) -> Policy:
    return replace(one, source_delete_after=NEVER)


def no_ceiling(data: st.DataObject, one: Policy) -> Policy:
    return one if one.delete_after == NEVER else replace(one, delete_after=None)


def never_in_archive(data: st.DataObject, one: Policy) -> Policy:
    return replace(one, delete_after=NEVER)


def stronger_lock(data: st.DataObject, one: Policy) -> Policy:
    return replace(one, lock=LockMode.COMPLIANCE if one.lock else LockMode.GOVERNANCE)


def of_one(change: PolicyChange) -> Change:
    """The change made to any one of the policies in force."""

    def changed(data: st.DataObject, candidate: Candidate, before: Terms) -> Terms:
        policies = list(before.rules.policies.policies)
        place = data.draw(st.integers(0, len(policies) - 1))
        return with_policies(before, *policies[:place], change(data, policies[place]), *policies[place + 1 :])

    return changed


def later_ceilings_that_apply(data: st.DataObject, candidate: Candidate, before: Terms) -> Terms:
    """All policies' whose ceiling is not below the floor of this recording."""
    policies, floor = before.rules.policies, ask(candidate, before, NOW).dates.floor

    def applies(one: Policy) -> bool:
        if not isinstance(one.delete_after, Duration) or one.match.fits(candidate) is not Fit.YES:
            return False
        return floor is None or add(counted_from(candidate), one.delete_after, policies.zone) >= floor.at

    def later(one: Policy) -> Policy:
        wait = one.delete_after
        return replace(one, delete_after=longer(data, wait)) if applies(one) and isinstance(wait, Duration) else one

    return with_policies(before, *map(later, policies.policies))


def further_floor(data: st.DataObject, candidate: Candidate, before: Terms) -> Terms:
    lock = data.draw(st.sampled_from([None, *LockMode]))
    more = Policy(name=FURTHER, match=data.draw(matches()), keep_at_least=data.draw(waits()), lock=lock, archive=True)
    return with_policies(before, *before.rules.policies.policies, more)


def further_never(data: st.DataObject, candidate: Candidate, before: Terms) -> Terms:
    words = [data.draw(st.sampled_from([None, NEVER])) for _ in range(2)]
    more = Policy(name=FURTHER, match=data.draw(matches()), source_delete_after=words[0], delete_after=words[1])  # type: ignore[arg-type]
    return with_policies(before, *before.rules.policies.policies, more)


def further_hold(data: st.DataObject, candidate: Candidate, before: Terms) -> Terms:
    return replace(before, holds=(*before.holds, data.draw(holds())))


def further_earlier_set(data: st.DataObject, candidate: Candidate, before: Terms) -> Terms:
    known = before.earlier.get(candidate.account, ())
    return replace(before, earlier={**before.earlier, candidate.account: (*known, data.draw(earlier()))})


def longer_cooling_off(data: st.DataObject, candidate: Candidate, before: Terms) -> Terms:
    more = data.draw(st.timedeltas(timedelta(0), timedelta(days=2000)))
    known = (replace(one, until=one.until + more) for one in before.earlier.get(candidate.account, ()))
    return replace(before, earlier={**before.earlier, candidate.account: tuple(known)})


def with_policies(before: Terms, *policies: Policy) -> Terms:
    return replace(before, rules=Rulebook(replace(before.rules.policies, policies=policies)))


ONE_BY_ONE = (longer_floor, longer_source_wait, never_at_source, no_ceiling, never_in_archive, stronger_lock)
CHANGES = {
    **{change.__name__: of_one(change) for change in ONE_BY_ONE},
    **{
        change.__name__: change
        for change in (
            later_ceilings_that_apply,
            further_floor,
            further_never,
            further_hold,
            further_earlier_set,
            longer_cooling_off,
        )
    },
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@tried(60)
@given(candidates(sound=True), any_terms(), moments(), st.data())
def test_more_generous_terms_never_destroy_more(
    change: Change, candidate: Candidate, before: Terms, now: datetime, data: st.DataObject
) -> None:
    after = change(data, candidate, before)
    for side in (decide, decide_archive, decide_erasure):
        new, old = side(candidate, after, now), side(candidate, before, now)
        if new.action is not Action.KEEP:
            assert old.action is new.action
            assert new.not_before is None or old.not_before is None or new.not_before >= old.not_before


def test_a_ceiling_raised_above_the_floor_comes_into_force() -> None:
    """By design: it is why the list above says that a ceiling has to apply."""
    keeping, low = policy("keeping", floor="60d"), policy("low", ceiling="30d")
    sample = Sample(state=State.PURGED).candidate()
    assert decide_archive(sample, terms(keeping, low), NOW).reason is Reason.CEILING_BELOW_FLOOR
    assert decide_archive(sample, terms(keeping, policy("low", ceiling="90d")), NOW).reason is Reason.DUE
