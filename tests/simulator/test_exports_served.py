"""Bulk exports: jobs, what their retrieval answers, and what is in the ZIP."""

from __future__ import annotations

import struct
from dataclasses import replace
from datetime import timedelta
from functools import partial
from itertools import product

import httpx
import pytest

from archiver.simulator import (
    Account,
    Behaviour,
    ExportRequest,
    Exports,
    JobState,
    Method,
    Names,
    NotYet,
    Operation,
)
from tests.support.exporting import GOOD, THREE, Exporting, StartExporting, by_id, names
from tests.support.simulator import NOON, Caller, Clock, StartSimulator, holding, recording

WINDOW = {"start:gte": "2024-03-01T11:58:00+0000", "start:lte": "2024-03-01T11:59:00+0000"}


# Jobs -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("created", [200, 201, 202])
async def test_post_makes_a_job(exporting: StartExporting, created: int) -> None:
    ask = await exporting(Exports(created=created))
    answer = await ask.post()
    assert answer.status_code == created
    assert ask.simulator.jobs == dict.fromkeys(answer.json()["job_ids"], JobState.READY)
    assert len(ask.simulator.jobs) == 1


async def test_filters_are_those_of_the_listing(exporting: StartExporting) -> None:
    inbound = replace(recording(1, minutes=5), extensions=(999, "0417"), caller_id="0017", duration_ms=10)
    outbound = replace(recording(2, minutes=6), direction="OUTBOUND", cnam="É", call_id="uuid")
    ask = await exporting(Exports(names=Names.ID), Account(recordings=(inbound, outbound, *THREE.recordings)))
    asked: list[tuple[dict[str, object], list[int]]] = [
        ({}, [2, 1, 9, 8, 7]),
        (dict(WINDOW), [9, 8]),
        ({"call_direction": "OUTBOUND"}, [2]),
        ({"extension": 999}, [1]),
        ({"extension": "0417"}, [1]),
        ({"caller_id": "0017", "dnis": "+910000099999"}, [1]),
        ({"cnam": "É", "call_id": "uuid"}, [2]),
        ({"duration:lte": 10}, [1]),
        ({"duration:gte": "11", **WINDOW}, [9, 8]),
        ({"page": 7, "order": "nonsense", "unknown": []}, [2, 1, 9, 8, 7]),
    ]
    for filters, ids in asked:
        assert names(await ask.zip(**filters)) == [f"{number}.mp3" for number in ids]


async def test_nothing_selected_makes_no_job(exporting: StartExporting) -> None:
    ask = await exporting(account=holding(replace(recording(7), hidden=True)))
    answer = await ask.post()
    assert (answer.status_code, answer.json(), ask.simulator.jobs) == (201, {"job_ids": []}, {})


async def test_many_recordings_make_several_jobs(exporting: StartExporting) -> None:
    ask = await exporting(Exports(per_job=2, names=Names.ID))
    jobs = await ask.jobs()
    held = [names((await ask.get(job)).content) for job in jobs]
    assert held == [["9.mp3", "8.mp3"], ["7.mp3"]]
    assert len(set(jobs)) == 2


NO_OBJECTS = (b"", b"[]", b"null", b'"x"', b"{", b"\xff")
NO_FILTERS = (
    *(b'{"start:gte":"yesterday"}', b'{"start:lte":5}', b'{"extension":[1]}', b'{"cnam":null}'),
    *(b'{"dnis":true}', b'{"duration:gte":-1}', b'{"duration:lte":1.5}'),
)


@pytest.mark.parametrize("body", [*NO_OBJECTS, *NO_FILTERS])
async def test_unreadable_body_is_400(exporting: StartExporting, body: bytes) -> None:
    ask = await exporting()
    answer = await ask.raw(body)
    assert (answer.status_code, "fault" in answer.json(), ask.simulator.jobs) == (400, True, {})
    assert ask.simulator.requests.exports == [ExportRequest(since=None, until=None, filters=_kept(body))]


def _kept(body: bytes) -> tuple[tuple[str, str], ...]:
    return (("duration:gte", "-1"),) if b"-1" in body else ()


async def test_both_need_a_token(simulator: StartSimulator, http: httpx.AsyncClient) -> None:
    sim = await simulator(THREE)
    (job,) = await Exporting(http, sim).jobs()
    bare = Exporting(http, sim, token="")
    assert [(await bare.post()).status_code, (await bare.get(job)).status_code] == [401, 401]
    assert [seen.authorized for seen in sim.requests.recent] == [True, False, False]
    assert [one.job_ids for one in sim.requests.exports] == [(job,), ()]


async def test_other_accounts_are_unknown(exporting: StartExporting) -> None:
    ask = await exporting()
    for account, status in (("549825", 201), ("1", 404)):
        url = ask.post_url.replace("/self/", f"/{account}/")
        assert (await ask.http.post(url, json={}, headers=ask.headers)).status_code == status


