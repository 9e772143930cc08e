"""State on disk: what a client was told of is there after the process was killed."""

import asyncio
import sqlite3
import sys
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.exceptions import ServiceBusError

from sandbox.servicebus import EntityExistsError, QueueSettings, ServiceBus
from sandbox.servicebus.rules.rule import Rule, SqlFilter
from tests.sandbox.servicebus.bus import Bus, bodies, collect_sockets, connected, connected_to, numbered, receive
from tests.sandbox.servicebus.together import Stage, together

pytestmark = pytest.mark.asyncio(loop_scope="session")


@together
async def test_entities_messages_and_sessions_outlive_the_broker(stage: Stage) -> None:
    state = stage.directory / "outlive.db"
    async with ServiceBus(state_file=state) as broker, connected_to(broker) as bus:
        broker.create_queue("q", QueueSettings(lock_duration=60_000, max_delivery_count=5))
        broker.create_queue("sessions", QueueSettings(requires_session=True))
        broker.create_topic("t")
        broker.create_subscription("t", "s", rule=Rule(name="only", filter=SqlFilter("sys.Label = 'x'")))
        sender, receiver = await bus.ends("q")
        await sender.send_messages(numbered(6))
        completed, abandoned, deferred, dead, _ = await receive(receiver, 5)
        await receiver.complete_message(completed)
        await receiver.abandon_message(abandoned)
        await receiver.defer_message(deferred)
        await receiver.dead_letter_message(dead, reason="bad")
        session = await bus.receiver("sessions", session_id="a")
        await session.session.set_state(b"kept")
    async with ServiceBus(state_file=state) as broker, connected_to(broker) as bus:
        queue = broker.queue("q")
        assert queue.settings == QueueSettings(lock_duration=60_000, max_delivery_count=5)
        messages = {message.sequence_number: message for message in queue}
        assert sorted(messages) == [2, 3, 5, 6]
        assert (messages[2].delivery_count, messages[3].state.name) == (1, "DEFERRED")
        assert [message.sequence_number for message in broker.queue("q/$DeadLetterQueue")] == [4]
        assert sorted(broker.rules("t", "s")) == ["only"]
        assert await (await bus.receiver("sessions", session_id="a")).session.get_state() == b"kept"
        sender, receiver = await bus.ends("q")
        await sender.send_messages(ServiceBusMessage("new"))
        received = await receive(receiver, 4)
        assert bodies(received) == ["1", "4", "5", "new"]
        assert received[-1].sequence_number == 7


@together
async def test_numbers_go_on_where_they_were_though_all_messages_are_gone(stage: Stage) -> None:
    state = stage.directory / "numbers.db"
    for expected in (1, 2):
        async with ServiceBus(state_file=state) as broker, connected_to(broker) as bus:
            if expected == 1:
                broker.create_queue("q")
            sender, receiver = await bus.ends("q")
            await sender.send_messages(ServiceBusMessage("x"))
            (message,) = await receive(receiver)
            assert message.sequence_number == expected
            await receiver.complete_message(message)


@together
async def test_what_is_deleted_stays_deleted(stage: Stage) -> None:
    state = stage.directory / "deleted.db"
    async with ServiceBus(state_file=state) as broker, connected_to(broker) as bus:
        broker.create_topic("t")
        broker.create_subscription("t", "s")
        broker.create_queue("t-not")
        await bus.admin.delete_topic("t")
    async with ServiceBus(state_file=state) as broker:
        broker.create_topic("t")
        broker.create_subscription("t", "s")
        with pytest.raises(EntityExistsError):
            broker.create_queue("t-not")


@together
async def test_a_killed_broker_has_lost_nothing_that_it_has_confirmed(stage: Stage) -> None:
    """As a user runs it: by the command, ended by SIGKILL between two messages."""
    state = stage.directory / "killed.db"
    first, port = await _started(state, "--queue", "q", "--port", "0")
    try:
        confirmed = await _send_until_killed(first, port)
    finally:
        await _ended(first)
        collect_sockets()
    assert confirmed > 0
    second, port = await _started(state, "--port", str(port))
    try:
        async with _clients(port) as bus:
            received = await receive(await bus.receiver("q"), confirmed)
            assert bodies(received) == [str(number) for number in range(confirmed)]
    finally:
        await _ended(second)


@together
async def test_the_command_refuses_a_state_file_that_is_none(stage: Stage) -> None:
    state = stage.directory / "none.db"
    state.write_text("this is no database, and long enough to be seen as none of SQLite's at all")
    process = await _command("--state", str(state), "--port", "0")
    _, said = await process.communicate()
    assert process.returncode == 3
    assert said.decode().startswith("pushbridge: ")
    assert "not a database" in said.decode()


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state.db").write_text("no database, whatever its name may say about it, and long enough")
    with pytest.raises(sqlite3.DatabaseError):
        async with ServiceBus(state_file=tmp_path / "state.db"):
            pass


async def _send_until_killed(process: asyncio.subprocess.Process, port: int) -> int:
    """Kill a broker that is being sent to; how many messages it has confirmed."""
    confirmed = 0
    async with _clients(port) as bus:
        sender = await bus.sender("q")
        asyncio.get_running_loop().call_later(0.3, process.kill)
        while True:
            try:
                await sender.send_messages(ServiceBusMessage(str(confirmed)))
            except ServiceBusError:
                return confirmed
            confirmed += 1


async def test_a_file_that_another_broker_has_is_refused(tmp_path: Path) -> None:
    async with ServiceBus(state_file=tmp_path / "state.db"):
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            async with ServiceBus(state_file=tmp_path / "state.db"):
                pass


def _clients(port: int) -> AbstractAsyncContextManager[Bus]:
    string = f"Endpoint=sb://127.0.0.1:{port};SharedAccessKeyName=k;SharedAccessKey=v;UseDevelopmentEmulator=true"
    return connected(string, string, short_lock=timedelta(seconds=2))


async def _command(*arguments: str) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    command = (sys.executable, "-m", "bridge", "sandbox", *arguments)
    return await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)


async def _started(state: Path, *arguments: str) -> tuple[asyncio.subprocess.Process, int]:
    """The command once it serves, and its port."""
    process = await _command("--state", str(state), *arguments)
    assert process.stdout is not None
    line = (await asyncio.wait_for(process.stdout.readline(), 20)).decode()
    return process, int(line.split("127.0.0.1:")[1].split(",")[0])


async def _ended(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.wait()
