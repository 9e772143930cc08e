"""One push service answers nothing while notifications wait for it: another has its pushes as if nothing were."""

import asyncio
import statistics
from pathlib import Path

import pytest

from benchmarks import outage

pytestmark = pytest.mark.processes


async def test_a_service_that_answers_nothing_delays_no_other_and_gets_everything_once_when_it_is_back(
    tmp_path: Path,
) -> None:
    waiting = 2_000
    found = await asyncio.to_thread(outage.measure, tmp_path, waiting=waiting, probes=200)
    well, away = found["FCM p50 with APNs well, ms"], found[f"FCM p50 with {waiting:,} waiting for APNs, ms"]
    assert away < 2 * well + 50, found
    assert found["memory more, MB"] < 24, found
    assert found["APNs back: pushed twice"] == 0, found


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_beside_a_daemon_whose_services_are_all_well_one_with_an_outage_is_as_quick(tmp_path: Path) -> None:
    """Both at the same time: what holds up one on a busy machine holds up the other. Beyond nine in ten it does not do so
    evenly, so that p99 is a figure for a quiet machine.
    """
    found = await asyncio.to_thread(outage.compare, tmp_path, waiting=2_000, probes=500)
    well, away = found["well"], found["away"]
    assert statistics.median(away) < 1.5 * statistics.median(well) + 10, found
    assert outage.quantile(away, 0.9) < 2 * outage.quantile(well, 0.9) + 20, found
