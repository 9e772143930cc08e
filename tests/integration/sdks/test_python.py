"""Two Python clients, unmodified; what they can do is written to docs/compatibility.md."""

import sys
from importlib.metadata import distributions
from pathlib import Path

from tests.integration.sdks.page import Called, write
from tests.integration.sdks.running import run

ROOT = Path(__file__).parents[3]
PACKAGES = ROOT / ".venv" / "python-sdks"
NAMES = ("notificationhubs-rest-python", "azure-notification-hub-unofficial")

NOT_YET = {
    "get_feedback_container_url": "the client reads the URL as JSON, and the wire contract has it as text",
}
"""What is known not to work, and why. A method that works and stands here fails the test."""


async def test_every_method_of_the_clients_does_what_it_promises(tmp_path: Path) -> None:
    versions = {each.name: each.version for each in distributions(path=[str(PACKAGES)])}
    assert set(NAMES) <= set(versions), f"run make {PACKAGES.relative_to(ROOT)}/.installed"
    program = [sys.executable, str(Path(__file__).with_name("python_clients.py"))]
    lines = await run(tmp_path, program, {"PYTHONPATH": str(PACKAGES)})
    failed = {line["method"]: line["error"] for line in lines if line["error"]}
    assert {name: error for name, error in failed.items() if name not in NOT_YET} == {}
    assert set(failed) == set(NOT_YET)
    assert all("no URL" in error for error in failed.values())
    current = [
        write(
            name,
            versions[name],
            [Called(line["method"], NOT_YET.get(line["method"], "")) for line in lines if line["package"] == name],
        )
        for name in NAMES
    ]
    assert all(current), "docs/compatibility.md was not current: look at it, and commit it"
