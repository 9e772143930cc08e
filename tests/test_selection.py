"""What a run leaves out is said, and the stand-in's tests run again as soon as something that bears on them changed."""

from pathlib import Path

import pytest

from tests.selection import (
    FAST,
    LONGEST,
    ROOT,
    STAND_IN,
    complaint_about,
    digest,
    is_fast,
    is_never_fast,
    left_out,
    longest_first,
)


class Item:
    """A collected test, as far as it is asked."""

    def __init__(self, nodeid: str, *markers: str, fixtures: tuple[str, ...] = ()) -> None:
        self.nodeid = nodeid
        self.fixturenames = fixtures
        self._markers = markers

    def get_closest_marker(self, name: str) -> str | None:
        return name if name in self._markers else None


OWN = Item(f"{STAND_IN}/test_queue.py::test_a")
OTHER = Item("tests/hub/test_tags.py::test_b")


def reasons(*items: Item, fast: bool = False, stamp: Path | None = None, **environ: str) -> dict[str, list[object]]:
    return left_out(items, fast=fast, if_changed=stamp, environ=environ)  # type: ignore[arg-type, return-value]


@pytest.mark.parametrize(
    ("item", "fast"),
    [
        (OTHER, True),
        (OWN, False),
        (Item("tests/integration/test_kill.py::test_c"), False),
        (Item("tests/bridge/test_x.py::test_d", "browser"), False),
        (Item("tests/bridge/test_x.py::test_e", "processes"), False),
        (Item("tests/bridge/test_x.py::test_g", "slow"), False),
        (Item("tests/connectors/test_x.py::test_f", fixtures=("rabbitmq",)), False),
        (Item("tests/hub/test_x.py::test_h", fixtures=("services",)), False),
    ],
)
def test_a_fast_run_leaves_out_what_is_not_done_in_its_own_process(item: Item, fast: bool) -> None:
    assert is_fast(item) == fast  # type: ignore[arg-type]
    assert bool(reasons(item, fast=True)) != fast


def test_a_fast_test_that_takes_long_is_to_be_marked() -> None:
    assert complaint_about(FAST) is None
    assert "mark it slow" in (complaint_about(FAST + 0.1) or "")


def test_a_fast_run_imports_no_folder_in_which_no_test_is_fast() -> None:
    assert is_never_fast(ROOT / "tests" / "integration")
    assert is_never_fast(ROOT / "tests" / "sandbox" / "servicebus" / "test_queue.py")
    assert is_never_fast(ROOT / "tests" / "bridge" / "test_why.py")
    assert not is_never_fast(ROOT / "tests" / "sandbox")
    assert not is_never_fast(ROOT / "tests" / "bridge" / "test_decode.py")
    assert not is_never_fast(ROOT / "tests" / "hub" / "test_tags.py")


def names_in_order(*items: Item) -> list[str]:
    return [item.nodeid.partition("::")[2] for item in longest_first(items)]  # type: ignore[arg-type]


def test_workers_begin_with_the_longest_files_and_end_with_the_smallest() -> None:
    last = Item(f"{LONGEST[-1]}::test_z")
    found = names_in_order(OTHER, OWN, Item(f"{STAND_IN}/test_queue.py::test_a2"), last)
    assert found == ["test_z", "test_a", "test_a2", "test_b"]


def test_files_that_wait_and_files_that_compute_take_turns() -> None:
    waiting = [
        Item(f"tests/{folder}/test_{name}.py::{name}") for folder, name in (("integration", "w"), ("deploy", "x"))
    ]
    computing = [Item(f"tests/hub/test_{name}.py::{name}") for name in "abcd"]
    assert names_in_order(*computing, *waiting) == ["x", "a", "b", "w", "c", "d"]
    assert names_in_order(*waiting) == ["x", "w"]


def test_the_longest_files_are_there() -> None:
    assert [file for file in LONGEST if not (ROOT / file).is_file()] == []


def test_the_stand_ins_tests_run_until_they_passed_with_the_files_as_they_are(tmp_path: Path) -> None:
    stamp = tmp_path / "stamp"
    assert reasons(OWN, OTHER, stamp=stamp) == {}
    stamp.write_text("an older digest")
    assert reasons(OWN, OTHER, stamp=stamp) == {}
    stamp.write_text(digest())
    ((why, items),) = reasons(OWN, OTHER, stamp=stamp).items()
    assert items == [OWN]
    assert "PUSHBRIDGE_TESTS=all" in why
    assert reasons(OWN, OTHER, stamp=stamp, PUSHBRIDGE_TESTS="all") == {}


def test_a_digest_is_of_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "sandbox" / "__pycache__").mkdir(parents=True)
    file = tmp_path / "sandbox" / "a.py"
    file.write_text("1")
    first = digest(tmp_path, ["sandbox"])
    (tmp_path / "sandbox" / "__pycache__" / "a.pyc").write_text("x")
    assert digest(tmp_path, ["sandbox"]) == first
    file.write_text("2")
    second = digest(tmp_path, ["sandbox"])
    file.rename(file.with_name("b.py"))
    assert len({first, second, digest(tmp_path, ["sandbox"])}) == 3
