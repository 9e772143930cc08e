"""Rights of users at a broker, as an operator grants them with kafka-acls."""

from collections.abc import Collection, Sequence

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import CreateAclsRequest

from tests.brokers.kafka import LIMITED, Kafka

TOPIC, GROUP = 2, 3
_OPERATIONS = {"Read": 3, "Write": 4, "Describe": 8}
_LITERAL, _DENY, _ALLOW = 3, 2, 3


async def grant(kafka: Kafka, kind: int, name: str, rights: Collection[str], *, user: str = LIMITED) -> None:
    """Allow these operations on a topic or a group, and nobody any other: with one ACL it is open to all no more."""
    granted = [(kind, name, _LITERAL, f"User:{user}", "*", _OPERATIONS[right], _ALLOW) for right in rights]
    granted.append((kind, name, _LITERAL, "User:somebody-else", "*", _OPERATIONS["Describe"], _ALLOW))
    await _create(kafka, granted)


async def deny(kafka: Kafka, kind: int, name: str, right: str, *, user: str = LIMITED) -> None:
    """Forbid an operation, whatever else is granted: Read and Write bring Describe with them."""
    await _create(kafka, [(kind, name, _LITERAL, f"User:{user}", "*", _OPERATIONS[right], _DENY)])


async def _create(kafka: Kafka, acls: Sequence[tuple[int | str, ...]]) -> None:
    client = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await client.start()
    try:
        for each in acls:
            answer = await client._send_request(CreateAclsRequest(*each))
            assert [error for error, _ in answer.creation_responses] == [0], answer
    finally:
        await client.close()
