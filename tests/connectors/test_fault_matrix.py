"""Every fault is tried on every source and publisher, or it is said why not; and every trap of a client has its test."""

import re
import tomllib

import pytest

from connectors.table import CONNECTORS
from tests.connectors import fault_behaviour, publisher_faults
from tests.connectors.client_traps import TRAPS
from tests.connectors.fault_matrix import PAGE, PUBLISHERS, SOURCES, SUITE_FAULTS, TESTS, cells, page_with


def is_there(test: str) -> bool:
    file, _, name = test.partition("::")
    text = (TESTS / file).read_text("utf-8")
    return f"def {name}(" in text or f"class {name}(" in text


def test_the_page_has_the_tables_as_they_are() -> None:
    text = PAGE.read_text("utf-8")
    assert page_with(text) == text, "run python -m tests.connectors.fault_matrix"
    assert SUITE_FAULTS[0] in text


@pytest.mark.parametrize("cell", sorted(set(cells())))
def test_a_cell_names_a_test_or_says_why_there_is_none(cell: str) -> None:
    assert is_there(cell) if "::" in cell else re.fullmatch("no: .{5,}", cell), cell


def test_every_connector_has_a_column_and_every_fault_a_cell_in_it() -> None:
    for _, row in SOURCES:
        assert set(row) == {connector.title for connector in CONNECTORS.values()}
    able = {connector.title for connector in CONNECTORS.values() if connector.sink is not None}
    for _, row in PUBLISHERS:
        assert set(row) == able


def test_the_suites_try_what_the_tables_say() -> None:
    words = {"handshake": "handshake", "subscribe": "subscribes", "idle": "idle", "delivery": "delivery"}
    words |= {"settle": "settlement", "answer to a settlement": "its answer"}
    assert {phase.value for phase in fault_behaviour.Phase} == set(words)
    assert all(word in SUITE_FAULTS[1] for word in words.values())
    assert all(words[phase.value].removeprefix("its ") in SUITE_FAULTS[3] for phase in fault_behaviour.GARBLED)
    assert {fault.value for fault, _ in fault_behaviour.CASES} == {"cut", "half-open", "garbage"}
    assert {fault.value for fault, _ in publisher_faults.CASES} == {"cut", "half-open", "garbage"}


@pytest.mark.parametrize("trap", TRAPS)
def test_a_trap_has_a_test(trap: str) -> None:
    _, tests = TRAPS[trap]
    if isinstance(tests, str):
        assert tests.startswith("no: ")
    else:
        assert [test for test in tests if not is_there(test)] == []


def test_no_trap_is_left_out() -> None:
    assert list(TRAPS) == [
        f"{client}{n}" for client, last in (("S", 16), ("K", 14), ("P", 13)) for n in range(1, last + 1)
    ]


def test_no_client_is_older_than_the_mending_of_its_traps() -> None:
    """Settlement that is awaited, a drain on close, and closing a channel with several consumers came with these."""
    wanted = tomllib.loads((TESTS.parent / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    for client, oldest in (("azure-servicebus", (7, 15)), ("aiokafka", (0, 14)), ("pika", (1, 4, 1))):
        (floor,) = (match[1] for each in wanted if (match := re.fullmatch(rf"{client}>=([\d.]+)", each)))
        assert tuple(map(int, floor.split("."))) >= oldest, client
