"""The broker's side of one AMQP connection (part 2, section 4): opening, sessions, closing."""

import asyncio
import socket
import struct
import sys
from enum import Enum
from typing import cast

from sandbox.servicebus.amqp import AmqpError, DecodeError
from sandbox.servicebus.amqp.delivery_states import described_error
from sandbox.servicebus.amqp.framing import (
    AMQP,
    HEARTBEAT,
    MAX_FRAME_SIZE,
    PROTOCOL_HEADER,
    SASL,
    SASL_HEADER,
    Frame,
    FrameReader,
    frame,
)
from sandbox.servicebus.amqp.performatives import (
    Begin,
    Close,
    End,
    Open,
    Performative,
    SaslInit,
    SaslMechanisms,
    SaslOutcome,
    read_performative,
)
from sandbox.servicebus.amqp.types import Array, Symbol, UByte, UInt, UShort
from sandbox.servicebus.broker import Broker
from sandbox.servicebus.policies import Grant
from sandbox.servicebus.session import Session

MECHANISMS = ("ANONYMOUS", "PLAIN", "EXTERNAL", "MSSBCBS")
IDLE_TIME_OUT = 240_000
"""Milliseconds; told to clients, not enforced."""

_NO_LINGER = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
"""Switched on, for no time: what is closed is reset (socket(7), SO_LINGER)."""


class _Stage(Enum):
    """What comes next: a protocol header, or frames of this type."""

    HEADER = -1
    AMQP = AMQP
    SASL = SASL


class AmqpConnection(asyncio.Protocol):
    """One client's connection; adds itself to `connections` while it lives.

    What it says waits until the broker has kept what came before, and goes out in one piece then.
    """

    def __init__(self, broker: Broker, connections: set["AmqpConnection"]) -> None:
        self.broker = broker
        self.sessions: dict[int, Session] = {}
        self.grants: list[Grant] = []
        """What its tokens allow, where the broker has policies."""
        self.max_frame_size = 512
        self.lost = asyncio.get_running_loop().create_future()
        self._connections = connections
        self._reader = FrameReader()
        self._transport: asyncio.Transport
        self._stage = _Stage.HEADER
        self._closing = False
        self._blind = False
        self._out: list[bytes] = []
        self._not_before = 0.0
        self._heartbeat: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own does not inherit from it
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        if self._heartbeat is not None:
            self._heartbeat.cancel()
        for session in self.sessions.values():
            session.drop()
        self.sessions.clear()
        self.lost.set_result(None)

    def data_received(self, data: bytes) -> None:
        if self.broker.faults.silent:
            self._blind = True
            return
        if self._blind:
            self.abort()
            return
        self._reader.feed(data)
        try:
            self._take()
        except AmqpError as error:
            self.close(error)

    def pause_writing(self) -> None:
        """A client that does not read its answers is not read either."""
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._transport.resume_reading()

    def abort(self) -> None:
        """End it without another byte: the client sees a reset, as from a machine that is gone."""
        self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self._transport.abort()

    def close(self, error: AmqpError | None = None) -> None:
        """Say why, and end it."""
        if not self._closing:
            self.send(0, Close(None if error is None else described_error(error)))
            self._closing = True

    def send(self, channel: int, performative: Performative, payload: bytes = b"", *, kind: int = AMQP) -> None:
        """Say something in the next flush."""
        if self._closing:
            return
        if self.broker.faults.trace is not None:
            self.broker.faults.trace("out", channel, performative)
        self._write(frame(channel, performative.encode() + payload, kind=kind))

    def flush(self) -> None:
        """Say all of it; the end too, if that was said."""
        data = b"".join(self._out)
        self._out.clear()
        if self._transport.is_closing():
            return
        if self.broker.faults.silent:
            self._blind = True
            return
        delay = self.broker.faults.delay
        loop = asyncio.get_running_loop()
        if not delay and self._not_before <= loop.time():
            self._speak(data, self._closing)
        else:  # never at the same moment: the loop does not keep the order of equal times
            self._not_before = max(self._not_before + 0.000_001, loop.time() + delay)
            loop.call_at(self._not_before, self._speak, data, self._closing)

    def _speak(self, data: bytes, last: bool) -> None:
        self._transport.write(data)
        if last:
            self._transport.close()

    def _write(self, data: bytes) -> None:
        if not self._out:
            self.broker.flush_soon(self)
        self._out.append(data)

    def _take(self) -> None:
        """Handle everything that is complete."""
        while True:
            if self._stage is _Stage.HEADER:
                header = self._reader.protocol_header()
                if header is None:
                    return
                self._greet(header)
                continue
            received = self._reader.frame()
            if received is None:
                return
            if received.kind != self._stage.value:
                raise DecodeError(f"a frame of the type {received.kind} is not expected here")
            if received.body and not self._closing:
                performative, payload = read_performative(received.body)
                if self.broker.faults.trace is not None:
                    self.broker.faults.trace("in", received.channel, performative)
                self._handle(received, performative, payload)

    def _greet(self, header: bytes) -> None:
        """Answer a protocol header; after SASL comes another."""
        if header == SASL_HEADER:
            self._stage = _Stage.SASL
            self._write(SASL_HEADER)
            mechanisms = [Symbol(mechanism) for mechanism in MECHANISMS]
            self.send(0, SaslMechanisms(Array(0xA3, mechanisms)), kind=SASL)
        elif header == PROTOCOL_HEADER:
            self._stage = _Stage.AMQP
            self._write(PROTOCOL_HEADER)
        else:
            raise DecodeError(f"{header!r} is no protocol header of AMQP 1.0")

    def _handle(self, received: Frame, performative: Performative, payload: bytes) -> None:
        match performative:
            case SaslInit():
                self.send(0, SaslOutcome(UByte(0)), kind=SASL)
                self._stage = _Stage.HEADER
            case Open():
                self._open(performative)
            case Begin():
                self.sessions[received.channel] = Session(self, received.channel, performative)
            case End():
                session = self.sessions.pop(received.channel, None)
                if session is not None:
                    session.drop()
                    self.send(received.channel, End())
            case Close():
                for session in self.sessions.values():
                    session.drop()
                self.sessions.clear()
                self.close()
            case _ if received.channel in self.sessions:
                self.sessions[received.channel].handle(performative, payload)
            case _:
                pass  # clients detach their management links on a channel that they have ended

    def _open(self, opening: Open) -> None:
        self.max_frame_size = max(opening.max_frame_size or 2**32 - 1, 512)
        self.send(
            0,
            Open(
                container_id="pushbridge-sandbox",
                max_frame_size=UInt(MAX_FRAME_SIZE),
                channel_max=UShort(255),
                idle_time_out=UInt(IDLE_TIME_OUT),
            ),
        )
        if opening.idle_time_out:
            self._beat(opening.idle_time_out / 2000)

    def _beat(self, interval: float) -> None:
        """Keep a client from thinking that we are gone: something at least every half of its time-out."""
        self._write(HEARTBEAT)
        self._heartbeat = asyncio.get_running_loop().call_later(interval, self._beat, interval)
