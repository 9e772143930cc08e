"""The page of metrics is what the code has, and a large configuration stays within what Prometheus should hold."""

import re

from bridge.observe.catalogue import page
from bridge.observe.metrics import Metrics
from hub.acceptance import Reason
from hub.notification import Platform
from tests.selection import ROOT

PAGE = ROOT / "docs" / "metrics.md"
MAX_SERIES = 5000
MAX_DELIVERY_SERIES = 1320
"""20 hubs, 6 platforms, 11 outcomes."""


def test_the_page_of_metrics_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "make reference"


def test_each_metric_is_on_the_page_and_says_what_it_counts() -> None:
    families = Metrics(version="1", sources=[], rules=[], hubs=[]).registry.collect()
    ours = [family for family in families if family.name.startswith("pushbridge_")]
    headings = re.findall(r"^## `(\w+)`$", page(), re.MULTILINE)
    suffixes = {"counter": "_total", "info": "_info"}
    assert sorted(headings) == sorted(family.name + suffixes.get(family.type, "") for family in ours)
    assert all(len(family.documentation.split()) >= 3 for family in ours)


def test_twenty_hubs_on_six_platforms_stay_within_the_budget_of_series() -> None:
    """With a phone of every platform known, ten sources, fifty rules that each may fail, and two hubs that phones call."""
    sources, hubs, rules = ([f"{kind}-{n}" for n in range(count)] for kind, count in (("s", 10), ("h", 20), ("r", 50)))
    large = Metrics(
        version="1",
        sources=sources,
        rules=rules,
        hubs=hubs,
        registrations=hubs[:2],
        sinks=["crm", "lake"],
        dead_letters=[(source, "", reason.value) for source in sources for reason in Reason]
        + [(sources[0], rule, reason.value) for rule in rules for reason in (Reason.RENDER, Reason.TAG_UNSAFE)],
    )
    large.delivery.set_devices({(hub, platform): 1 for hub in hubs for platform in Platform.known()})
    samples = {family.name: len(family.samples) for family in large.registry.collect()}
    assert len(list(Platform.known())) >= 6
    assert sum(samples.values()) < MAX_SERIES
    assert 0 < samples["pushbridge_pns_deliveries"] <= MAX_DELIVERY_SERIES
