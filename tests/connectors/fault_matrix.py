"""Which faults are tried on which sources, and which on which publishers; `docs/sources.md` has the tables.

`python -m tests.connectors.fault_matrix` writes them there. A cell names a test, or says why the fault does not apply.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

TESTS: Final = Path(__file__).parents[1]
PAGE: Final = TESTS.parent / "docs" / "sources.md"

_SUITE: Final = "integration/test_source_faults.py::Test{}"
_OUT: Final = "integration/test_publisher_faults.py::Test{}"
_SERVED: Final = ("RabbitMQ", "Kafka", "Service Bus", "SQL")
_CLASSES: Final = {"RabbitMQ": "RabbitMq", "Kafka": "Kafka", "Service Bus": "ServiceBus", "SQL": "Postgres"}

SUITE_FAULTS: Final = (
    "the server is not there",
    "the connection is cut: in the handshake, as it subscribes, idle, at a delivery, at a settlement, at its answer",
    "half-open: the connection stays and nothing passes, at each of these moments",
    "other bytes than the server sent: in the handshake, at a delivery, at the answer to a settlement",
    "answers that drip in",
)
PUBLISHER_FAULTS: Final = (
    "the connection is cut: in the handshake, at a message, at its confirm",
    "half-open at each of these moments",
    "other bytes than the server sent",
    "a confirm that is late",
)

_ITS_SERVER: Final = "no: it is the server"
_NO_NETWORK: Final = "no: there is no connection"


def _all(fault: str, **others: str) -> tuple[str, Mapping[str, str]]:
    return fault, {name: _SUITE.format(_CLASSES[name]) for name in _SERVED} | others


SOURCES: Final[Sequence[tuple[str, Mapping[str, str]]]] = (
    _all(
        SUITE_FAULTS[0],
        Files="connectors/test_files.py::test_a_directory_that_is_missing_or_a_file_is_named",
        HTTP=_ITS_SERVER,
    ),
    _all(
        SUITE_FAULTS[1],
        Files="connectors/test_files.py::TestFilesSource",
        HTTP="connectors/test_http.py::test_a_sender_that_goes_away_while_it_sends_leaves_nothing_behind",
    ),
    _all(
        SUITE_FAULTS[2],
        Files="no: a mount that hangs cannot be made without the rights of root; it is given up after 30 s",
        HTTP="bridge/test_connections.py::test_the_header_of_a_request_has_a_time_of_its_own",
    ),
    _all(
        SUITE_FAULTS[3],
        Files="no: any bytes are a record",
        HTTP="integration/test_attacks.py::test_an_ambiguous_request_is_answered_400_and_its_connection_closed",
    ),
    _all(
        SUITE_FAULTS[4],
        Files="connectors/test_files.py::test_a_file_that_is_written_to_is_left_until_it_is_complete",
        HTTP="bridge/test_connections.py::test_a_header_that_is_dripped_in_is_given_up_too",
    ),
    (
        "the server ends and starts again",
        {
            "RabbitMQ": "integration/test_rabbitmq_source.py::test_messages_survive_a_restart_of_the_broker",
            "Kafka": "integration/test_kafka_daemon.py"
            "::test_a_broker_that_is_away_at_the_start_and_again_later_costs_nothing",
            "Service Bus": "integration/test_servicebus_outages.py"
            "::test_a_broker_that_comes_back_has_everything_that_was_not_settled",
            "SQL": "integration/test_sql_daemon.py"
            "::test_a_database_that_is_away_is_named_and_the_source_goes_on_when_it_comes",
            "Files": _NO_NETWORK,
            "HTTP": _ITS_SERVER,
        },
    ),
    (
        "fenced: what was handed out is another's by now",
        {
            "RabbitMQ": "integration/test_rabbitmq_source.py"
            "::test_a_message_that_is_held_for_too_long_costs_the_channel_and_comes_again",
            "Kafka": "integration/test_kafka_source.py::test_what_was_given_to_others_in_between_is_refused_by_the_store",
            "Service Bus": "integration/test_servicebus_source.py"
            "::test_a_lock_that_the_broker_took_away_is_known_to_be_lost_and_settling_it_is_no_error",
            "SQL": "integration/test_sql_source.py"
            "::test_two_processes_share_the_rows_and_a_locked_row_holds_up_no_other",
            "Files": "connectors/test_files.py::test_a_file_is_one_process_s_and_another_s_after_its_end",
            "HTTP": "connectors/test_http.py::test_a_request_that_nobody_settles_in_time_is_taken_back",
        },
    ),
    (
        "what is there is another than configured (406 and its like)",
        {
            "RabbitMQ": "integration/test_rabbitmq_source.py::test_a_queue_with_other_settings_is_reported_and_left_alone",
            "Kafka": "integration/test_kafka_source.py::test_a_missing_topic_is_named",
            "Service Bus": "integration/test_servicebus_topology.py"
            "::test_a_subscription_with_other_settings_is_reported_and_used_as_it_is",
            "SQL": "integration/test_sql_source.py::test_a_table_or_a_column_that_is_missing_is_named",
            "Files": "connectors/test_files.py::test_a_directory_that_is_missing_or_a_file_is_named",
            "HTTP": _ITS_SERVER,
        },
    ),
    (
        "cancelled: the server ends the subscription and keeps the connection",
        {
            "RabbitMQ": "integration/test_rabbitmq_source.py"
            "::test_a_deleted_queue_ends_the_connection_and_a_new_one_creates_it_again",
            "Kafka": "integration/test_kafka_groups.py::test_a_right_that_is_taken_away_while_the_source_runs_is_named",
            "Service Bus": "integration/test_servicebus_outages.py::test_a_link_that_is_detached_is_a_lost_connection",
            "SQL": "no: each question is one of its own",
            "Files": "no: each look is one of its own",
            "HTTP": _ITS_SERVER,
        },
    ),
    (
        "blocked: the server has no room, or somebody holds a lock",
        {
            "RabbitMQ": "integration/test_rabbitmq_publisher.py"
            "::test_a_broker_that_blocks_publishers_is_told_in_time_and_publishing_resumes_after_it",
            "Kafka": "no: the broker blocks no reader",
            "Service Bus": "integration/test_servicebus_source.py"
            "::test_a_broker_that_is_too_busy_to_renew_is_asked_again",
            "SQL": "integration/test_sql_source.py::test_a_table_that_is_locked_or_a_user_without_rights_is_named",
            "Files": "connectors/test_files.py::test_a_file_that_is_written_to_is_left_until_it_is_complete",
            "HTTP": _ITS_SERVER,
        },
    ),
    (
        "a settlement that is not answered",
        {
            "RabbitMQ": "no: the broker answers none",
            "Kafka": _SUITE.format("Kafka"),
            "Service Bus": "integration/test_servicebus_outages.py"
            "::test_a_settlement_that_is_not_answered_is_unknown_and_comes_again_unless_it_was_done",
            "SQL": _SUITE.format("Postgres"),
            "Files": _NO_NETWORK,
            "HTTP": "bridge/test_http_answers.py"
            "::test_an_answer_says_what_became_of_each_event_and_a_repetition_keeps_nothing_more",
        },
    ),
)

_PLACES: Final = {"RabbitMQ": "RabbitMq", "Kafka": "Kafka", "Service Bus": "ServiceBus", "HTTP": "Http"}
PUBLISHERS: Final[Sequence[tuple[str, Mapping[str, str]]]] = tuple(
    (fault, {name: _OUT.format(place) for name, place in _PLACES.items()}) for fault in PUBLISHER_FAULTS
)

_SHORT: Final = {"integration/test_source_faults.py": "the suite", "integration/test_publisher_faults.py": "the suite"}


def cells() -> list[str]:
    """Every cell of both tables."""
    return [cell for table in (SOURCES, PUBLISHERS) for _, row in table for cell in row.values()]


def tables() -> str:
    """Both tables as the page has them, with the tests below as notes."""
    notes: dict[str, int] = {}
    parts = []
    for title, table in (("A source", SOURCES), ("What is published", PUBLISHERS)):
        names = list(table[0][1])
        parts += ["", f"| {title} | {' | '.join(names)} |", "|---" * (1 + len(names)) + "|"]
        parts += [f"| {fault} | {' | '.join(_shown(row[name], notes) for name in names)} |" for fault, row in table]
    parts += ["", *(f"{number}. `{test}`" for test, number in notes.items())]
    return "\n".join(parts).strip()


def _shown(cell: str, notes: dict[str, int]) -> str:
    file, is_test, _ = cell.partition("::")
    if not is_test:
        return cell
    return _SHORT.get(file) or f"yes ({notes.setdefault(cell, len(notes) + 1)})"


_BEGIN: Final = "<!-- written by tests/connectors/fault_matrix.py -->\n\n"
_END: Final = "\n\n<!-- end -->"


def page_with(text: str) -> str:
    """The page with the tables in their place."""
    return re.sub(f"{_BEGIN}.*?{_END}", lambda _: f"{_BEGIN}{tables()}{_END}", text, flags=re.DOTALL)


if __name__ == "__main__":
    PAGE.write_text(page_with(PAGE.read_text("utf-8")), "utf-8")
