"""An export job, a step at a time: some pages of registrations become a block of the output."""

from dataclasses import replace
from typing import TYPE_CHECKING

from hub.job import Job, JobStatus
from hub.jobs.lines import Lines
from hub.jobs.places import FAILED, OUTPUT, blob_of
from hub.jobs.registering import Registering

if TYPE_CHECKING:
    from hub.transport.blobs import Blobs

PAGE = 500
"""Registrations that are read together."""

BLOCK = 1 << 20
"""Bytes of a block of the output, and about so many more: 50,000 blocks are a blob at most."""


async def step(job: Job, hub: Registering, lines: Lines, blobs: "Blobs") -> Job:
    """Write one block; the job as it stands then, ended with the last one. Raises: BlobError, StoreError."""
    cursor = job.cursor
    if not cursor.output_blocks and not cursor.position:
        cursor = replace(cursor, total=await hub.registration_count(job.hub))
    texts: list[bytes] = []
    unknown: list[bytes] = []
    size, position, is_last = 0, cursor.position, False
    while size < BLOCK and not is_last:
        page = await hub.registrations(job.hub, after=position, limit=PAGE)
        for each in page.items:
            text = lines.written(each)
            kept = unknown if text is None else texts
            kept.append(f"{each.registration_id if text is None else text}\n".encode())
            size += len(kept[-1])
        position, is_last = page.next, not page.next
    output_blocks, failed_blocks = cursor.output_blocks, cursor.failed_blocks
    if texts:
        await blobs.put_block(blob_of(job, OUTPUT), output_blocks, b"".join(texts))
        output_blocks += 1
    if unknown:
        await blobs.put_block(blob_of(job, FAILED), failed_blocks, b"".join(unknown))
        failed_blocks += 1
    cursor = replace(
        cursor,
        position=position,
        lines=cursor.lines + len(texts),
        failed_lines=cursor.failed_lines + len(unknown),
        output_blocks=output_blocks,
        failed_blocks=failed_blocks,
    )
    if is_last:
        await blobs.commit(blob_of(job, OUTPUT), output_blocks)
        await blobs.commit(blob_of(job, FAILED), failed_blocks)
        return replace(job, status=JobStatus.COMPLETED, progress=100.0, cursor=cursor)
    done = (cursor.lines + cursor.failed_lines) / max(1, cursor.total)
    return replace(job, status=JobStatus.RUNNING, progress=round(min(99.0, 100 * done), 1), cursor=cursor)
