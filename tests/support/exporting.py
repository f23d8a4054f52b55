"""Fixtures: a client that exports, and a look into what it gets."""

from __future__ import annotations

import io
import zipfile

import httpx
import pytest

from archiver.simulator import Account, Behaviour, Exports, Simulator, audio_bytes
from tests.support.simulator import StartSimulator, holding, recording

SIZE = 100_000
THREE = holding(recording(7, size=SIZE), recording(8, minutes=1), recording(9, minutes=2, size=40))
GOOD = {7: audio_bytes(7, SIZE), 8: audio_bytes(8, 1000), 9: audio_bytes(9, 40)}


class Exporting:
    """Exports from one simulator as a bare client would: whatever comes is returned."""

    def __init__(self, http: httpx.AsyncClient, simulator: Simulator, token: str = "sim-token") -> None:
        """A token of "" sends none."""
        self.http = http
        self.simulator = simulator
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.post_url = simulator.base_url + "/api/accounts/self/company_call_recordings/export"
        self.get_url = simulator.base_url + "/api/bulkDownload/retrieve"

    async def post(self, **filters: object) -> httpx.Response:
        """Ask for an export."""
        return await self.http.post(self.post_url, json=filters, headers=self.headers)

    async def raw(self, body: bytes) -> httpx.Response:
        """Ask for an export with any body."""
        return await self.http.post(self.post_url, content=body, headers=self.headers)

    async def jobs(self, **filters: object) -> list[str]:
        """Ask for an export and return the ids of its jobs."""
        job_ids: list[str] = (await self.post(**filters)).json()["job_ids"]
        return job_ids

    async def get(self, job: str, user: str = "auditor") -> httpx.Response:
        """Retrieve a job."""
        return await self.asked(jobId=job, userName=user)

    async def asked(self, **params: str) -> httpx.Response:
        """Retrieve with any parameters."""
        return await self.http.get(self.get_url, params=params, headers=self.headers)

    async def zip(self, **filters: object) -> bytes:
        """Export what makes one job and retrieve it."""
        (job,) = await self.jobs(**filters)
        answer = await self.get(job)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/zip")
        return answer.content


class StartExporting:
    """Starts a simulator, of the three recordings unless told otherwise, and returns a client of it."""

    def __init__(self, simulator: StartSimulator, http: httpx.AsyncClient) -> None:
        """Start them as this does."""
        self._simulator, self._http = simulator, http

    async def __call__(self, exports: Exports = Exports(), account: Account = THREE) -> Exporting:  # noqa: B008 - frozen
        """Return the client."""
        return Exporting(self._http, await self._simulator(account, behaviour=Behaviour(exports=exports)))


@pytest.fixture
def exporting(simulator: StartSimulator, http: httpx.AsyncClient) -> StartExporting:
    """Return what starts a simulator, and a client that exports."""
    return StartExporting(simulator, http)


def opened(data: bytes) -> zipfile.ZipFile:
    """Open an archive."""
    return zipfile.ZipFile(io.BytesIO(data))


def names(data: bytes) -> list[str]:
    """List the names of the central directory, as they were written."""
    return [one.orig_filename for one in opened(data).infolist()]


def by_id(data: bytes) -> dict[str, bytes]:
    """Return the members of a sound archive."""
    archive = opened(data)
    assert archive.testzip() is None
    return {name: archive.read(name) for name in archive.namelist()}
