"""The log's lines on silences, and on what they hold and drop."""

import structlog

from bridge.observe.lines import about
from bridge.observe.telemetry import Takes
from hub.facts import NotificationsSilenced, SilenceChanged, SilencesReleased
from hub.silence import Silence, SilenceAction

_log = structlog.get_logger("pushbridge")


class SilenceLog:
    """A line for each silence that begins or is removed, for each notification that one decides about, and for each slice
    that is released."""

    def __init__(self) -> None:
        self.takes: Takes = {
            SilenceChanged: self._silence_changed,
            NotificationsSilenced: self._notifications_silenced,
            SilencesReleased: self._silences_released,
        }

    def _silence_changed(self, fact: SilenceChanged) -> None:
        silence = fact.silence
        line = "silence removed" if silence.removed_by else "silence begun"
        _log.warning(line, **_said(silence), actor=silence.removed_by or silence.actor, detail=silence.reason)

    def _notifications_silenced(self, fact: NotificationsSilenced) -> None:
        for notification, silence in fact.silenced:
            line = "held by a silence" if silence.action is SilenceAction.HOLD else "dropped by a silence"
            _log.info(line, **about(notification), silence=silence.id)

    def _silences_released(self, fact: SilencesReleased) -> None:
        _log.info("released by the end of a silence", count=fact.count)


def _said(silence: Silence) -> dict[str, object]:
    named = {"rule": silence.rule, "source": silence.source, "hub": silence.hub}
    return {
        "silence": silence.id,
        "action": silence.action.value,
        **{kind: name for kind, name in named.items() if name},
        "for_seconds": round(silence.until - silence.at),
    }
