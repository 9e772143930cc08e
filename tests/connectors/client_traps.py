"""What cost others an outage with these clients, and the tests that keep it from us.

`S` is azure-servicebus, `K` aiokafka, `P` pika. A trap is said in a few words; where there is no test, it says why.
"""

from collections.abc import Mapping, Sequence
from typing import Final

_SB_SOURCE, _SB_OUTAGES = "integration/test_servicebus_source.py", "integration/test_servicebus_outages.py"
_SB_SESSIONS, _LOCKS = "integration/test_servicebus_sessions.py", "connectors/servicebus/test_locks.py"
_KAFKA, _GROUPS = "integration/test_kafka_source.py", "integration/test_kafka_groups.py"
_CONSUMER = "connectors/kafka/test_consumer.py"
_RABBIT, _RABBIT_OUT = "integration/test_rabbitmq_source.py", "integration/test_rabbitmq_publisher.py"
_BEHAVIOUR, _FAULTS = "connectors/behaviour.py", "integration/test_source_faults.py"

TRAPS: Final[Mapping[str, tuple[str, Sequence[str] | str]]] = {
    "S1": (
        "prefetched messages hold locks that nobody renews",
        [
            f"{_SB_SOURCE}::test_no_more_are_out_than_the_credit_whatever_is_asked_for",
            "connectors/servicebus/test_settings.py::test_a_topic_and_a_subscription_are_enough_and_hold_nothing_back",
        ],
    ),
    "S2": (
        "the SDK renews for five minutes, and is silent about failures",
        [
            f"{_SB_SOURCE}::test_locks_are_renewed_while_a_batch_is_on_its_way",
            f"{_SB_SOURCE}::test_a_lock_is_not_renewed_for_longer_than_configured",
        ],
    ),
    "S3": (
        "a loss of the link calls nobody",
        [f"{_LOCKS}::test_a_lock_that_is_about_to_run_out_counts_as_lost"],
    ),
    "S4": (
        "a process that was blocked settles on a link that is gone",
        [f"{_SB_OUTAGES}::test_settling_over_a_lost_connection_says_so_and_opens_no_other"],
    ),
    "S5": (
        "a settlement that the broker never confirmed",
        [f"{_SB_OUTAGES}::test_a_settlement_that_is_not_answered_is_unknown_and_comes_again_unless_it_was_done"],
    ),
    "S6": (
        "closing leaves messages locked",
        [f"{_SB_SOURCE}::test_closing_gives_back_what_is_not_settled_at_once"],
    ),
    "S7": (
        "receivers and attempts to connect that are never let go of",
        [
            f"{_SB_OUTAGES}::test_neither_idle_sessions_nor_connections_that_end_leave_tls_contexts_to_the_garbage_collector",
            f"{_SB_OUTAGES}::test_an_attempt_that_fails_leaves_nothing_to_the_garbage_collector_however_long_the_outage",
            f"{_SB_OUTAGES}::test_a_broker_that_hangs_up_in_a_handshake_leaves_no_socket_open",
        ],
    ),
    "S8": ("a renewer that keeps every message", [f"{_LOCKS}::test_what_is_released_is_not_renewed"]),
    "S9": (
        "a request that returns early, or at once with nothing",
        [f"{_SB_SOURCE}::test_a_large_backlog_comes_in_large_batches_and_is_settled_in_full"],
    ),
    "S10": (
        "a link that is detached when idle, and a client that goes deaf",
        [
            f"{_SB_OUTAGES}::test_a_broker_that_falls_silent_is_found_out",
            f"{_SB_OUTAGES}::test_a_link_that_is_detached_is_a_lost_connection",
        ],
    ),
    "S11": (
        "errors of the SDK's own code after idle times",
        [f"{_SB_OUTAGES}::test_a_client_that_has_gone_deaf_is_found_out"],
    ),
    "S12": (
        "no session to take is an error of time",
        [f"{_SB_SESSIONS}::test_a_source_without_sessions_waiting_is_connected_and_idle"],
    ),
    "S13": (
        "a session that is lost takes its lock along",
        [f"{_SB_SESSIONS}::test_a_session_that_is_lost_takes_its_messages_along_and_nothing_else"],
    ),
    "S14": (
        "tries of ten that are over in a second",
        ["integration/test_servicebus_daemon.py::test_locks_are_held_for_as_long_as_the_store_is_away"],
    ),
    "S15": (
        "a reason that makes a dead letter too large",
        [f"{_SB_SOURCE}::test_a_rejected_message_is_dead_lettered_with_its_reason_within_bounds"],
    ),
    "S16": (
        "the rule that lets everything through stays",
        [
            "integration/test_servicebus_topology.py"
            "::test_nothing_that_the_rules_do_not_let_through_comes_from_the_first_moment_on"
        ],
    ),
    "K1": (
        "a commit that fails in a rebalance ends the loop",
        [f"{_KAFKA}::test_a_storm_of_members_that_come_and_go_loses_nothing"],
    ),
    "K2": (
        "a commit of what was handed out and not of what is done",
        [f"{_KAFKA}::test_the_store_says_where_to_begin_and_the_broker_is_told_how_far_it_is"],
    ),
    "K3": (
        "a callback of a rebalance whose work is not awaited",
        [
            f"{_KAFKA}::test_what_was_given_to_others_in_between_is_refused_by_the_store",
            f"{_GROUPS}::test_a_store_that_is_away_as_partitions_come_is_no_source_that_reads_nothing",
        ],
    ),
    "K4": (
        "a drain that is longer than the session evicts its member",
        [
            f"{_GROUPS}::test_a_drain_that_is_longer_than_the_session_evicts_nobody",
            f"{_CONSUMER}::test_a_rebalance_waits_longer_than_a_drain_takes",
        ],
    ),
    "K5": (
        "who has no room and asks for nothing leaves the group",
        [f"{_GROUPS}::test_a_full_source_is_no_process_that_asks_for_nothing"],
    ),
    "K6": (
        "a client that stays stuck after a restart or a join",
        [
            f"{_FAULTS}::TestKafka",
            "bridge/test_supervisor.py::test_a_client_that_hands_out_nothing_though_there_is_a_backlog_is_rebuilt_too",
            "integration/test_kafka_daemon.py::test_a_broker_that_is_away_at_the_start_and_again_later_costs_nothing",
        ],
    ),
    "K7": (
        "errors of the coordinator are parked until somebody asks for records",
        [f"{_GROUPS}::test_a_right_that_is_taken_away_while_the_source_runs_is_named"],
    ),
    "K8": (
        "static members: no leave at a stop, and a fence without a class",
        [
            f"{_GROUPS}::test_two_processes_with_one_static_name_take_it_from_each_other_and_lose_nothing",
            f"{_GROUPS}::test_a_static_member_has_its_partitions_over_a_restart_and_nobody_is_asked_to_join",
            f"{_CONSUMER}::test_membership_is_static_where_it_is_asked_for_alone",
        ],
    ),
    "K9": (
        "each join stops the whole group",
        [
            f"{_CONSUMER}::test_a_rebalance_leaves_a_member_what_it_has_where_it_can",
            f"{_GROUPS}::test_a_static_member_has_its_partitions_over_a_restart_and_nobody_is_asked_to_join",
        ],
    ),
    "K10": (
        "heartbeats that busy handlers hold up",
        [
            "connectors/kafka/test_settings.py"
            "::test_the_defaults_keep_open_transactions_out_and_give_a_busy_process_time",
            "bridge/test_offload.py::test_the_loop_goes_on_while_the_work_runs",
        ],
    ),
    "K11": (
        "a decoder that raises within the client",
        [
            f"{_CONSUMER}::test_nothing_is_committed_or_decoded_by_the_client_itself",
            "integration/test_kafka_daemon.py::test_an_event_becomes_a_push_and_poison_goes_to_a_topic_of_its_own",
        ],
    ),
    "K12": (
        "transactions that were aborted are read",
        [f"{_KAFKA}::test_open_and_aborted_transactions_are_left_out_and_their_marks_are_no_backlog"],
    ),
    "K13": (
        "rebalances without an end",
        [
            f"{_CONSUMER}::test_a_rebalance_without_an_end_is_a_lost_connection",
            "bridge/test_supervisor.py::test_a_group_that_does_not_come_to_rest_is_named_until_it_has_for_ten_minutes",
        ],
    ),
    "K14": (
        "an argument that was taken out",
        [f"{_CONSUMER}::test_nothing_is_committed_or_decoded_by_the_client_itself"],
    ),
    "P1": (
        "calls from other threads",
        [
            "connectors/rabbitmq/test_connection.py::test_nothing_of_the_connector_leaves_the_loop",
            f"{_RABBIT_OUT}::test_calls_at_the_same_time_get_their_own_confirms",
        ],
    ),
    "P2": (
        "a tag of an earlier channel closes the new one",
        [
            f"{_BEHAVIOUR}::test_a_receipt_of_an_earlier_connection_is_passed_over",
            f"{_BEHAVIOUR}::test_settling_twice_is_settling_once",
        ],
    ),
    "P3": (
        "nothing connects again",
        [f"{_FAULTS}::TestRabbitMq", f"{_RABBIT}::test_messages_survive_a_restart_of_the_broker"],
    ),
    "P4": (
        "heartbeats",
        [
            f"{_RABBIT}::test_a_silent_network_is_noticed_by_the_heartbeat_and_closing_does_not_wait_for_it",
            "connectors/rabbitmq/test_settings.py::test_silence_and_a_broker_that_blocks_have_an_end_by_default",
        ],
    ),
    "P5": (
        "publishing hangs while the broker has an alarm",
        [
            f"{_RABBIT_OUT}::test_a_broker_that_blocks_publishers_is_told_in_time_and_publishing_resumes_after_it",
            f"{_RABBIT_OUT}::test_a_broker_that_blocks_for_too_long_loses_the_connection",
        ],
    ),
    "P6": (
        "one confirm for several, and returns before it",
        [
            "connectors/rabbitmq/test_confirms.py::test_a_confirm_for_several_leaves_later_messages_waiting",
            "connectors/rabbitmq/test_confirms.py::test_a_returned_message_fails_though_it_is_confirmed",
        ],
    ),
    "P7": (
        "a call that fails closes the channel and answers nobody",
        [
            f"{_RABBIT}::test_a_misspelt_exchange_is_named_and_nothing_is_created",
            f"{_RABBIT}::test_cancelling_a_connect_leaves_nothing_behind",
        ],
    ),
    "P8": (
        "a declaration with other arguments",
        [f"{_RABBIT}::test_a_queue_with_other_settings_is_reported_and_left_alone"],
    ),
    "P9": (
        "a delivery that is not acknowledged in time, and Basic.Cancel",
        [
            f"{_RABBIT}::test_a_message_that_is_held_for_too_long_costs_the_channel_and_comes_again",
            f"{_RABBIT}::test_a_deleted_queue_ends_the_connection_and_a_new_one_creates_it_again",
        ],
    ),
    "P10": (
        "what is given back comes at once, without a limit",
        [f"{_RABBIT}::test_a_message_given_back_too_often_goes_to_the_dead_letter_queue"],
    ),
    "P11": (
        "prefetch is the channel's, 0 is no limit, and a stream refuses it",
        [
            f"{_RABBIT}::test_no_more_are_out_than_the_prefetch",
            f"{_RABBIT}::test_a_stream_is_refused_by_name_with_its_first_message",
        ],
    ),
    "P12": (
        "races of closing",
        [
            f"{_BEHAVIOUR}::test_closing_twice_or_unconnected_is_quiet",
            "connectors/test_fault_matrix.py::test_no_client_is_older_than_the_mending_of_its_traps",
        ],
    ),
    "P13": ("ThreadSafeConnection is in no release", "no: it is not used"),
}
