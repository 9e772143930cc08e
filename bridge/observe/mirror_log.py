"""The log's lines on hubs that mirror another one."""

from collections.abc import Mapping

from bridge.logger import structlog
from bridge.observe.lines import MAX_REASON, about
from bridge.observe.telemetry import Takes
from hub.facts import (
    Compared,
    DeviceMirrored,
    MirrorAnswer,
    MirrorFailed,
    MirrorListed,
    MirrorWork,
    MirrorWrite,
    SendCompared,
)
from hub.notification import Platform

_log = structlog.get_logger("pushbridge")


class MirrorLog:
    """A line for each send that differs. What cannot be done is a line for each cause, until it is done again.

    How many sends are compared in a second bounds the lines.
    """

    def __init__(self) -> None:
        self._not_compared: set[str] = set()  # hubs
        self._failing: set[tuple[str, MirrorWork, str]] = set()
        self.takes: Takes = {
            SendCompared: self._send_compared,
            DeviceMirrored: self._device_mirrored,
            MirrorListed: self._mirror_listed,
            MirrorFailed: self._mirror_failed,
        }

    def _send_compared(self, fact: SendCompared) -> None:
        """One line for the first that is not compared after some that were."""
        numbers = {"here": _counts(fact.here), "remote": _counts(fact.there)}
        hub = fact.notification.hub
        if fact.result is Compared.DIFFERENT:
            _log.warning(
                "the remote hub reached others than would have been reached here", **about(fact.notification), **numbers
            )
        elif fact.result is Compared.NEWER:
            detail = "registrations that only one of the hubs knew when this was sent explain the difference"
            _log.info(
                "the remote hub reached newer registrations", **about(fact.notification), **numbers, detail=detail
            )
        if fact.result in (Compared.EQUAL, Compared.NEWER, Compared.DIFFERENT):
            self._not_compared.discard(hub)
        elif hub not in self._not_compared:
            self._not_compared.add(hub)
            _log.warning(
                "not compared with the remote hub", **about(fact.notification), reason=fact.detail[:MAX_REASON]
            )

    def _device_mirrored(self, fact: DeviceMirrored) -> None:
        if fact.outcome is MirrorWrite.REFUSED:
            _log.warning("a device is refused by the remote hub", hub=fact.hub, reason=fact.detail[:MAX_REASON])
        else:
            self._works(fact.hub, MirrorWork.WRITE)

    def _mirror_listed(self, fact: MirrorListed) -> None:
        self._works(fact.hub, MirrorWork.LIST)
        counts = {answer.value: count for answer, count in fact.answers.items() if count}
        if counts:
            seconds = round(fact.seconds, 1)
            _log.info(
                "remote hub listed", hub=fact.hub, registrations=fact.registrations, seconds=seconds, devices=counts
            )
        if missing := fact.answers.get(MirrorAnswer.MISSING):
            _log.warning("the remote hub lists many devices no more: they stay here", hub=fact.hub, devices=missing)
        if refused := fact.answers.get(MirrorAnswer.REFUSED):
            _log.warning("the remote hub has devices that no hub can keep", hub=fact.hub, devices=refused)

    def _mirror_failed(self, fact: MirrorFailed) -> None:
        cause = (fact.hub, fact.work, fact.cause)
        if cause not in self._failing:
            self._failing.add(cause)
            what = "written to" if fact.work is MirrorWork.WRITE else "listed"
            _log.warning(
                f"the remote hub cannot be {what}, and is tried again", hub=fact.hub, reason=fact.cause[:MAX_REASON]
            )

    def _works(self, hub: str, work: MirrorWork) -> None:
        failing = {each for each in self._failing if each[:2] == (hub, work)}
        if failing:
            self._failing -= failing
            what = "written to" if work is MirrorWork.WRITE else "listed"
            _log.info(f"the remote hub is {what} again", hub=hub)


def _counts(pushes: Mapping[Platform, int]) -> dict[str, int]:
    return dict(sorted((platform.value, count) for platform, count in pushes.items()))
