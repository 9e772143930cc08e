"""One push service answers nothing while notifications wait for it: another has its pushes as if nothing were."""

import asyncio
from pathlib import Path

import pytest

from benchmarks import outage


@pytest.mark.processes
async def test_a_service_that_answers_nothing_delays_no_other_and_gets_everything_once_when_it_is_back(
    tmp_path: Path,
) -> None:
    waiting = 2_000
    found = await asyncio.to_thread(outage.measure, tmp_path, waiting=waiting, probes=200)
    well, away = found["FCM p50 with APNs well, ms"], found[f"FCM p50 with {waiting:,} waiting for APNs, ms"]
    assert away < 2 * well + 50, found  # the median, as other work on the machine makes the longest; the figure is p99
    assert found["memory more, MB"] < 48, found
    assert found["APNs back: pushed twice"] == 0, found
