"""Pushes to a stand-in of APNs with aioapns; run by `pushers.py` in a process where that can be imported.

python aioapns_pushes.py PORT CA_FILE KEY_FILE PUSHES

It imports nothing of this house. It prints the seconds of CPU that the pushes took.
"""

import asyncio
import ssl
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from aioapns import APNs, NotificationRequest, PushType
from aioapns.connection import APNsProductionClientProtocol

_IN_FLIGHT, _CONNECTIONS = 1000, 4
_MESSAGE = {"aps": {"alert": {"title": "Bench", "body": "For you: round 1"}, "sound": "default"}}


async def push_all(client: APNs, numbers: Iterator[int]) -> None:
    """One after the other."""
    for number in numbers:
        request = NotificationRequest(
            device_token=f"{number:064X}",
            message=_MESSAGE,
            notification_id=f"00000000-0000-4000-8000-{number:012x}",
            priority="10",
            push_type=PushType.ALERT,
        )
        answer = await client.send_notification(request)
        if not answer.is_successful:
            raise SystemExit(f"push {number}: {answer.status} {answer.description}")


async def main(port: int, ca_file: str, key_file: str, pushes: int) -> None:
    """Push, and print."""
    APNsProductionClientProtocol.APNS_SERVER = "127.0.0.1"
    APNsProductionClientProtocol.APNS_PORT = port
    context = ssl.create_default_context(cafile=ca_file)
    context.set_alpn_protocols(["h2"])  # aioapns leaves it out, as Apple's servers take HTTP/2 for granted
    client = APNs(
        key=Path(key_file).read_text(),
        key_id="ABC123DEFG",
        team_id="DEF123GHIJ",
        topic="com.example.bench",
        max_connections=_CONNECTIONS,
        ssl_context=context,
    )
    before = time.process_time()
    numbers = iter(range(pushes))
    await asyncio.gather(*(push_all(client, numbers) for _ in range(_IN_FLIGHT)))
    print(time.process_time() - before)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])))