async def test_a_job_holds_what_was_there_when_it_was_made(exporting: StartExporting) -> None:
    ask = await exporting(Exports(names=Names.ID))
    (job,) = await ask.jobs()
    ask.simulator.remove(8)
    ask.simulator.put(recording(10))
    assert by_id((await ask.get(job)).content) == {f"{number}.mp3": GOOD[number] for number in (9, 8, 7)}


async def test_late_binding_holds_what_is_there_when_it_is_retrieved(exporting: StartExporting) -> None:
    ask = await exporting(Exports(names=Names.ID, late_binding=True, per_job=1))
    (job,) = await ask.jobs(**WINDOW)
    ask.simulator.remove(8)
    ask.simulator.put(recording(10, minutes=1))
    ask.simulator.put(recording(11, minutes=30))
    first = (await ask.get(job)).content
    ask.simulator.remove(9)
    ask.simulator.remove(10)
    assert (names(first), names((await ask.get(job)).content)) == (["9.mp3", "10.mp3"], [])


def test_what_could_not_be_served_is_refused() -> None:
    for make in (partial(Exports, per_job=0), partial(Exports, created=204), partial(Exports, gone=403)):
        with pytest.raises(ValueError, match="exports: per_job from 1"):
            make()


# Retrieval --------------------------------------------------------------------------------------------------


async def test_retrieved_as_a_chunked_zip_as_often_as_wanted(exporting: StartExporting) -> None:
    ask = await exporting()
    (job,) = await ask.jobs()
    answers = [await ask.get(job) for _ in range(2)]
    assert {(each.status_code, each.headers["content-type"]) for each in answers} == {(200, "application/zip")}
    assert all(each.headers["transfer-encoding"] == "chunked" for each in answers)
    assert all("content-length" not in each.headers for each in answers)
    assert answers[0].content == answers[1].content
    assert list(by_id(answers[0].content).values()) == [GOOD[9], GOOD[8], GOOD[7]]
    assert ask.simulator.requests.counts == {Operation.EXPORT: 1, Operation.RETRIEVE: 2}


async def test_wrong_job_user_and_parameters(exporting: StartExporting) -> None:
    ask = await exporting(Exports(user="jane.doe"))
    (job,) = await ask.jobs()
    wrong = [
        await ask.get("unknown", "jane.doe"),
        await ask.get(job, "auditor"),
        await ask.asked(jobId=job),
        await ask.asked(userName="jane.doe"),
        await ask.asked(jobId="", userName="jane.doe"),
        await ask.asked(job_id=job, login_name="jane.doe"),
    ]
    assert [each.status_code for each in wrong] == [404, 403, 400, 400, 400, 400]
    assert (await ask.get(job, "jane.doe")).status_code == 200


@pytest.mark.parametrize(
    ("form", "status", "content_type", "body"),
    [
        (NotYet.JSON, 200, "application/json", b'{"status":"IN_PROGRESS"}'),
        (NotYet.HTML, 200, "text/html", b"<!DOCTYPE html>"),
        (NotYet.ACCEPTED, 202, "application/json", b'{"status":"IN_PROGRESS"}'),
        (NotYet.NO_CONTENT, 204, None, b""),
        (NotYet.NOT_FOUND, 404, "application/json", b'{"fault":'),
        (NotYet.CONFLICT, 409, "application/json", b'{"fault":'),
        (NotYet.UNAVAILABLE, 503, "application/json", b'{"fault":'),
    ],
)
async def test_not_yet_in_each_form(
    exporting: StartExporting, clock: Clock, form: NotYet, status: int, content_type: str | None, body: bytes
) -> None:
    ask = await exporting(Exports(not_yet=form, delay=timedelta(seconds=5)))
    (job,) = await ask.jobs()
    clock.move(seconds=4.9)
    answer = await ask.get(job)
    assert (answer.status_code, answer.headers.get("content-type")) == (status, content_type)
    assert answer.content.startswith(body)
    assert ask.simulator.jobs[job] is JobState.WAITING
    clock.move(seconds=0.1)
    assert ask.simulator.jobs[job] is JobState.READY
    assert (await ask.get(job)).content[:2] == b"PK"


async def test_not_yet_for_so_many_polls_of_each_job(exporting: StartExporting, clock: Clock) -> None:
    ask = await exporting(Exports(polls=2, per_job=2))
    first, second = await ask.jobs()
    clock.move(days=1)
    got = [(await ask.get(job)).headers["content-type"][12:] for job in (first, first, second, first, second, second)]
    assert got == ["json", "json", "json", "zip", "json", "zip"]


@pytest.mark.parametrize("gone", [404, 410])
async def test_expires(exporting: StartExporting, clock: Clock, gone: int) -> None:
    ask = await exporting(Exports(delay=timedelta(seconds=5), lives=timedelta(hours=1), gone=gone))
    (job,) = await ask.jobs()
    clock.move(hours=1)
    assert (await ask.get(job)).status_code == 200
    clock.move(seconds=5)
    assert ((await ask.get(job)).status_code, ask.simulator.jobs) == (gone, {job: JobState.EXPIRED})


