"""The JavaScript SDK, unmodified; what it can do is written to docs/compatibility.md."""

import json
from pathlib import Path

from tests.integration.sdks.page import Called, write
from tests.integration.sdks.running import run

ROOT = Path(__file__).parents[3]
MODULES = ROOT / ".venv" / "javascript"
NAME = "@azure/notification-hubs"

NOT_YET: dict[str, str] = {}
"""What is known not to work, and why. A method that works and stands here fails the test."""


async def test_every_method_of_the_client_does_what_it_promises(tmp_path: Path) -> None:
    package = MODULES / "node_modules" / NAME / "package.json"
    assert package.exists(), f"{NAME} is not installed: run make {MODULES.relative_to(ROOT)}/.installed"
    program = ["node", str(Path(__file__).with_name("javascript.mjs"))]
    lines = await run(tmp_path, program, {"NODE_MODULES": str(MODULES)})
    failed = {line["method"]: line["error"] for line in lines if line["error"]}
    assert {name: error for name, error in failed.items() if name not in NOT_YET} == {}
    assert set(failed) == set(NOT_YET)
    version = json.loads(package.read_text())["version"]
    called = [Called(line["method"], NOT_YET.get(line["method"], "")) for line in lines]
    assert write(NAME, version, called), "docs/compatibility.md was not current: look at it, and commit it"
