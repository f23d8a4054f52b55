"""At which steps passes are killed: single crashes, and rows of crashes in one world."""

from __future__ import annotations

from dataclasses import dataclass

from tests.support import crash_exports as fetched
from tests.support import crash_retention as kept
from tests.support import crash_scenarios as made
from tests.support.crash_lab import Scenario
from tests.support.crash_wire import Point


@dataclass(frozen=True)
class Case:
    """Passes of the scenario that die, each at the next of the points, maybe after an earlier one died at `first`."""

    scenario: Scenario
    points: tuple[Point, ...]
    first: tuple[Point, ...] = ()

    def __str__(self) -> str:
        """For the names of tests."""
        told = list(map(str, [*self.first, *self.points]))
        return f"{self.scenario.name}: " + (", then ".join(told) if len(told) < 3 else f"{told[0]} … {told[-1]}")


def points(stage: str, calls: str) -> tuple[Point, ...]:
    """Read points, separated by semicolons: after a call; `<` before it; `#2` at the second of its kind."""
    found = []
    for call in calls.split(";"):
        name, _, count = call.partition("#")
        step = name.replace("<", "").strip()
        found.append(Point(f"{stage} {step}", "before" if "<" in name else "after", int(count or 1)))
    return tuple(found)


def each(scenario: Scenario, stage: str, calls: str, *, first: tuple[Point, ...] = ()) -> list[Case]:
    """Die at each of some calls of a stage, each in a world of its own."""
    return [Case(scenario, (point,), first) for point in points(stage, calls)]


def in_a_row(scenario: Scenario, stage: str, calls: str, *, first: tuple[Point, ...] = ()) -> list[Case]:
    """Die at one after the other, pass after pass in one world: for calls that leave nothing that a pass goes on from.

    Or next to nothing: a later point lies further on than an earlier one, so each pass comes to it.
    """
    return [Case(scenario, points(stage, calls), first)]


def died(step: str) -> tuple[Point, ...]:
    """An earlier pass died after this step."""
    return (Point(step, "after"),)


MARKED, DELETED = died("purge catalogue.advance purging"), died("purge source.delete")
HALF, TOLD = died("expire locks.remove audio"), died("expire store.create tombstone")
UPLOADED = died("transfer upload.complete")

