"""Jobs that export and import registrations: kept, taken by one process at a time, and forgotten."""

from dataclasses import replace

import pytest

from hub.errors import CapacityError, NotFoundError
from hub.job import Job, JobCursor, JobStatus, JobType, new_job_id
from hub.store.store import SqlStore
from tests.fakes.host_clock import HostClock
from tests.hub.examples import HUB
from tests.hub.store.suite.harness import Stores, Suite

LEASE = 60.0


async def put(store: SqlStore, *, hub: str = HUB, most: int = 10) -> Job:
    job = Job(
        id=new_job_id(store.now()),
        hub=hub,
        type=JobType.UPSERT,
        output_container_uri="https://blobs.example/out?sig=secret",
        import_file_uri="https://blobs.example/in?sig=secret",
        input_properties={"a": "b"},
    )
    await store.put_job(job, most=most)
    return job


async def take(store: SqlStore, *hubs: str, owner: str = "one") -> list[Job]:
    return list(await store.take_jobs(hubs or [HUB], owner=owner, lease=LEASE))


class Jobs(Suite):
    async def test_a_job_is_read_as_it_was_put_and_of_its_hub_alone(self, store: SqlStore, clock: HostClock) -> None:
        job = await put(store)
        assert await store.job(HUB, job.id) == replace(job, created_at=clock(), updated_at=clock())
        with pytest.raises(NotFoundError):
            await store.job("other", job.id)

    async def test_jobs_are_listed_in_parts_the_newest_first(self, store: SqlStore, clock: HostClock) -> None:
        ids: list[str] = []
        for _ in range(3):
            ids.insert(0, (await put(store)).id)
            clock.advance(1)
        first = await store.jobs(HUB, limit=2)
        second = await store.jobs(HUB, after=first.next, limit=2)
        assert [each.id for each in (*first.items, *second.items)] == ids
        assert second.next == ""

    async def test_the_oldest_of_each_hub_is_taken_and_by_one_owner(self, store: SqlStore, clock: HostClock) -> None:
        oldest = await put(store)
        clock.advance(1)
        await put(store)
        other = await put(store, hub="other")
        assert {job.id for job in await take(store, HUB, "other", "empty")} == {oldest.id, other.id}
        assert await take(store, owner="two") == []
        assert [job.id for job in await take(store)] == [oldest.id]

    async def test_what_is_written_is_there_for_the_next_owner_once_the_lease_is_over(
        self, stores: Stores, store: SqlStore, clock: HostClock
    ) -> None:
        await put(store)
        (job,) = await take(store)
        cursor = JobCursor(position="7", total=9, etag='"e"', lines=3, failed_lines=1, output_blocks=2, failed_blocks=1)
        running = replace(job, status=JobStatus.RUNNING, progress=33.5, cursor=cursor)
        assert await store.write_job(running, owner="one", lease=LEASE)
        await stores.crash()
        store = await stores.open()
        assert await take(store, owner="two") == []
        clock.advance(LEASE + 1)
        (taken,) = await take(store, owner="two")
        assert replace(taken, updated_at=0) == replace(running, updated_at=0)
        assert not await store.write_job(replace(running, status=JobStatus.COMPLETED), owner="one", lease=LEASE)
        assert (await store.job(HUB, job.id)).status is JobStatus.RUNNING

    async def test_a_job_that_is_released_may_be_taken_at_once(self, store: SqlStore) -> None:
        await put(store)
        (job,) = await take(store)
        await store.release_job(job, owner="two")
        assert await take(store, owner="two") == []
        await store.release_job(job, owner="one")
        assert len(await take(store, owner="two")) == 1

    async def test_a_job_that_has_ended_has_no_signatures_and_is_taken_no_more(self, store: SqlStore) -> None:
        await put(store)
        (job,) = await take(store)
        await store.write_job(replace(job, status=JobStatus.FAILED, failure="gone"), owner="one", lease=LEASE)
        ended = await store.job(HUB, job.id)
        assert (ended.output_container_uri, ended.import_file_uri, ended.failure) == (
            "https://blobs.example/out",
            "https://blobs.example/in",
            "gone",
        )
        assert await take(store) == []

    async def test_no_more_than_so_many_wait_in_a_hub(self, store: SqlStore) -> None:
        await put(store, most=1)
        await put(store, hub="other", most=1)
        with pytest.raises(CapacityError):
            await put(store, most=1)

    async def test_old_jobs_are_forgotten(self, store: SqlStore, clock: HostClock) -> None:
        old = await put(store)
        clock.advance(100)
        new = await put(store)
        assert not await store.forget_jobs(kept=50)
        assert [each.id for each in (await store.jobs(HUB, limit=9)).items] == [new.id]
        with pytest.raises(NotFoundError):
            await store.job(HUB, old.id)
