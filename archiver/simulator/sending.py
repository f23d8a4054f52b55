"""Puts an answer on the wire, or breaks the wire."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from http import HTTPStatus

from aiohttp import web

from archiver.simulator.replies import Ending, Reply


async def send(request: web.Request, reply: Reply) -> web.StreamResponse:
    """Send the answer, and end the connection as it says. Raises ConnectionError when the client has left."""
    headers = {"Content-Type": reply.content_type, **dict(reply.headers)}
    if reply.ending is Ending.NO_ANSWER:
        return _close(request, web.Response(), abort=True)
    if not reply.chunked:
        return _plain(reply, headers)
    response = web.StreamResponse(status=reply.status, headers=headers)
    response.enable_chunked_encoding()
    await response.prepare(request)
    for chunk in reply.chunks:
        if chunk:
            await response.write(chunk)
    if reply.ending is Ending.STALLED:
        await asyncio.Event().wait()  # cancelled when the client leaves, or the simulator stops
    if reply.ending is Ending.CUT:
        return _close(request, response, abort=False)
    await response.write_eof()
    return response


def _plain(reply: Reply, headers: Mapping[str, str]) -> web.Response:
    if reply.status == HTTPStatus.NO_CONTENT:
        return web.Response(status=reply.status)
    return web.Response(status=reply.status, body=reply.body(), headers=headers)


def _close(request: web.Request, response: web.StreamResponse, *, abort: bool) -> web.StreamResponse:
    # close() still sends what was written, so that the client sees exactly the bytes before the cut.
    if request.transport is not None:
        (request.transport.abort if abort else request.transport.close)()
    return response
