"""The registrations of another hub by its export job (Notification Hubs REST API, "Create an import or export job")."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final
from urllib.parse import urlsplit

from lxml import etree

from hub.characters import escape_xml
from hub.delivery.remote_api import RemoteApi
from hub.errors import BlobError, RemoteError
from hub.moving.listing import check
from hub.transport.blob_access import BlobAccess
from hub.transport.blobs import Blobs

PIECE: Final = 1 << 20
_EVERY: Final = 5.0
_ATOM = {"Content-Type": "application/atom+xml;type=entry;charset=utf-8"}
_JOB = (
    '<entry xmlns="http://www.w3.org/2005/Atom"><content type="application/xml"><NotificationHubJob'
    ' xmlns="http://schemas.microsoft.com/netservices/2010/10/servicebus/connect"><Type>ExportRegistrations</Type>'
    "<OutputContainerUri>{}</OutputContainerUri></NotificationHubJob></content></entry>"
)


async def exported(
    api: RemoteApi,
    container: str,
    *,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    waits: Callable[[float, str], None] = lambda seconds, why: None,
) -> AsyncIterator[tuple[list[str], bool]]:
    """Descriptions, some at a time, and whether they are the last; `container` is a URL with its signature.

    Raises: RemoteError, BlobError.
    """
    job = await _submitted(api, container)
    while (status := await _status(api, job)) not in ("Completed", "Failed"):
        waits(_EVERY, f"the export job {job} is {status or 'Started'}")
        await sleep(_EVERY)
    if status == "Failed":
        raise RemoteError(f"the export job {job} has failed: {await _member(api, job, 'Failure')}")
    host = urlsplit(container).hostname or ""
    blobs = Blobs(BlobAccess((host,)), api.settings.egress)  # whoever runs the import named the container
    _, question, signature = container.partition("?")
    url = f"{await _output(api, job)}{question}{signature}"
    try:
        async for lines, is_last in _lines(blobs, url):
            yield lines, is_last
    finally:
        await blobs.close()


async def _submitted(api: RemoteApi, container: str) -> str:
    answer = await api.request("POST", "jobs", _JOB.format(escape_xml(container)).encode(), headers=_ATOM)
    check(answer.status_code, dict(answer.headers), answer.content, api=api)
    return _of(answer.content, "JobId")


async def _status(api: RemoteApi, job: str) -> str:
    return await _member(api, job, "Status")


async def _member(api: RemoteApi, job: str, name: str) -> str:
    answer = await api.request("GET", f"jobs/{job}")
    check(answer.status_code, dict(answer.headers), answer.content, api=api)
    return _of(answer.content, name)


async def _output(api: RemoteApi, job: str) -> str:
    """Where the job says that its output is, without a signature. Raises: RemoteError."""
    answer = await api.request("GET", f"jobs/{job}")
    check(answer.status_code, dict(answer.headers), answer.content, api=api)
    for pair in _root(answer.content).iterfind(".//{*}KeyValueOfstringstring"):
        if pair.findtext("{*}Key") == "OutputFilePath":
            return pair.findtext("{*}Value") or ""
    raise RemoteError(f"the export job {job} does not say where its output is")


def _of(entry: bytes, name: str) -> str:
    return _root(entry).findtext(f".//{{*}}{name}") or ""


def _root(entry: bytes) -> etree._Element:
    """Raises: RemoteError."""
    try:
        return etree.fromstring(entry, etree.XMLParser(resolve_entities=False, no_network=True))
    except etree.XMLSyntaxError as error:
        raise RemoteError(f"the other hub answers a job with what is no XML: {error}") from error


async def _lines(blobs: Blobs, url: str) -> AsyncIterator[tuple[list[str], bool]]:
    found = await blobs.properties(url)
    start, rest = 0, b""
    while start < found.size:
        piece = await blobs.read(url, start, PIECE, etag=found.etag)
        if not piece:
            raise BlobError("the exported file ends before its size")
        start += len(piece)
        whole, _, rest = (rest + piece).rpartition(b"\n")
        yield _texts(whole), False
    yield _texts(rest), True


def _texts(lines: bytes) -> list[str]:
    return [line for line in lines.decode("utf-8-sig", "replace").split("\n") if line.strip()]