async def test_forgotten_jobs_are_gone_and_their_ids_too(exporting: StartExporting) -> None:
    ask = await exporting()
    (job,) = await ask.jobs()
    ask.simulator.forget_jobs()
    assert ((await ask.get(job)).status_code, ask.simulator.jobs) == (404, {})
    assert job not in await ask.jobs()


async def test_redirected_to_where_no_token_is_wanted(exporting: StartExporting) -> None:
    ask = await exporting()
    sim = ask.simulator
    other = sim.signed_url.replace("127.0.0.1", "localhost")
    sim.behaviour = Behaviour(exports=Exports(redirect=other, polls=1))
    (job,) = await ask.jobs()
    assert (await ask.get(job)).json() == {"status": "IN_PROGRESS"}
    answer = await ask.get(job)
    assert (answer.status_code, answer.headers["location"]) == (302, other + job)
    followed = await ask.http.get(answer.request.url, headers=ask.headers, follow_redirects=True)
    assert len(by_id(followed.content)) == 3
    assert [(seen.path, seen.authorized) for seen in sim.requests.of(Operation.SIGNED)] == [(f"/signed/{job}", False)]
    assert (await ask.http.get(sim.signed_url + "unknown")).status_code == 404


async def test_journal_tells_what_each_export_asked_for(exporting: StartExporting) -> None:
    ask = await exporting(Exports(per_job=1))
    jobs = await ask.jobs(**WINDOW, extension=2101, call_direction="INBOUND")
    await ask.post()
    asked, everything = ask.simulator.requests.exports
    others = (("call_direction", "INBOUND"), ("extension", "2101"))
    since, until = NOON - timedelta(minutes=2), NOON - timedelta(minutes=1)
    assert asked == ExportRequest(since=since, until=until, filters=others, job_ids=tuple(jobs))
    assert (everything.since, everything.until, len(everything.job_ids)) == (None, None, 3)
    seen = [(one.method, one.operation, one.recording, one.authorized) for one in ask.simulator.requests.recent]
    assert seen == [("POST", Operation.EXPORT, None, True)] * 2
    assert "sim-token" not in repr(ask.simulator.requests.__dict__)


async def test_quota_counts_exports(simulator: StartSimulator, http: httpx.AsyncClient, clock: Clock) -> None:
    quick = Behaviour(requests_per_minute=2, quota_window=timedelta(seconds=0.5))
    ask = Exporting(http, await simulator(THREE, behaviour=quick))
    (job,) = await ask.jobs()
    statuses = [(await ask.get(job)).status_code for _ in range(2)]
    clock.move(seconds=0.5)
    assert [*statuses, (await ask.get(job)).status_code] == [200, 429, 200]


# The ZIP ----------------------------------------------------------------------------------------------------


BOTH = (False, True)
FORMS = [
    Exports(method=method, descriptors=descriptors, descriptor_signature=signature, zip64=zip64, names=Names.ID)
    for method, descriptors, signature, zip64 in product(Method, BOTH, BOTH, BOTH)
]


@pytest.mark.parametrize("form", FORMS, ids=range(len(FORMS)))
async def test_every_form_holds_the_audio(exporting: StartExporting, form: Exports) -> None:
    data = await (await exporting(form)).zip()
    assert by_id(data) == {f"{number}.mp3": GOOD[number] for number in (9, 8, 7)}
    deflated = form.method is Method.DEFLATED
    head = (45 if form.zip64 else 20, 8 if form.descriptors else 0, 8 if deflated else 0)
    assert struct.unpack_from("<3H", data, 4) == head
    assert (b"PK\7\10" in data) is (form.descriptors and form.descriptor_signature)
    assert (b"PK\6\6" in data) is form.zip64


async def test_names_of_members(exporting: StartExporting) -> None:
    same = replace(recording(1), file_name="same.mp3")
    odd = replace(recording(2), overlay={"file_name": "../é"})
    none = replace(recording(3), overlay={"file_name": None}, dropped=("file_name",))
    account = holding(same, replace(same, id=4), odd, none)
    usual = f"730048.3.{int(NOON.timestamp())}.mp3"
    ask = await exporting(account=account)
    for form, expected in {
        Names.FILE_NAME: ["same.mp3", "../é", usual, "same.mp3"],
        Names.FOLDER: ["recordings/same.mp3", "recordings/../é", f"recordings/{usual}", "recordings/same.mp3"],
        Names.ID: ["1.mp3", "2.mp3", "3.mp3", "4.mp3"],
    }.items():
        ask.simulator.behaviour = Behaviour(exports=Exports(names=form))
        assert names(await ask.zip()) == expected


async def test_a_listed_name_is_the_members_name(exporting: StartExporting) -> None:
    ask = await exporting()
    listed = (await Caller(ask.http, ask.simulator).page(order="start:ASC")).json()["_embedded"]["recordings"]
    assert names(await ask.zip()) == [one["file_name"] for one in listed]