# Only steps touch the world outside, one at a time: just after one is the same moment as just before the next. So
# `<` stands only where no step that comes before is among those that are crashed after.
DISCOVER = [
    *in_a_row(made.MAIN, "discover", "<ledger.open_account; ledger.open_account; source.list_page; ledger.record_page"),
    *in_a_row(made.MAIN, "discover", "<ledger.record_malformed; ledger.record_malformed; ledger.accept_slice #2"),
    *each(made.MAIN, "discover", "ledger.record_page #2; ledger.accept_slice"),
    *each(made.SHORT, "discover", "ledger.record_page #10; ledger.record_gap; ledger.accept_slice #3"),
    *in_a_row(made.SHORT, "discover", "<ledger.record_gap; ledger.record_gap"),
    *in_a_row(made.GONE, "discover", "<ledger.expected; ledger.expected; <ledger.lost; ledger.lost; ledger.due_days"),
    *each(made.GONE, "discover", "ledger.mark_absent; ledger.conclude"),
    *in_a_row(made.COUNTED, "discover", "<ledger.claims; ledger.claims"),
    *each(made.SHRUNKEN, "discover", "ledger.record_gap; ledger.conclude"),
]
TRANSFER = [
    *in_a_row(made.FEW, "transfer", "catalogue.hand_back; catalogue.requeue_failed; catalogue.requeue_excluded"),
    *in_a_row(made.FEW, "transfer", "catalogue.claim; source.download; body.next; <store.create audio"),
    *in_a_row(made.FEW, "transfer", "store.create audio; store.create sidecar; catalogue.advance stored"),
    *each(made.FEW, "transfer", "store.create audio; store.size audio; source.download, leaving; store.create sidecar"),
    *each(made.FEW, "transfer", "catalogue.advance stored; catalogue.claim #2; <catalogue.hand_back #2"),
    *each(made.FEW, "transfer", "catalogue.hand_back #2"),
    *in_a_row(made.MAIN, "transfer", "<store.readback_fixity audio; store.readback_fixity audio"),
    *in_a_row(made.MAIN, "transfer", "<controls.terms; controls.terms; catalogue.advance excluded"),
    *each(made.MAIN, "transfer", "<catalogue.advance quarantined"),
    *in_a_row(made.MAIN, "transfer", "catalogue.advance quarantined; <catalogue.advance discovered"),
    *each(made.MAIN, "transfer", "catalogue.advance discovered"),
    *each(made.RETURNING, "transfer", "catalogue.requeue_failed; catalogue.requeue_excluded"),
    *in_a_row(made.ENDANGERED, "transfer", "catalogue.requeue_excluded; reads.count_endangered; catalogue.claim"),
    *each(made.FAILING, "transfer", "<catalogue.advance failed; catalogue.advance failed"),
    *in_a_row(made.BIG, "transfer", "<store.upload audio; store.upload audio; upload.write"),
    *in_a_row(made.BIG, "transfer", "body.next #100; upload.write #2"),
    *each(made.BIG, "transfer", "store.readback_fixity audio", first=UPLOADED),
    *each(made.BIG, "transfer", "upload.write #3; upload.complete; store.size audio; store.upload audio, leaving"),
    *each(made.ODD, "transfer", "upload.write #2; store.upload audio, leaving; upload.complete"),
    *in_a_row(made.RENAMED, "transfer", "store.readback_fixity audio; <store.read sidecar; store.read sidecar"),
    *each(made.RENAMED, "transfer", "store.replace sidecar"),
    *in_a_row(made.ADOPTED, "transfer", "<store.read sidecar; <store.stored_fixity audio; store.stored_fixity audio"),
]
EXPORTS = [
    *in_a_row(fetched.EXPORTED, "transfer", "exports.open; exports.refused_since; exports.hours; exports.usual_polls"),
    *in_a_row(fetched.EXPORTED, "transfer", "exports.ask; exports.usual_delay; <exports.close"),
    *each(fetched.EXPORTED, "transfer", "source.create; upload.write"),
    # short rows: each look at a job puts the next one off, and the world's clock stands still
    *in_a_row(
        fetched.EXPORTED, "transfer", "exports.made; <exports.polled; exports.polled; <source.retrieve; source.retrieve"
    ),
    *in_a_row(fetched.EXPORTED, "transfer", "<ledger.expected; ledger.expected; source.list_page; ledger.record_page"),
    *in_a_row(fetched.EXPORTED, "transfer", "exports.fetching; exports.listed; zip.next; exports.claim"),
    *in_a_row(fetched.EXPORTED, "transfer", "<exports.claim; store.create audio; store.create sidecar"),
    *in_a_row(fetched.EXPORTED, "transfer", "catalogue.advance stored; source.retrieve, leaving"),
    *each(fetched.EXPORTED, "transfer", "<exports.release; exports.release"),
    *in_a_row(fetched.EXPORTED, "transfer", "upload.complete; <exports.read; exports.read"),
    *in_a_row(fetched.EXPORTED, "transfer", "exports.read; ledger.record_page #2; exports.close; source.download"),
    *in_a_row(fetched.AWAITED, "transfer", "exports.fetching; catalogue.advance stored; exports.close"),
    *in_a_row(fetched.OUTDATED, "transfer", "<exports.ask_again; exports.ask_again"),
    *each(fetched.OUTDATED, "transfer", "exports.made"),
    *each(fetched.REFUSED, "transfer", "source.create; exports.close"),
    *each(fetched.MISNAMED, "transfer", "catalogue.advance quarantined"),
    *each(fetched.MISNAMED, "transfer", "<reads.entry; reads.entry"),
]
BACKFILLS = in_a_row(
    fetched.FILLED,
    "discover",
    "backfills.all; backfills.unlisted; backfills.count_waiting; ledger.record_page #2; ledger.accept_slice #2;"
    "backfills.listed; backfills.listed; backfills.listed",
)
VERIFY = [
    *in_a_row(kept.LOCKED, "verify", "<reads.entries; reads.entries; store.stored_fixity audio; store.read sidecar"),
    *in_a_row(kept.LOCKED, "verify", "controls.terms; store.facts; locks.protection audio; locks.protection sidecar"),
    *in_a_row(kept.LOCKED, "verify", "locks.lock audio; locks.lock sidecar; catalogue.note; <locks.hold audio"),
    *each(kept.LOCKED, "verify", "locks.lock audio; locks.hold audio; <locks.hold sidecar; locks.hold sidecar"),
    *each(kept.LOCKED, "verify", "catalogue.advance verified"),
    *in_a_row(made.FEW, "verify", "catalogue.advance verified; catalogue.advance verified #2"),
    *in_a_row(made.SPOILT, "verify", "<catalogue.advance quarantined; catalogue.advance quarantined"),
    *in_a_row(made.RECHECKED, "verify", "<catalogue.note; catalogue.note"),
    *in_a_row(made.RECHECKED, "verify", "<catalogue.advance purged; catalogue.advance purged"),
]
PROTECT = [
    *in_a_row(kept.PROTECTED, "protect", "<controls.terms; controls.terms; catalogue.settled; reads.held_entries"),
    *in_a_row(kept.PROTECTED, "protect", "candidates.candidates; reads.entry; store.facts; locks.protection audio"),
    *in_a_row(kept.PROTECTED, "protect", "locks.protection sidecar; locks.lock audio; locks.lock sidecar"),
    *in_a_row(kept.PROTECTED, "protect", "catalogue.note #2; <locks.hold audio; locks.hold audio; locks.hold sidecar"),
    *each(kept.PROTECTED, "protect", "locks.lock audio; catalogue.note; locks.hold audio; <catalogue.settle"),
    *each(kept.PROTECTED, "protect", "catalogue.settle"),
    *in_a_row(kept.RELEASED, "protect", "locks.hold audio; locks.hold sidecar; catalogue.note"),
]
PASS = [
    *in_a_row(made.FEW, "pass", "<controls.announce; controls.announce; <reads.count_in purging"),
    *in_a_row(made.FEW, "pass", "reads.count_in purging; <reads.count_in expiring; reads.count_in expiring"),
    *in_a_row(made.FEW, "pass", "controls.paused; controls.terms; candidates.candidates; <reads.among"),
    *in_a_row(
        fetched.PLAIN, "pass", "<exports.refused_since; exports.refused_since; exports.usual_polls; exports.open"
    ),
    *in_a_row(made.FEW, "pass", "reads.among; reads.count_at_source; <reads.count_gaps"),
    *in_a_row(kept.EXPIRING, "pass", "<reads.count_archived; reads.count_archived; reads.count_gaps"),
]
DECISIONS = [
    *in_a_row(made.FEW, "decisions", "<listing.objects; listing.objects; <store.create decision"),
    *each(kept.PROTECTED, "decisions", "store.create decision"),
]
PURGE = [
    *in_a_row(kept.LOCKED, "purge", "<reads.entries; reads.entries; reads.entry; controls.terms; controls.paused"),
    *in_a_row(kept.LOCKED, "purge", "store.stored_fixity audio; store.read sidecar; <catalogue.advance purging"),
    *in_a_row(made.FEW, "purge", "<store.facts; store.facts"),
    *in_a_row(
        kept.LOCKED, "purge", "<locks.protection audio; locks.protection audio; locks.protection sidecar; source.get"
    ),
    *each(made.FEW, "purge", "catalogue.advance purging; source.delete; catalogue.advance purged; source.delete #2"),
    *in_a_row(made.FEW, "purge", "reads.entries; source.get; store.read sidecar; source.delete", first=MARKED),
    *in_a_row(made.FEW, "purge", "source.get; source.list_page; catalogue.advance purged", first=DELETED),
    *in_a_row(made.FEW, "purge", "<reads.lines; reads.lines; store.create note"),
    *in_a_row(made.CHANGED, "purge", "<catalogue.advance verified; catalogue.advance verified"),
    *in_a_row(made.ROTTEN, "purge", "<catalogue.advance quarantined; catalogue.advance quarantined"),
]
EXPIRE = [
    *in_a_row(kept.EXPIRING, "expire", "<reads.entries; reads.entries; source.list_page; reads.entry; controls.terms"),
    *in_a_row(kept.EXPIRING, "expire", "controls.paused"),
    *in_a_row(kept.EXPIRING, "expire", "store.stored_fixity audio; store.read sidecar; locks.protections audio"),
    *in_a_row(kept.EXPIRING, "expire", "locks.protections sidecar; <catalogue.advance expiring"),
    *each(kept.EXPIRING, "expire", "catalogue.advance expiring; locks.remove audio; locks.remove sidecar"),
    *in_a_row(kept.EXPIRING, "expire", "catalogue.advance expiring; locks.remove audio; locks.remove sidecar"),
    *each(kept.EXPIRING, "expire", "locks.protections sidecar; locks.remove sidecar", first=HALF),
    *each(kept.EXPIRING, "expire", "catalogue.advance expired"),
    *in_a_row(kept.EXPIRING, "expire", "<reads.lines; reads.lines; store.create tombstone"),
    *in_a_row(kept.EXPIRING, "expire", "<store.read tombstone; store.read tombstone", first=TOLD),
    *in_a_row(kept.LEFT, "expire", "<source.get; source.get; source.list_page #2; catalogue.advance expiring"),
    *in_a_row(kept.WITHDRAWN, "expire", "<store.size audio; store.size audio; store.size sidecar"),
    *in_a_row(kept.WITHDRAWN, "expire", "<catalogue.advance purged; catalogue.advance purged"),
    *in_a_row(kept.WITHDRAWN_LEFT, "expire", "<catalogue.advance verified; catalogue.advance verified"),
    *in_a_row(kept.DECAYED, "expire", "<catalogue.advance quarantined; catalogue.advance quarantined"),
    *each(kept.APPLIED, "purge", "catalogue.advance purging; source.delete"),
    *each(kept.APPLIED, "expire", "catalogue.advance expiring; locks.remove audio"),
    *each(kept.APPLIED, "ledger", "ledger.write_days"),
]
LEDGER = [
    *in_a_row(made.MAIN, "ledger", "<ledger.settle_gaps; ledger.settle_gaps; ledger.look_through; ledger.stale_days"),
    *each(made.MAIN, "ledger", "ledger.look_through; ledger.write_days"),
]
CASES = [*DISCOVER, *BACKFILLS, *TRANSFER, *EXPORTS, *VERIFY, *DECISIONS, *PROTECT, *PASS, *PURGE, *EXPIRE, *LEDGER]
#: Within a step: between the requests of the probe of the bucket, of a multipart upload, of a change of policies.
INSIDE = [
    *in_a_row(made.FEW, "s3", "PutObject; PutObject #2; GetBucketVersioning; DeleteObject"),
    *in_a_row(made.BIG, "s3", "ListMultipartUploads; CreateMultipartUpload; UploadPart #2; CompleteMultipartUpload"),
    *each(made.ODD, "s3", "AbortMultipartUpload"),
    *each(kept.EXPIRING, "s3", "DeleteObject #2"),
    *in_a_row(kept.PROTECTED, "sql", "controls.keep_policies; controls.record"),
]
#: The same on a store that ignores conditional creates.
LENIENT = [
    *each(made.FEW, "transfer", "store.create audio; store.create sidecar; catalogue.hand_back #2"),
    *each(made.BIG, "transfer", "upload.write #2; upload.complete"),
    *each(made.BIG, "s3", "CreateMultipartUpload"),
    *each(made.RENAMED, "transfer", "store.replace sidecar"),
]
