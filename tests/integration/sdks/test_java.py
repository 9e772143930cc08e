"""The Java SDK, unmodified; what it can do is written to docs/compatibility.md."""

import subprocess
from pathlib import Path

from sandbox.tls import Authority
from tests.integration.sdks.page import Called, write
from tests.integration.sdks.running import run

ROOT = Path(__file__).parents[3]
JARS = ROOT / ".venv" / "java"
NAME = "com.windowsazure:Notification-Hubs-java-sdk"
JAR = "Notification-Hubs-java-sdk-*.jar"

NOT_YET: dict[str, str] = {}
"""What is known not to work, and why. A method that works and stands here fails the test."""


async def test_every_method_of_the_client_does_what_it_promises(tmp_path: Path) -> None:
    found = list(JARS.glob(JAR))
    assert found, f"{NAME} is not installed: run make {JARS.relative_to(ROOT)}/.installed"
    authority, roots = Authority(tmp_path), tmp_path / "roots.p12"
    importing = ["keytool", "-importcert", "-noprompt", "-alias", "sandbox", "-storepass", "changeit"]
    subprocess.run(
        [*importing, "-file", authority.ca_file, "-keystore", roots], check=True, capture_output=True, timeout=60
    )
    program = [
        "java",
        f"-Djavax.net.ssl.trustStore={roots}",
        "-Djavax.net.ssl.trustStorePassword=changeit",
        "-cp",
        f"{JARS}/*",
        str(Path(__file__).with_name("JavaSdk.java")),
    ]
    lines = await run(tmp_path, program, {}, authority=authority)
    failed = {line["method"]: line["error"] for line in lines if line["error"]}
    assert {name: error for name, error in failed.items() if name not in NOT_YET} == {}
    assert set(failed) == set(NOT_YET)
    version = found[0].stem.rpartition("-")[2]
    called = [Called(line["method"], NOT_YET.get(line["method"], "")) for line in lines]
    assert write(NAME, version, called), "docs/compatibility.md was not current: look at it, and commit it"
