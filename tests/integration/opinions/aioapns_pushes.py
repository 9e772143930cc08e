"""Sends notifications to an APNs with aioapns, all at once; run by `test_clients.py` in a process that can import it.

python aioapns_pushes.py PORT CA_FILE KEY_FILE KEY_ID TEAM_ID TOPIC

Standard input is a JSON array of notifications, standard output one of what became of each, in the same order.
"""

import asyncio
import json
import ssl
import sys
from pathlib import Path
from typing import Any

from aioapns import APNs, NotificationRequest, PushType
from aioapns.connection import APNsProductionClientProtocol


async def push(client: APNs, asked: dict[str, Any]) -> dict[str, Any]:
    """What the library says of one."""
    request = NotificationRequest(
        device_token=asked["token"],
        message=asked["payload"],
        notification_id=asked["id"],
        priority=asked["priority"],
        push_type=PushType(asked["type"]),
        collapse_key=asked["collapseId"],
        apns_topic=asked["topic"],
    )
    answer = await client.send_notification(request)
    return {
        "status": int(answer.status),
        "reason": answer.description or "",
        "id": answer.notification_id,
        "timestamp": answer.timestamp or 0,
    }


async def main(port: int, ca_file: str, key_file: str, key_id: str, team_id: str, topic: str) -> None:
    """Push, and print."""
    APNsProductionClientProtocol.APNS_SERVER = "127.0.0.1"
    APNsProductionClientProtocol.APNS_PORT = port
    client = APNs(
        key=Path(key_file).read_text(),
        key_id=key_id,
        team_id=team_id,
        topic=topic,
        max_connections=2,
        ssl_context=ssl.create_default_context(cafile=ca_file),
    )
    asked = json.load(sys.stdin)
    print(json.dumps(await asyncio.gather(*(push(client, each) for each in asked))))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), *sys.argv[2:]))
