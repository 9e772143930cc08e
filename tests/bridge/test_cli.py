"""The command line: what it prints, where, and with which exit code."""

import gc
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from bridge import cli
from bridge.cli.exits import Exit
from bridge.cli.main import COMMANDS, app

VALID = """
sources: { hr: { http: { path: /in/hr, format: cloudevents } } }
hubs: { app: {} }
rules: [ { name: welcome, push: { to: everyone, with: { title: hello } } } ]
"""
BROKEN = """
sources:
  hr: { http: { path: no-slash } }
hubs: { app: { limts: {} } }
rules:
  - { name: welcome, push: { to: "team:hr &&", wiht: { title: hello } } }
"""


@pytest.fixture(autouse=True)
def process_as_it_was() -> Iterator[None]:
    hangup = signal.getsignal(signal.SIGHUP)
    yield
    gc.unfreeze()
    gc.enable()
    signal.signal(signal.SIGHUP, hangup)


@pytest.fixture
def config(tmp_path: Path) -> Callable[[str], Path]:
    def written(text: str) -> Path:
        path = tmp_path / "c.yaml"
        path.write_text(text)
        return path

    return written


def invoked(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def process(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """A process of its own: it starts, and so it sets up the logging of the whole process."""
    command = [sys.executable, "-m", "bridge", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_valid_configuration_is_called_so_on_stdout(config: Callable[[str], Path]) -> None:
    path = config(VALID)
    result = invoked("check", path)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"{path}: valid, 1 source, 1 rule, 1 hub\n"


def test_every_mistake_is_a_line_on_stderr_with_place_key_and_what_was_meant(config: Callable[[str], Path]) -> None:
    path = config(BROKEN)
    result = invoked("check", path)
    assert (result.exit_code, result.stdout) == (1, "")
    lines = [line.removeprefix(f"{path}:") for line in result.stderr.splitlines()]
    assert [line.split(": ")[:2] for line in lines if "warning" not in line] == [
        ["3:23", "sources.hr.http.path"],
        ["4:16", "hubs.app.limts"],
        ["6:22", "rules[0].push"],
        ["6:45", "rules[0].push.to"],
        ["6:48", "rules[0].push.wiht"],
    ]
    assert "unknown key (did you mean limits?)" in result.stderr


def test_a_warning_is_told_and_does_not_fail(config: Callable[[str], Path]) -> None:
    path = config(VALID.replace("cloudevents", "plain"))
    result = invoked("check", path)
    assert result.exit_code == 0
    assert "warning: a message without an id that comes twice is taken twice" in result.stderr
    assert "valid" in result.stdout


@pytest.mark.parametrize("asked", [["--json"], ["--output", "json"]])
def test_check_answers_scripts_in_json_with_the_exit_code_it_has_for_people(
    config: Callable[[str], Path], asked: list[str]
) -> None:
    path = config(BROKEN)
    result = invoked("check", path, *asked)
    assert (result.exit_code, result.stderr) == (1, "")
    answer = json.loads(result.stdout)
    assert (answer["valid"], answer["summary"]["errors"], answer["summary"]["rules"]) == (False, 5, None)
    assert next(problem for problem in answer["problems"] if problem["line"] == 4) == {
        "file": str(path),
        "line": 4,
        "column": 16,
        "key": "hubs.app.limts",
        "message": "unknown key",
        "hint": "did you mean limits?",
        "severity": "error",
    }
    doubtful = VALID.replace("cloudevents", "plain")
    for strict, code in (([], 0), (["--strict"], 1)):
        result = invoked("check", config(doubtful), *asked, *strict)
        answer = json.loads(result.stdout)
        assert (result.exit_code, answer["valid"]) == (code, code == 0)
        assert answer["summary"] == {"errors": 0, "warnings": 1, "sources": 1, "rules": 1, "hubs": 1, "only_to": {}}
        assert [problem["severity"] for problem in answer["problems"]] == ["warning"]


def test_a_configuration_as_understood_stands_in_the_json_too(config: Callable[[str], Path]) -> None:
    answer = json.loads(invoked("check", config(VALID), "--show", "--json").stdout)
    assert answer["configuration"]["rules"][0]["push"]["to"] == "everyone"
    assert answer["configuration"]["bridge"]["store"]["max_pending"] == 100_000


def test_a_configuration_with_mistakes_does_not_start_and_names_them_all(config: Callable[[str], Path]) -> None:
    path = config(BROKEN)
    result = invoked("run", path)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == invoked("check", path).stderr
    assert list(path.parent.iterdir()) == [path]


def test_a_configuration_that_is_not_there_is_a_mistake(tmp_path: Path) -> None:
    for command in ("check", "run"):
        result = invoked(command, tmp_path / "missing.yaml")
        assert result.exit_code == 1
        assert result.stderr == f"{tmp_path}/missing.yaml:1:1: cannot be read: No such file or directory\n"


def test_the_version_is_that_of_the_distribution() -> None:
    for asked in ("version", "--version"):
        result = invoked(asked)
        assert (result.exit_code, result.stdout) == (0, f"{version('pushbridge')}\n")


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        *(["check"], ["run"], ["run", "--fast", "a"], ["chekc", "a"], ["check", "--fast", "a"]),
        *(["demo", "--port", "65536"], ["demo", "--exit-after", "-1"], ["sandbox", "--port", "-1"]),
    ],
)
def test_wrong_arguments_are_a_matter_of_their_own(arguments: list[str]) -> None:
    assert invoked(*arguments).exit_code == 2


@pytest.mark.processes
def test_an_address_in_use_is_said_in_a_line(config: Callable[[str], Path]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        path = config(f'listeners: {{ admin: {{ address: "{address}" }} }}')
        result = process("run", path)
    assert result.returncode == 3
    assert re.fullmatch(f"pushbridge: cannot listen on {address}: .*in use.*\n", result.stderr)


@pytest.mark.processes
def test_a_state_file_of_something_else_is_named_by_the_sandbox(tmp_path: Path) -> None:
    state = tmp_path / "notes.txt"
    state.write_text("not a database\n")
    result = process("sandbox", "--port", "0", "--state", str(state))
    assert result.returncode == 3
    assert f"--state {state}: file is not a database (name a file of the sandbox's own" in result.stderr


@pytest.mark.processes
def test_a_store_that_cannot_be_opened_is_said_in_a_line(config: Callable[[str], Path], tmp_path: Path) -> None:
    (tmp_path / "pushbridge.db").write_bytes(b"no database" * 1000)
    result = process("run", config('listeners: { admin: { address: "127.0.0.1:0" } }'))
    assert result.returncode == 3
    assert result.stderr.startswith("pushbridge: ")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("went_well, broken, code", [(True, False, 0), (False, False, 4), (False, True, 6)])
def test_a_part_that_failed_while_running_costs_the_exit_code(
    config: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, went_well: bool, broken: bool, code: int
) -> None:
    class Ended:
        store_is_broken = broken

        def __init__(self, *_: Any, **__: Any) -> None: ...

        async def run(self) -> bool:
            return went_well

    monkeypatch.setattr("bridge.app.Daemon", Ended)
    monkeypatch.setattr("bridge.observe.log.configure", lambda *_, **__: None)
    assert invoked("run", config(VALID)).exit_code == code


@pytest.mark.processes
def test_reading_a_configuration_imports_neither_clients_of_brokers_nor_of_push_services(
    config: Callable[[str], Path],
) -> None:
    program = (
        "import sys; from bridge.cli.main import app\n"
        "try: app(['check', sys.argv[1]])\n"
        "except SystemExit: pass\n"
        "names = {'apsw', 'pika', 'pycurl', 'cryptography', 'uvicorn', 'uvloop', 'prometheus_client'}\n"
        "print(sorted(names & set(sys.modules)))"
    )
    command = [sys.executable, "-c", program, str(config(VALID))]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert result.stdout.splitlines()[-1] == "[]"


@pytest.mark.processes
def test_a_daemon_reads_neither_lxml_nor_pyjwt_before_it_needs_them() -> None:
    program = "import sys, bridge.app; print(sorted({'lxml', 'jwt'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert result.stdout.splitlines()[-1] == "[]"


@pytest.mark.processes
def test_a_hangup_while_it_reads_its_configuration_does_not_end_it(
    config: Callable[[str], Path], tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "token")
    path = config('listeners: { admin: { address: "127.0.0.1:0", auth: { bearer: "${file:token}" } } }')
    command = [sys.executable, "-m", "bridge", "run", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        with (tmp_path / "token").open("w") as token:  # opens when the other end does: it is reading now
            running.send_signal(signal.SIGHUP)
            token.write("secret")
        assert running.stdout is not None
        try:
            assert '"event":"started"' in running.stdout.readline()
        finally:
            running.terminate()
        assert running.wait(timeout=30) == 0


def test_doctor_says_how_the_store_fares_and_ends_with_4_when_something_fails(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["doctor", "--json", str(doctored(tmp_path))])
    report = json.loads(result.stdout)
    assert report["store"] == str(tmp_path / "pushbridge.db")
    assert [check["name"] for check in report["checks"]][:2] == ["sqlite", "file system"]
    assert result.exit_code == 0
    (tmp_path / "pushbridge.db").write_text("no database " * 100)
    result = CliRunner().invoke(app, ["doctor", str(doctored(tmp_path))])
    assert "failed   schema       this is no SQLite database" in result.stdout
    assert "cure: restore the database from a backup" in result.stdout
    assert result.exit_code == 4


def doctored(directory: Path) -> Path:
    """A configuration whose store may lie in memory, wherever the tests run."""
    path = directory / "bridge.yaml"
    path.write_text("version: 1\nbridge:\n  store: { allow_ephemeral: true }\n")
    return path


def test_every_file_with_a_command_is_in_the_table() -> None:
    words = {file.stem for file in Path(cli.__file__).parent.glob("*.py")} - {"__init__", "main"}
    found = {word for word in words if hasattr(import_module(f"bridge.cli.{word}"), word)}
    assert {name.replace("-", "_") for name in COMMANDS} == {word.rstrip("_") for word in found}


def test_what_check_finds_is_told_as_sarif_with_its_places_in_the_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my rules").mkdir()
    file = tmp_path / "my rules" / "a.yaml"
    file.write_text(
        "hubs: { app: {} }\nrules:\n  - { name: r, mach: {}, push: { to: everybody, with: { title: hi } } }\n"
    )
    result = invoked("check", "--sarif", "my rules")
    assert result.exit_code == Exit.MISTAKES
    told = json.loads(result.stdout)
    (of_run,) = told["runs"]
    assert (told["version"], of_run["tool"]["driver"]["name"]) == ("2.1.0", "pushbridge check")
    found = {each["level"]: each for each in of_run["results"]}
    assert found["error"]["message"]["text"] == "rules[0].mach: unknown key (did you mean match?)"
    place = found["error"]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "my%20rules/a.yaml"
    assert place["region"] == {"startLine": 3, "startColumn": 16}
    assert "warning" in found
    file.write_text(file.read_text().replace("mach: {}, ", "").replace("everybody", "everyone"))
    clean = invoked("check", "--sarif", "my rules")
    assert (clean.exit_code, json.loads(clean.stdout)["runs"][0]["results"]) == (0, [])
    assert invoked("check", "--sarif", "--show", "my rules").exit_code == Exit.WRONG_ARGUMENTS
