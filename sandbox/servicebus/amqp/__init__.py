"""AMQP 1.0 (OASIS, 2012) as far as a broker needs it, knowing nothing of Service Bus; read `types.py` first."""

from sandbox.servicebus.amqp.errors import AmqpError, DecodeError

__all__ = ["AmqpError", "DecodeError"]
