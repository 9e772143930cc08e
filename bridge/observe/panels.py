"""The panels of the Grafana board, row by row."""

from collections.abc import Sequence
from dataclasses import dataclass

_HEIGHT, _STAT_HEIGHT = 8, 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One picture. `queries` are expressions with the legend of their series; the board adds the job to each metric.

    `unit` is Grafana's name of it. A `stat` shows the last value, and is `bad` from the given one on. `limit` is drawn as
    a line.
    """

    title: str
    description: str
    unit: str
    queries: Sequence[tuple[str, str]]
    width: int = 8
    stat: bool = False
    bad: float | None = None
    limit: float | None = None
    stacked: bool = False

    @property
    def height(self) -> int:
        return _STAT_HEIGHT if self.stat else _HEIGHT


def _quantiles(metric: str, label: str) -> list[tuple[str, str]]:
    """Median and 99th percentile of a histogram by a label."""
    rate = f"sum by (le, {label}) (rate({metric}_bucket[$__rate_interval]))"
    return [
        (f"histogram_quantile({quantile}, {rate})", f"{{{{{label}}}}} p{quantile * 100:g}") for quantile in (0.5, 0.99)
    ]


def _rate(metric: str, *labels: str) -> tuple[str, str]:
    """A counter's rate by labels."""
    legend = " ".join(f"{{{{{label}}}}}" for label in labels)
    return f"sum by ({', '.join(labels)}) (rate({metric}[$__rate_interval]))", legend


_LAG = "pushbridge_event_loop_lag_seconds"
_FAILED = 'outcome=~"unreachable|timeout|server_error|unauthorized|throttled"'

