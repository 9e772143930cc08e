"""What the log says of facts: where, how much, and what to do."""

from structlog.testing import capture_logs

from bridge.observe.fact_log import FactLog
from hub.facts import RemovalBrakeChanged
from hub.notification import Platform


def test_a_brake_on_removals_names_the_service_the_share_and_what_to_do_and_its_end_names_the_cause() -> None:
    log = FactLog()
    with capture_logs() as lines:
        for fact in (
            RemovalBrakeChanged(hub="app", platform=Platform.FCM, is_on=True, share=0.43219),
            RemovalBrakeChanged(hub="app", platform=Platform.FCM, is_on=False, share=0.19, why="the share has fallen"),
        ):
            log.takes[RemovalBrakeChanged](fact)
    on, off = lines
    meaning = on.pop("meaning")
    assert "compare topic, key, package and environment" in meaning
    assert "pushbridge devices restore --since 2h --hub app" in meaning
    assert on == {
        "event": "no phone is removed: too many push channels are called dead",
        "log_level": "warning",
        "hub": "app",
        "platform": "fcmv1",
        "share": 0.432,
    }
    assert off == {
        "event": "phones are removed again",
        "log_level": "info",
        "hub": "app",
        "platform": "fcmv1",
        "share": 0.19,
        "cause": "the share has fallen",
    }
