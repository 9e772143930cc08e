"""What a group has committed is asked for no second time, unless others may have committed in between."""

import asyncio
from collections.abc import Mapping

from aiokafka import TopicPartition

from connectors.base import LogPartition
from connectors.kafka.commits import Commits
from connectors.lease import Lease

PARTITION = TopicPartition("orders", 0)


class Client:
    """A consumer whose commits are answered once `answers` is set."""

    def __init__(self) -> None:
        self.asked: list[Mapping[TopicPartition, int]] = []
        self.answers = asyncio.Event()

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        self.asked.append(dict(offsets))
        await self.answers.wait()


def leases() -> dict[TopicPartition, Lease]:
    return {PARTITION: Lease(LogPartition("hr/g", "orders", 0), 7)}


async def test_what_is_committed_is_not_committed_again() -> None:
    client = Client()
    client.answers.set()
    commits = Commits(client, within=10.0)
    await commits.commit(leases())
    await commits.commit(leases())
    assert client.asked == [{PARTITION: 7}]


async def test_a_commit_that_ends_after_partitions_were_dealt_out_again_counts_for_nothing() -> None:
    client = Client()
    commits = Commits(client, within=10.0)
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        group.create_task(commits.commit(leases()))
        while not client.asked:
            await asyncio.sleep(0)
        commits.forget()
        client.answers.set()
    await commits.commit(leases())
    assert client.asked == [{PARTITION: 7}] * 2
