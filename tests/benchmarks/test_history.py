"""Results of the benchmarks are kept, and what moved between two of them is named."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from benchmarks.history import NotComparableError, Result, latest, movements, read, report, result_of, write


def result(at: str = "2026-01-01", *, kind: str = "full", machine: str = "m", **events: float) -> Result:
    return Result(kind=kind, at=at, machine=machine, figures={"events": events})


def moved(old: Result, new: Result) -> Mapping[str, float | None]:
    return {each.name: each.change for each in movements(old, new) if each.is_named}


def test_a_figure_that_moved_by_more_than_a_tenth_is_named_whichever_way() -> None:
    old = result(rate=100.0, slow=100.0, steady=100.0, least=100.0)
    new = result(rate=150.0, slow=80.0, steady=109.0, least=91.0)
    assert moved(old, new) == {"events: rate": pytest.approx(0.5), "events: slow": pytest.approx(-0.2)}


def test_a_figure_that_was_nothing_is_named_when_it_is_something() -> None:
    assert moved(result(growth=0.0, loss=0.0), result(growth=3.0, loss=0.0)) == {"events: growth": None}


def test_runs_of_different_kinds_are_not_compared() -> None:
    with pytest.raises(NotComparableError, match=r"a quick run and a full one do different work"):
        movements(result(kind="quick", rate=1), result(rate=2))


def test_a_result_is_what_was_written_and_the_newest_is_compared_with_the_newest_of_its_kind(tmp_path: Path) -> None:
    results = [
        result("2026-01-01", rate=1),
        result("2026-01-02", rate=2),
        result("2026-01-03", kind="quick", rate=3),
        Result(kind="full", at="2026-01-04", figures={"idle": {"MiB": 60.0}}),
        result("2026-01-05", rate=5),
    ]
    for each in results:
        assert read(write(each, tmp_path / f"{each.at}.json")) == each
    (tmp_path / "figures.json").write_text('{"events": {"rate": 1}}')  # of a version that knew no kinds
    assert latest(tmp_path) == (results[1], results[4])


def test_a_result_without_one_before_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotComparableError, match="run make bench"):
        latest(tmp_path)
    write(result("2026-01-01", kind="quick", rate=1), tmp_path / "a.json")
    write(result("2026-01-02", rate=1), tmp_path / "b.json")
    with pytest.raises(NotComparableError, match=r"no result is older than that of 2026-01-02, of its kind \(full\)"):
        latest(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", '{"events": {"rate": 1}}'])
def test_a_file_that_is_no_result_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "figures.json").write_text(text)
    with pytest.raises(NotComparableError, match=r"figures\.json is no result of make bench"):
        read(tmp_path / "figures.json")


def test_the_report_names_what_only_one_has_and_another_machine() -> None:
    shown: list[object] = []
    report(result(rate=1, gone=1), result(machine="n", rate=1, fresh=1), shown.append)
    assert shown[1:] == [
        "m and n: of rates only their ratios mean something",
        "no figure moved by more than 10%",
        "only in the old one: events: gone",
        "only in the new one: events: fresh",
    ]


def test_a_result_of_now_says_on_which_machine() -> None:
    now = result_of("quick", {"events": {"rate": 1.0}})
    assert now.machine.endswith("cores")
    assert now.at.endswith("Z")
