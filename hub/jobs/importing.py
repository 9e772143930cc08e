"""An import job, a step at a time: a piece of the import file is read, and each line of it takes effect.

A step that was done and not written down is done again after a restart. So a line may take effect twice, and the second
time has to be the first's: an id that a line does not say is made of the job and the number of the line.
"""

import asyncio
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from hub.errors import BlobError, GoneError, InvalidRequestError, NotFoundError, PreconditionError
from hub.installation import ANY_ETAG, Installation, Registration, Template
from hub.job import Job, JobStatus, JobType
from hub.jobs.lines import Lines
from hub.jobs.places import FAILED, OUTPUT, blob_of
from hub.jobs.registering import Registering
from hub.tags import tag_key

if TYPE_CHECKING:
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


async def step(job: Job, hub: Registering, lines: Lines, blobs: "Blobs", *, is_repeated: bool, piece: int) -> Job:
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


async def _piece(job: Job, blobs: "Blobs", start: int, length: int) -> tuple[bytes, bool]:
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


@dataclass(frozen=True, slots=True)
class _Item:
    """A line that was read; `registration` is None for a deletion by the id alone."""

    line: _Line
    id: str
    registration: Registration | None

    @property
    def installation_id(self) -> str | None:
        return None if self.registration is None else self.registration.installation_id

    @property
    def key(self) -> tuple[str, bool]:
        """What it changes, and whether that is an installation."""
        own = self.installation_id
        return (self.id, False) if own is None else (tag_key("$" + own), True)


_Wave = dict[tuple[str, bool], list[_Item]]
"""Lines that take effect together, by what they change."""


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
        wave: _Wave = {}
        count = 0
        for line in lines:
            try:
                item = self._read(line)
            except InvalidRequestError as error:
                failed.append(_failed(line, "", str(error)))
                if len(failed) % AT_ONCE == 0:
                    await asyncio.sleep(0)  # a file of nothing but mistakes
                continue
            # Those of one registration take effect in their order, those of one installation together.
            if count >= AT_ONCE or (item.key in wave and item.installation_id is None):
                await self._do(wave, done, failed)
                wave, count = {}, 0
            wave.setdefault(item.key, []).append(item)
            count += 1
        await self._do(wave, done, failed)
        return done, failed

    def _read(self, line: _Line) -> _Item:
        """Raises: InvalidRequestError."""
        if "\ufffd" in line.text:
            raise InvalidRequestError("the line is not UTF-8")
        if self._job.type is JobType.DELETE:
            return _Item(line, *self._lines.read_id(self._job.hub, line.text))
        made = _id_of(self._job.id, line.number)
        registration, has_id = self._lines.read(self._job.hub, line.text, otherwise=made)
        if self._job.type is JobType.UPDATE and not has_id and registration.installation_id is None:
            raise InvalidRequestError("an update says which registration: RegistrationId is missing")
        return _Item(line, registration.registration_id, registration)

    async def _do(self, wave: _Wave, done: list[str], failed: list[str]) -> None:
        answers = await asyncio.gather(*(self._effects(items) for items in wave.values()))
        pairs = [pair for items, reasons in zip(wave.values(), answers, strict=True) for pair in zip(items, reasons)]  # noqa: B905
        for item, reason in sorted(pairs, key=lambda pair: pair[0].line.number):
            if reason is None:
                done.append(f"{item.line.number},{item.id}\n")
            else:
                failed.append(_failed(item.line, item.id, reason))

    async def _effects(self, items: Sequence[_Item]) -> Sequence[str | None]:
        """Of each, why it had none, None when it had. Raises: StoreError."""
        if items[0].installation_id is None:
            return [await self._effect(items[0].id, items[0].registration)]
        together = await self._effect_on_installation(items)
        if together is None or len(items) == 1:
            return [together] * len(items)
        return [await self._effect_on_installation([item]) for item in items]  # each fails for itself alone

    async def _effect_on_installation(self, items: Sequence[_Item]) -> str | None:
        """Why these registrations of one installation had none together."""
        job, id = self._job, items[0].installation_id or ""
        registrations = [item.registration for item in items if item.registration is not None]
        try:
            if job.type is JobType.DELETE:
                await self._delete_of_installation(id, registrations)
                return None
            make = partial(self._made, id, registrations)
            try:
                await self._hub.change_installation(job.hub, id, make)
            except NotFoundError:
                if job.type is JobType.UPDATE:
                    raise
                await self._hub.put_installation(job.hub, make(None))
        except _REFUSED as error:
            return str(error) or type(error).__name__
        return None

    def _made(self, id: str, registrations: Sequence[Registration], known: Installation | None) -> Installation:
        """Raises: InvalidRequestError: also where a creation would change what there is."""
        made = self._lines.rebuilt(self._job.hub, id, registrations, known)
        if self._job.type is JobType.CREATE and known is not None and not _keeps(known, made):
            raise InvalidRequestError(f"installation {id!r} exists, and says something else")
        return made

    async def _delete_of_installation(self, id: str, registrations: Sequence[Registration]) -> None:
        """With its native registration an installation goes whole."""
        if any(each.template is None and each.secondary_tile is None for each in registrations):
            await self._hub.delete_installation(self._job.hub, id)
            return
        gone = {(each.push_channel, each.template_name) for each in registrations}
        tiles = {each.secondary_tile for each in registrations}

        def change(known: Installation) -> Installation:
            return replace(
                known,
                templates={n: each for n, each in known.templates.items() if (known.push_channel, n) not in gone},
                secondary_tiles={name: each for name, each in known.secondary_tiles.items() if name not in tiles},
            )

        with suppress(NotFoundError):
            await self._hub.change_installation(self._job.hub, id, change)

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


def _keeps(known: Installation, made: Installation) -> bool:
    """Whether nothing that was said of an installation is said otherwise: what an earlier line left out may come."""
    if (known.platform, known.push_channel) != (made.platform, made.push_channel):
        return False
    said = [(known.user_id, made.user_id), (known.tags, made.tags), (known.push_variables, made.push_variables)]
    return (
        all(not old or old == new for old, new in said)
        and all(_text(each) == _text(made.templates[name]) for name, each in known.templates.items())
        and all(
            each.push_channel == made.secondary_tiles[id].push_channel for id, each in known.secondary_tiles.items()
        )
    )


def _text(template: Template) -> object:
    """Without the tags: those of a template that came before its installation are cut when that comes."""
    return template.body, template.headers, template.expiry


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
