"""Jobs that export and import registrations (Notification Hubs REST API): create, read, list."""

from collections.abc import Callable
from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hub.api.access import HubAccess, Right
from hub.api.gate import Gate
from hub.api.request import read_body, url_of
from hub.api.service import HubService
from hub.api.wire.atom import ENTRY, FEED, Entry, entry_xml, feed_xml, read_entry
from hub.api.wire.jobs import job_from, job_xml
from hub.job import Job

_MOST = 1000
"""Jobs in the list, which has no parts: those of a month."""


class Jobs:
    """The operations on `/{hub}/jobs`."""

    def __init__(self, service: HubService, gate: Gate, *, clock: Callable[[], datetime]) -> None:
        self._service = service
        self._gate = gate
        self._clock = clock

    def routes(self) -> list[Route]:
        return [
            Route("/{hub}/jobs", self.create, methods=["POST"]),
            Route("/{hub}/jobs", self.list, methods=["GET"]),
            Route("/{hub}/jobs/{id}", self.get, methods=["GET"]),
        ]

    async def create(self, request: Request) -> Response:
        hub, access = self._gate.admit(request, Right.MANAGE)
        described = read_entry(await read_body(request), request.headers.get("content-type", ""))
        job = job_from(described, hub=hub)
        _check_places(job, access)
        job = await self._service.submit_job(job)
        answer = self._answer(request, job, status=201)
        answer.headers["Location"] = url_of(request, "jobs", job.id)
        return answer

    async def get(self, request: Request) -> Response:
        hub, _ = self._gate.admit(request, Right.MANAGE)
        job = await self._service.job(hub, request.path_params["id"])
        answer = self._answer(request, job)
        answer.headers["Content-Location"] = url_of(request, "jobs", job.id)
        return answer

    async def list(self, request: Request) -> Response:
        hub, _ = self._gate.admit(request, Right.MANAGE)
        found = await self._service.jobs(hub, limit=_MOST)
        entries = [_entry_of(request, job) for job in found.items]
        text = feed_xml("jobs", url_of(request, "jobs"), entries, next_url=None, now=self._clock())
        return Response(text, headers={"Content-Type": FEED})

    def _answer(self, request: Request, job: Job, *, status: int = 200) -> Response:
        text = entry_xml(_entry_of(request, job), now=self._clock())
        return Response(text, status, {"Content-Type": ENTRY})


def _check_places(job: Job, access: HubAccess) -> None:
    """Raises: InvalidRequestError: a place that jobs may not use."""
    for uri in filter(None, (job.output_container_uri, job.import_file_uri)):
        access.jobs.access.check(uri)


def _entry_of(request: Request, job: Job) -> Entry:
    return Entry(url=url_of(request, "jobs", job.id), title=job.id, content=job_xml(job))
