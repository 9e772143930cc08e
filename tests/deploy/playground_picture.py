"""`python -m tests.deploy.playground_picture FILE`: the playground in a browser, with an event of `examples.yaml`."""

import asyncio
import json
import sys
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path

from bridge.admin.console.routes import console
from bridge.app import Daemon
from bridge.config.load import check
from bridge.config.reload import Reloader
from hub.installation import Installation, Template
from hub.notification import Platform
from hub.platforms.table import traits_of
from rules.read_files import ReadFiles
from tests.bridge.chromium import chromium
from tests.hub.examples import installation

EXAMPLES = Path(__file__).parents[2] / "examples.yaml"
SIZE = (1280, 1240)
EVENT = {
    "postingId": "8842-17",
    "kind": "debit",
    "accountId": "CH9300762011623852957",
    "customerId": "4711",
    "bookedAt": "2026-03-02T10:15:00+01:00",
    "currency": "CHF",
    "amount": 912.4,
    "merchant": {"name": "Bergsport Matterhorn"},
}
LISTENERS = """
listeners:
  admin: { address: "127.0.0.1:0", auth: { bearer: for-a-picture } }
  hub_api: { address: "127.0.0.1:0" }
"""


async def draw(directory: Path, picture: Path) -> None:
    """A customer has three devices, and the event is a debit of hers."""
    paths = [directory / "pushbridge.yaml", directory / "listeners.yaml"]
    paths[0].write_text(EXAMPLES.read_text(encoding="utf-8"), encoding="utf-8")
    paths[1].write_text(LISTENERS, encoding="utf-8")
    settings, problems = check(paths, {})
    assert settings is not None, problems
    daemon = Daemon(
        settings,
        console=partial(console, phones=None),
        reload=lambda daemon: Reloader(paths, daemon, config_hash="", files=ReadFiles(), on_result=daemon.reloaded),
    )
    async with daemon.running(), chromium(directory / "profile") as page:
        await daemon.hub.put_installations("example", [*map(_phone, range(3), ("apns", "fcmv1", "wns"))])
        headers = {"authorization": "Bearer for-a-picture"}
        await page.open("http://{}:{}/playground".format(*daemon.admin.address), size=SIZE, headers=headers)
        await page.wait_for("document.querySelector('[name=source]').options.length > 1")
        body = json.dumps(json.dumps(EVENT, indent=2))
        await page.evaluate("document.querySelector('[name=source]').value = 'core-banking'")
        await page.evaluate(f"document.querySelector('[name=body]').value = {body}")
        await page.evaluate("document.querySelector('[name=rules]').scrollTop = 150")
        await page.evaluate("document.querySelector('#try').click()")
        await page.wait_for("!document.querySelector('#result').hidden")
        await page.screenshot(picture)


def _phone(number: int, name: str) -> Installation:
    platform = Platform(name)
    traits = traits_of(platform)
    made = traits.template_body(traits.sample_template, {})
    return replace(
        installation(f"phone-{number}", "customer:4711", "topic:debits"),
        platform=platform,
        push_channel=traits.sample_push_channel(f"phone-{number}"),
        templates={"main": Template(body=made.text, headers=made.headers)},
    )


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(draw(Path(directory), Path(sys.argv[1])))


if __name__ == "__main__":
    main()
