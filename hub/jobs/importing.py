"""An import job, a step at a time: a piece of the import file is read, and each line of it takes effect.

A step that was done and not written down is done again after a restart. So a line may take effect twice, and the second
time has to be the first's: an id that a line does not say is made of the job and the number of the line.
"""

import asyncio
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from hub.errors import BlobError, GoneError, InvalidRequestError, NotFoundError, PreconditionError
from hub.installation import ANY_ETAG, Registration
from hub.job import Job, JobStatus, JobType
from hub.jobs.lines import Lines
from hub.jobs.places import FAILED, OUTPUT, blob_of
from hub.jobs.registering import Registering
from hub.transport.blobs import Blobs

PIECE = 256 * 1024
"""Bytes of the import file that are read together; a line is shorter."""

AT_ONCE = 100
"""Lines that take effect together."""

_BOM = b"\xef\xbb\xbf"
_REFUSED = (InvalidRequestError, NotFoundError, GoneError, PreconditionError)


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    text: str


async def step(job: Job, hub: Registering, lines: Lines, blobs: Blobs, *, is_repeated: bool, piece: int) -> Job:
    """Read a piece and do what its lines say; the job as it stands then, ended with the last piece.

    `is_repeated`: the piece may have been done already. Raises: BlobError, StoreError.
    """
    if not job.cursor.position:
        found = await blobs.properties(job.import_file_uri)
        job = replace(job, cursor=replace(job.cursor, position="0", total=found.size, etag=found.etag))
    start = int(job.cursor.position)
    whole, is_last = await _piece(job, blobs, start, piece)
    done, failed = await _Importing(job, hub, lines, is_repeated).run(_lines(whole, job.cursor.lines, start))
    cursor = replace(
        job.cursor,
        position=str(start + len(whole)),
        lines=job.cursor.lines + whole.count(b"\n"),
        failed_lines=job.cursor.failed_lines + len(failed),
    )
    if done:
        await blobs.put_block(blob_of(job, OUTPUT), cursor.output_blocks, "".join(done).encode())
        cursor = replace(cursor, output_blocks=cursor.output_blocks + 1)
    if failed:
        await blobs.put_block(blob_of(job, FAILED), cursor.failed_blocks, "".join(failed).encode())
        cursor = replace(cursor, failed_blocks=cursor.failed_blocks + 1)
    if is_last:
        await blobs.commit(blob_of(job, OUTPUT), cursor.output_blocks)
        await blobs.commit(blob_of(job, FAILED), cursor.failed_blocks)
        return replace(job, status=JobStatus.COMPLETED, progress=100.0, cursor=cursor)
    progress = round(min(99.0, 100 * (start + len(whole)) / max(1, cursor.total)), 1)
    return replace(job, status=JobStatus.RUNNING, progress=progress, cursor=cursor)


async def _piece(job: Job, blobs: Blobs, start: int, length: int) -> tuple[bytes, bool]:
    """Whole lines from `start` on, and whether the file ends with them. Raises: BlobError."""
    cursor = job.cursor
    if start >= cursor.total:
        return b"", True
    read = await blobs.read(job.import_file_uri, start, length, etag=cursor.etag)
    if not read:
        raise BlobError("the import file ends before its size")
    if start + len(read) >= cursor.total:
        return read, True
    whole = read[: read.rfind(b"\n") + 1]
    if not whole:
        raise BlobError(f"line {cursor.lines + 1} of the import file has more than {length} bytes")
    return whole, False


def _lines(whole: bytes, before: int, start: int) -> Iterator[_Line]:
    """Those that are not blank, each with its number in the file from 1 on."""
    text = whole.removeprefix(_BOM) if start == 0 else whole
    for number, line in enumerate(text.split(b"\n"), before + 1):
        if line.strip():
            yield _Line(number, line.decode("utf-8", "replace").strip())


class _Importing:
    """The lines of one step."""

    def __init__(self, job: Job, hub: Registering, lines: Lines, is_repeated: bool) -> None:
        self._job = job
        self._hub = hub
        self._lines = lines
        self._is_repeated = is_repeated

    async def run(self, lines: Iterator[_Line]) -> tuple[list[str], list[str]]:
        """What to write of those that took effect, and of those that did not."""
        done: list[str] = []
        failed: list[str] = []
        wave: dict[str, tuple[_Line, Registration | None]] = {}
        for line in lines:
            try:
                id, registration = self._read(line)
            except InvalidRequestError as error:
                failed.append(_failed(line, "", str(error)))
                if len(failed) % AT_ONCE == 0:
                    await asyncio.sleep(0)  # a file of nothing but mistakes
                continue
            if id in wave or len(wave) == AT_ONCE:  # those of one id take effect in their order
                await self._do(list(wave.items()), done, failed)
                wave.clear()
            wave[id] = line, registration
        await self._do(list(wave.items()), done, failed)
        return done, failed

    def _read(self, line: _Line) -> tuple[str, Registration | None]:
        """Raises: InvalidRequestError."""
        if "\ufffd" in line.text:
            raise InvalidRequestError("the line is not UTF-8")
        if self._job.type is JobType.DELETE:
            return self._lines.read_id(line.text), None
        made = _id_of(self._job.id, line.number)
        registration, has_id = self._lines.read(self._job.hub, line.text, otherwise=made)
        if self._job.type is JobType.UPDATE and not has_id:
            raise InvalidRequestError("an update says which registration: RegistrationId is missing")
        return registration.registration_id, registration

    async def _do(
        self, wave: Sequence[tuple[str, tuple[_Line, Registration | None]]], done: list[str], failed: list[str]
    ) -> None:
        answers = await asyncio.gather(*(self._effect(id, registration) for id, (_, registration) in wave))
        for (id, (line, _)), reason in zip(wave, answers, strict=True):
            if reason is None:
                done.append(f"{line.number},{id}\n")
            else:
                failed.append(_failed(line, id, reason))

    async def _effect(self, id: str, registration: Registration | None) -> str | None:
        """Why it had none, None when it had. Raises: StoreError."""
        try:
            if registration is None:
                await self._delete(id)
            elif self._job.type is JobType.CREATE:
                await self._create(registration)
            else:
                if_match = ANY_ETAG if self._job.type is JobType.UPDATE else None
                await self._hub.put_registration(self._job.hub, registration, if_match=if_match)
        except _REFUSED as error:
            return str(error) or type(error).__name__
        return None

    async def _delete(self, id: str) -> None:
        try:
            await self._hub.delete_registration(self._job.hub, id)
        except NotFoundError:
            if not self._is_repeated:
                raise

    async def _create(self, registration: Registration) -> None:
        """Raises: InvalidRequestError: there is another of this id."""
        id = registration.registration_id
        try:
            found = await self._hub.get_registration(self._job.hub, id)
        except NotFoundError:
            await self._hub.put_registration(self._job.hub, registration)
            return
        if not self._is_repeated or _said(found) != _said(registration):
            raise InvalidRequestError(f"registration {id!r} exists")


def _said(registration: Registration) -> Registration:
    """Without what the hub sets."""
    return replace(registration, etag=1, expires_at=None)


def _id_of(job_id: str, number: int) -> str:
    digest = hashlib.sha256(f"{job_id}\n{number}".encode()).digest()
    first, second = int.from_bytes(digest[:8]) >> 2, int.from_bytes(digest[8:16]) >> 2
    return f"{first}-{second}-1"


def _failed(line: _Line, id: str, reason: str) -> str:
    """Number of the line, id, reason; the reason goes to the end of the line."""
    return f"{line.number},{id},{' '.join(reason.split())}\n"
