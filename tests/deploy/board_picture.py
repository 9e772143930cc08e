"""`python -m tests.deploy.board_picture FILE`: the Grafana board as a picture, from the figures of a live run.

A daemon takes orders over HTTP for three minutes and pushes to stand-ins of APNs and FCM. APNs asks to wait for half a
minute, and some orders name no tag. Prometheus scrapes the daemon, and each panel's own expressions are asked of it.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import httpx

from bridge.observe.dashboard import board
from sandbox.services import PushServices
from tests.integration.daemon import Daemon
from tests.integration.test_drill import asked, prometheus
from tests.integration.test_operator import configuration

SECONDS = 180.0
PHONES = 40
AT_ONCE = 8
STEP = 2
THROTTLED = (70.0, 100.0)
"""Seconds of the run between which APNs asks to wait."""

_CELL_WIDTH, _CELL_HEIGHT, _GAP = 50, 26, 6
_COLOURS = ("#1f60c4", "#e0752d", "#37872d", "#c4162a", "#8f3bb8", "#b5860b", "#0f7a85", "#6e6e6e")

Points = Sequence[tuple[float, float]]


async def recorded(directory: Path) -> dict[str, list[list[tuple[str, Points]]]]:
    """For each panel by its title, the series of each of its queries: legend, and seconds with values."""
    async with PushServices(directory) as services:
        made = configuration(services)
        made["rules"].append({"name": "refund", "when": 'data.kind == "refund"', "push": made["rules"][0]["push"]})
        async with (
            Daemon(directory, made) as daemon,
            prometheus(directory / "prometheus", daemon.url.removeprefix("http://")) as url,
            httpx.AsyncClient(timeout=60) as client,
        ):
            await daemon.start()
            await _register(daemon, services)
            began = time.time()
            await _load(daemon, services, client)
            return {
                panel["title"]: [await _series(client, url, target, began) for target in panel["targets"]]
                for panel in board()["panels"]
                if panel["type"] != "row"
            }


async def _register(daemon: Daemon, services: PushServices) -> None:
    for number in range(PHONES):
        platform = ("apns", "fcmv1")[number % 2]
        body = ('{"aps": {"alert": "$(text)"}}', '{"message": {"notification": {"body": "$(text)"}}}')[number % 2]
        phone = services.add_phone(f"phone-{number}", platform)
        await daemon.register(
            {
                "installationId": f"phone-{number}",
                "platform": platform,
                "pushChannel": phone.handle,
                "tags": ["team:all", f"team:{number}"],
                "templates": {"text": {"body": body}},
            }
        )


async def _load(daemon: Daemon, services: PushServices, client: httpx.AsyncClient) -> None:
    began = time.monotonic()
    number = 0

    async def post(body: Mapping[str, str]) -> None:
        await client.post(f"{daemon.url}/in/orders", json=body)

    while (elapsed := time.monotonic() - began) < SECONDS:
        if THROTTLED[0] < elapsed < THROTTLED[1]:
            services.apns.faults.answer(429, "TooManyRequests")
        else:
            services.apns.faults.clear()
        orders = []
        for _ in range(AT_ONCE + int(AT_ONCE * elapsed / SECONDS)):
            number += 1
            order = {"id": str(number), "team": str(number % (PHONES + 2)), "text": "hello"}
            if number % 50 == 0:
                order["team"] = "a || b"  # no tag
            if number % 7 == 0:
                order["kind"] = "refund"
            orders.append(order)
        await asyncio.gather(*map(post, orders))
        await asyncio.sleep(0.2)


async def _series(
    client: httpx.AsyncClient, url: str, target: Mapping[str, str], began: float
) -> list[tuple[str, Points]]:
    expression = target["expr"].replace("$job", "pushbridge").replace("$__rate_interval", "15s")
    query = httpx.QueryParams(query=expression, start=began, end=began + SECONDS, step=STEP)
    found = (await asked(client, f"{url}/api/v1/query_range?{query}")).get("result", [])
    return [
        (
            _legend(target["legendFormat"], each["metric"]),
            [(at - began, float(value)) for at, value in each["values"] if value != "NaN"],
        )
        for each in found
    ]


def _legend(pattern: str, labels: Mapping[str, str]) -> str:
    for name, value in labels.items():
        pattern = pattern.replace(f"{{{{{name}}}}}", value)
    return pattern


def picture(figures: Mapping[str, Sequence[Sequence[tuple[str, Points]]]]) -> str:
    """The board as SVG."""
    panels = board()["panels"]
    width = 24 * _CELL_WIDTH
    height = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels) * _CELL_HEIGHT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
        ' font-family="system-ui, sans-serif" font-size="11">',
        f'<rect width="{width}" height="{height}" fill="#f4f5f5"/>',
    ]
    for panel in panels:
        at = panel["gridPos"]
        x, y = at["x"] * _CELL_WIDTH, at["y"] * _CELL_HEIGHT
        if panel["type"] == "row":
            parts.append(f'<text x="{x + 8}" y="{y + 18}" font-size="14" font-weight="600">{panel["title"]}</text>')
            continue
        across, down = at["w"] * _CELL_WIDTH - _GAP, at["h"] * _CELL_HEIGHT - _GAP
        parts.append(f'<g transform="translate({x + 3},{y + 3})">')
        parts.append(f'<rect width="{across}" height="{down}" fill="#fff" stroke="#d8d9da" rx="3"/>')
        parts.append(f'<text x="8" y="16" font-weight="600" fill="#222">{escape(panel["title"])}</text>')
        series = [each for query in figures[panel["title"]] for each in query if each[1]]
        draw = _stat if panel["type"] == "stat" else _chart
        parts += [*draw(panel, series, across, down), "</g>"]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _stat(panel: Mapping[str, Any], series: Sequence[tuple[str, Points]], across: int, down: int) -> list[str]:
    value = series[0][1][-1][1] if series else 0.0
    *_, last = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    colour = "#c4162a" if last["value"] is not None and value >= last["value"] else "#37872d"
    shown = _shown(value, panel["fieldConfig"]["defaults"]["unit"])
    return [
        f'<text x="{across / 2}" y="{down / 2 + 20}" text-anchor="middle" font-size="30" fill="{colour}">{shown}</text>'
    ]


def _chart(panel: Mapping[str, Any], series: Sequence[tuple[str, Points]], across: int, down: int) -> list[str]:
    """Lines over time, the highest value on the axis; stacked ones are drawn each on top of those before."""
    left, top, bottom = 50, 26, 44
    wide, high = across - left - 12, down - top - bottom
    if panel["fieldConfig"]["defaults"]["custom"]["stacking"]["mode"] == "normal":
        series = _stacked(series)
    most = max((value for _, points in series for _, value in points), default=0.0) or 1.0
    unit = panel["fieldConfig"]["defaults"]["unit"]
    parts = []
    for share in (0.0, 0.5, 1.0):
        y = top + high * (1 - share)
        parts.append(f'<line x1="{left}" y1="{y:.1f}" x2="{left + wide}" y2="{y:.1f}" stroke="#e9e9e9"/>')
        parts.append(
            f'<text x="{left - 4}" y="{y + 4:.1f}" text-anchor="end" fill="#777">{_shown(most * share, unit)}</text>'
        )
    for index, (_, points) in enumerate(series):
        line = " ".join(
            f"{left + wide * at / SECONDS:.1f},{top + high * (1 - value / most):.1f}" for at, value in points
        )
        colour = _COLOURS[index % len(_COLOURS)]
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
    x = y = 0
    for index, (legend, _) in enumerate(series):
        long = 24 + 6 * len(legend)
        if x + long > across - 12:
            x, y = 0, y + 13
        if y > 13:
            break
        colour = _COLOURS[index % len(_COLOURS)]
        parts.append(f'<rect x="{10 + x}" y="{down - 28 + y}" width="10" height="3" fill="{colour}"/>')
        parts.append(f'<text x="{24 + x}" y="{down - 23 + y}" fill="#555">{escape(legend)}</text>')
        x += long
    return parts


def _stacked(series: Sequence[tuple[str, Points]]) -> list[tuple[str, Points]]:
    below: dict[float, float] = {}
    stacked: list[tuple[str, Points]] = []
    for legend, points in series:
        if any(value for _, value in points):
            for at, value in points:
                below[at] = below.get(at, 0.0) + value
            stacked.append((legend, [(at, below[at]) for at, _ in points]))
    return stacked


def _shown(value: float, unit: str) -> str:
    if unit == "percentunit":
        return f"{value * 100:.3g}%"
    if unit == "bytes":
        return f"{value / 2**20:.3g} MiB"
    if unit == "s":
        return f"{value * 1000:.3g} ms" if value < 1 else f"{value:.3g} s"
    return (f"{value:,.0f}" if value >= 1000 else f"{value:.3g}") + ("/s" if unit == "cps" else "")


async def main(file: Path) -> None:
    with tempfile.TemporaryDirectory() as directory:
        file.write_text(picture(await recorded(Path(directory))))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
