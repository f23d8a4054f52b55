"""The simulated service without its socket: from a call to an answer."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from archiver.simulator.account import Account, SimRecording
from archiver.simulator.audio import audio_chunks
from archiver.simulator.behaviour import Behaviour, Credentials, Endless
from archiver.simulator.call import Call
from archiver.simulator.exporting import Exporter
from archiver.simulator.fault_book import Due, FaultBook
from archiver.simulator.faults import Drop, Hang, Instead, Operation, Revoke, Shrunken
from archiver.simulator.listing import filled_up, page_json, recording_json
from archiver.simulator.mischief import instead, upon
from archiver.simulator.query import Query, read_query
from archiver.simulator.replies import Ending, Reply, fault_reply, json_reply
from archiver.simulator.shelf import Shelf
from archiver.simulator.spoils import Spoil, Trick
from archiver.simulator.throttle import Throttle
from archiver.simulator.tokens import Tokens

_ALL = Shrunken(1)
_NO_ANSWER = Reply(ending=Ending.NO_ANSWER)


class Service:
    """One account, the gateway before it, and the faults between them."""

    def __init__(self, account: Account, credentials: Credentials, behaviour: Behaviour) -> None:
        """`behaviour` may be replaced at any time."""
        self.behaviour = behaviour
        self.shelf = Shelf(account.recordings)
        self.exporter = Exporter(self.shelf)
        self.faults = FaultBook(account.faults)
        self.tokens = Tokens(credentials)
        self._number = account.number
        self._throttle = Throttle()

    def refusal(self, call: Call, now: datetime) -> Reply | None:
        """Return what the gateway says before anything else is looked at; None lets the call pass."""
        if call.operation is Operation.OTHER:
            return fault_reply(404, code=900906, description="No matching resource found for given API Request")
        if call.operation in {Operation.TOKEN, Operation.SIGNED}:
            return None
        refusal = self.tokens.refusal(call.authorization, now)
        return refusal or self._throttle.admit(call.authorization or "", self.behaviour, now)

    def spoilt(self, due: Due, call: Call, now: datetime) -> Reply:
        """Answer a call that meets a fault."""
        action = due.do
        if isinstance(action, Revoke):
            self.tokens.revoke_one(call.authorization)
        if isinstance(action, Instead):
            return instead(action, now)
        if isinstance(action, Drop) and not action.applied:
            return _NO_ANSWER
        if isinstance(action, Shrunken):
            return self.answer(call, now, action)
        if isinstance(action, Spoil):
            return self.answer(call, now, tricks=action.tricks)
        reply = self.answer(call, now)
        if isinstance(action, Drop):
            return replace(_NO_ANSWER, job_ids=reply.job_ids)
        return reply if isinstance(action, Hang) else upon(action, reply, due.count)

    def answer(self, call: Call, now: datetime, left: Shrunken = _ALL, tricks: tuple[Trick, ...] = ()) -> Reply:
        """Do what is asked, and do it well; a listing shows what is `left`, a ZIP is spoilt by the `tricks`."""
        if call.operation is Operation.TOKEN:
            return self.tokens.exchange(call.form, self.behaviour, now)
        if call.account not in {"self", self._number}:
            return fault_reply(404, description="There is no such account")
        if call.operation is Operation.LIST:
            return self._list(call, left)
        if call.operation is Operation.EXPORT:
            return self.exporter.create(call, self.behaviour, now, left)
        if call.operation in {Operation.RETRIEVE, Operation.SIGNED}:
            return self.exporter.retrieve(call, self.behaviour.exports, now, tricks)
        recording = None if call.recording is None else self.shelf.get(call.recording)
        return fault_reply(404) if recording is None else self._one(call, recording)

    def _one(self, call: Call, recording: SimRecording) -> Reply:
        if call.operation is Operation.AUDIO:
            return Reply(content_type="audio/mpeg", chunks=audio_chunks(recording.id, recording.size), chunked=True)
        if call.operation is Operation.DELETE:
            self.shelf.remove(recording.id)
            return Reply(status=204)
        return json_reply(recording_json(recording, call, self.behaviour))

    def _list(self, call: Call, left: Shrunken) -> Reply:
        try:
            query = read_query(call.params, self.behaviour)
        except ValueError as problem:
            return fault_reply(400, description=str(problem))
        total, found = self._page(query, left)
        items = [recording_json(one, call, self.behaviour) for one in found if not one.hidden]
        return json_reply(page_json(items, total, query, call, self.behaviour))

    def _page(self, query: Query, left: Shrunken) -> tuple[int, list[SimRecording]]:
        total, found = self._left(query, left)
        endless = self.behaviour.endless
        if endless is not Endless.NO and len(found) < query.page_size:
            _, tail = self._left(replace(query, index=max(total // query.page_size - 1, 0)), left)
            found = filled_up(found, tail, query, endless)
        return total, found

    def _left(self, query: Query, left: Shrunken) -> tuple[int, list[SimRecording]]:
        total, found = self.shelf.page(query)
        kept = left.of(total)
        return kept, found[: max(0, kept - query.index * query.page_size)]
