"""`docs/metrics.md`: every metric of the daemon, from the code that makes it."""

from collections.abc import Iterator
from textwrap import fill

from prometheus_client.metrics_core import Metric

from bridge.observe.metrics import Metrics
from hub.acceptance import Reason

_INTRODUCTION = """\
# Metrics

Everything that `/metrics` shows of the daemon itself, in the text format of Prometheus; `process_*` and `python_*`, which
every Python process has, are left out. `make reference` writes this page from the code. Names, labels and label values
are promises. [`deploy/prometheus/alerts.yaml`](../deploy/prometheus/alerts.yaml) has alerts, and their runbooks are in
`docs/runbooks`.

A counter counts from the start of the process. Series with every label value that can happen are there from the start,
with 0; those of push services that few hubs have begin with their first push. Times are seconds, and points in time are
Unix timestamps.
"""
_EXAMPLE = "example"
_MANY_VALUES = 12
"""Values of a label that are written out; of more only their number."""


def page() -> str:
    """All metrics as Markdown, in the order of their names."""
    shown = Metrics(
        version=_EXAMPLE,
        sources=[_EXAMPLE],
        rules=[_EXAMPLE],
        hubs=[_EXAMPLE],
        remotes=[_EXAMPLE],
        registrations=[_EXAMPLE],
        sinks=[_EXAMPLE],
        dead_letters=[(_EXAMPLE, _EXAMPLE, reason.value) for reason in Reason],
    )
    families = sorted(shown.registry.collect(), key=lambda family: family.name)
    ours = [family for family in families if family.name.startswith("pushbridge_")]
    return "\n".join([_INTRODUCTION, *(line for family in ours for line in _lines(family))])


def _lines(family: Metric) -> Iterator[str]:
    suffix = {"counter": "_total", "info": "_info"}.get(family.type, "")
    kind = "gauge, always 1" if family.type == "info" else family.type
    yield f"## `{family.name}{suffix}`\n\n{fill(f'A {kind}. {family.documentation}', 120, break_on_hyphens=False)}\n"
    labels = _labels(family)
    for label, values in labels.items():
        yield fill(f"- `{label}`: {_said(values)}", 120, subsequent_indent="  ", break_on_hyphens=False)
    if labels:
        yield ""


def _labels(family: Metric) -> dict[str, list[str]]:
    values: dict[str, set[str]] = {}
    for sample in family.samples:
        for label, value in sample.labels.items():
            if label != "le":
                values.setdefault(label, set()).add(value)
    return {label: sorted(found) for label, found in sorted(values.items())}


def _said(values: list[str]) -> str:
    if _EXAMPLE in values or "" in values:
        others = [value for value in values if value not in (_EXAMPLE, "")]
        return "as configured" + (f", or {_listed(others)}" if others else "")
    return f"{len(values)} values, of the page of outcomes" if len(values) > _MANY_VALUES else _listed(values)


def _listed(values: list[str]) -> str:
    return ", ".join(f"`{value}`" for value in values)


if __name__ == "__main__":
    print(page(), end="")