ROWS: dict[str, Sequence[Panel]] = {
    "Overview": (
        Panel(
            title="Daemons",
            description="Daemons that answer a scrape.",
            unit="none",
            queries=[("count(pushbridge_build_info)", "daemons")],
            width=4,
            stat=True,
        ),
        Panel(
            title="Alerts that fire",
            description="Of those that ship with pushbridge.",
            unit="none",
            queries=[('count(ALERTS{alertname=~"Pushbridge.+", alertstate="firing"}) or vector(0)', "alerts")],
            width=4,
            stat=True,
            bad=1,
        ),
        Panel(
            title="Sources without a connection",
            description="Sources that no daemon is connected to.",
            unit="none",
            queries=[("count(max by (source) (pushbridge_source_up) == 0) or vector(0)", "sources")],
            width=4,
            stat=True,
            bad=1,
        ),
        Panel(
            title="Breakers open",
            description="Credentials whose push service is not asked for a while.",
            unit="none",
            queries=[("sum(max by (platform, credential) (pushbridge_pns_circuit_open))", "breakers")],
            width=4,
            stat=True,
            bad=1,
        ),
        Panel(
            title="Oldest work that is due",
            description="For how long the oldest notification or page that is due has been due.",
            unit="s",
            queries=[("max(time() - (pushbridge_queue_oldest_ready_timestamp_seconds > 0)) or vector(0)", "waits")],
            width=4,
            stat=True,
            bad=300,
        ),
        Panel(
            title="Late pushes, of the last hour",
            description="Share of successful pushes that took over 10 s from when they were due. The objective allows 1%.",
            unit="percentunit",
            queries=[
                (
                    '1 - sum(increase(pushbridge_end_to_end_seconds_bucket{le="10.0"}[1h]))'
                    " / sum(increase(pushbridge_end_to_end_seconds_count[1h]))",
                    "late",
                )
            ],
            width=4,
            stat=True,
            bad=0.01,
        ),
        Panel(
            title="Messages taken",
            description="By what became of them. `malformed` ones are dead letters.",
            unit="cps",
            queries=[_rate("pushbridge_ingest_messages_total", "outcome")],
            stacked=True,
        ),
        Panel(
            title="From due to answered",
            description="From when a push was due to the service's answer, successes only.",
            unit="s",
            queries=_quantiles("pushbridge_end_to_end_seconds", "platform"),
            limit=10,
        ),
        Panel(
            title="Age of events when taken",
            description="From an event's own time to its acceptance: what was late before it came here.",
            unit="s",
            queries=_quantiles("pushbridge_event_age_seconds", "source"),
        ),
        Panel(
            title="Pushes that fail on the way",
            description="Share of tries that the service did not take for its own reasons, or for our credential.",
            unit="percentunit",
            queries=[
                (
                    f"sum by (platform) (rate(pushbridge_pns_deliveries_total{{{_FAILED}}}[$__rate_interval]))"
                    " / sum by (platform) (rate(pushbridge_pns_deliveries_total[$__rate_interval]))",
                    "{{platform}}",
                )
            ],
            limit=0.01,
        ),
    ),
    "Push services": (
        Panel(
            title="Pushes answered",
            description="Every try counted, by outcome.",
            unit="cps",
            queries=[_rate("pushbridge_pns_deliveries_total", "platform", "outcome")],
            stacked=True,
        ),
        Panel(
            title="Time to answer a page",
            description="From handing a batch of pushes to the sender to its last answer.",
            unit="s",
            queries=_quantiles("pushbridge_pns_request_duration_seconds", "platform"),
        ),
        Panel(
            title="Pushes under way",
            description="Requests that wait for the service's answer.",
            unit="none",
            queries=[("sum by (platform) (pushbridge_pns_requests_in_flight)", "{{platform}}")],
        ),
        Panel(
            title="Tried again",
            description="Pushes that are to be tried again, by why.",
            unit="cps",
            queries=[_rate("pushbridge_pns_retries_total", "platform", "reason")],
            stacked=True,
        ),
        Panel(
            title="Asked to wait",
            description="Seconds for which the service still asks all senders of a credential to wait.",
            unit="s",
            queries=[
                (
                    "clamp_min(max by (platform, credential)"
                    " (pushbridge_pns_throttled_until_timestamp_seconds) - time(), 0)",
                    "{{platform}} {{credential}}",
                )
            ],
        ),
        Panel(
            title="Devices",
            description="Live registrations.",
            unit="none",
            queries=[("max by (hub, platform) (pushbridge_devices) > 0", "{{hub}} {{platform}}")],
        ),
    ),
    "Pipeline": (
        Panel(
            title="Waiting at the brokers",
            description="Messages that a source has not taken yet. No series where the broker does not say.",
            unit="none",
            queries=[("sum by (source) (pushbridge_ingest_lag_messages)", "{{source}}")],
        ),
        Panel(
            title="Waiting here",
            description="Notifications and pages that wait, and how many may.",
            unit="none",
            queries=[
                ("sum by (queue, state) (pushbridge_queue_messages)", "{{queue}} {{state}}"),
                ("max(pushbridge_queue_capacity_messages)", "capacity"),
            ],
        ),
        Panel(
            title="From acceptance to work",
            description="How long a notification or a page waited for its turn.",
            unit="s",
            queries=_quantiles("pushbridge_queue_wait_seconds", "queue"),
        ),
        Panel(
            title="Heartbeat",
            description="For how long the daemon's heartbeat has not passed a stage. The first is the cause.",
            unit="s",
            queries=[
                ("time() - min by (stage) (pushbridge_heartbeat_last_seen_timestamp_seconds)", "{{stage}}"),
            ],
            limit=120,
        ),
        Panel(
            title="Event loop",
            description="How much later than asked the event loop turns, and the share of time for which it was held.",
            unit="s",
            queries=[
                (f"histogram_quantile(0.99, sum by (le) (rate({_LAG}_bucket[$__rate_interval])))", "p99"),
                (
                    "sum by (cause) (rate(pushbridge_event_loop_held_seconds_total[$__rate_interval]))",
                    "held, {{cause}}",
                ),
            ],
        ),
        Panel(
            title="Rules that match",
            description="The ten rules that match most often.",
            unit="cps",
            queries=[
                (
                    'topk(10, sum by (rule) (rate(pushbridge_rule_evaluations_total{outcome="match"}[$__rate_interval])))',
                    "{{rule}}",
                )
            ],
        ),
        Panel(
            title="Dead letters",
            description="Messages, or one rule's share of them, that ended as dead letters.",
            unit="cps",
            queries=[_rate("pushbridge_dead_letters_total", "source", "reason")],
            stacked=True,
        ),
        Panel(
            title="Notifications that ended",
            description="By outcome. `no_target` reached no phone.",
            unit="cps",
            queries=[_rate("pushbridge_notifications_total", "outcome")],
            stacked=True,
        ),
    ),
    "Store and process": (
        Panel(
            title="Transactions",
            description="Median and 99th percentile of a write transaction.",
            unit="s",
            queries=_quantiles("pushbridge_store_transaction_seconds", "op"),
        ),
        Panel(
            title="Store errors",
            description="Operations of the store that failed.",
            unit="cps",
            queries=[_rate("pushbridge_store_errors_total", "engine", "op")],
        ),
        Panel(
            title="Files of the store",
            description="The database and its write-ahead log; of SQLite alone.",
            unit="bytes",
            queries=[("sum by (instance, file) (pushbridge_store_file_bytes)", "{{instance}} {{file}}")],
        ),
        Panel(
            title="Queues taken over",
            description="Queues whose owner was dead, or had not renewed in time.",
            unit="cps",
            queries=[
                ("sum(rate(pushbridge_queues_taken_over_total[$__rate_interval]))", "taken over"),
                ("sum(rate(pushbridge_queues_lost_total[$__rate_interval]))", "lost"),
            ],
        ),
        Panel(
            title="Memory",
            description="Resident memory of each daemon.",
            unit="bytes",
            queries=[('process_resident_memory_bytes{job="$job"}', "{{instance}}")],
        ),
        Panel(
            title="CPU",
            description="Cores that each daemon uses.",
            unit="none",
            queries=[('rate(process_cpu_seconds_total{job="$job"}[$__rate_interval])', "{{instance}}")],
        ),
    ),
}
