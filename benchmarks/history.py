"""What runs of the benchmarks found, kept as JSON, and what moved between two of them.

    python -m benchmarks.history [OLD NEW]

Names each figure that moved by more than a tenth. Without files it compares the newest result with the newest before it
that is of the same kind. Figures of different kinds of runs, such as a quick one and a whole one, are of different work.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

RESULTS = Path("benchmarks/results")
MOVED = 0.1
"""The part of the older value by which a figure has moved that is named."""


class NotComparableError(Exception):
    """Results that cannot be compared; the message says why, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one run found: figures by their group. `kind` is how much work it did: full, quick or large."""

    kind: str
    at: str
    commit: str = ""
    machine: str = ""
    figures: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Movement:
    """A figure and how it changed: `change` is 0.25 for a quarter more, None where the older value was 0."""

    name: str
    old: float
    new: float

    @property
    def change(self) -> float | None:
        return self.new / self.old - 1 if self.old else None

    @property
    def is_named(self) -> bool:
        return self.old != self.new if self.change is None else abs(self.change) > MOVED


def result_of(kind: str, figures: Mapping[str, Mapping[str, float]]) -> Result:
    """A result of now, on this machine, with the commit that is checked out."""
    return Result(
        kind=kind,
        at=datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%SZ"),
        commit=_commit(),
        machine=f"{_processor()}, {len(os.sched_getaffinity(0))} cores",
        figures=figures,
    )


def write(result: Result, file: Path | None = None) -> Path:
    """Write a result, to a file of its own beside the others unless one is named; which file that is."""
    file = file or RESULTS / f"{result.at}-{result.kind}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(asdict(result), indent=2) + "\n")
    return file


def read(file: Path) -> Result:
    """Raises: NotComparableError: it is no result."""
    try:
        return Result(**json.loads(file.read_text()))
    except OSError as error:
        raise NotComparableError(f"{file}: {error.strerror}") from error
    except (ValueError, TypeError) as error:
        raise NotComparableError(f"{file} is no result of make bench: {error}") from error


def latest(directory: Path) -> tuple[Result, Result]:
    """The newest result, behind the newest before it of its kind that has a figure of it. Raises: NotComparableError."""
    results = sorted(_results(directory), key=lambda result: result.at)
    if not results:
        raise NotComparableError(f"{directory} holds no results: run make bench")
    new = results.pop()
    for old in reversed(results):
        if old.kind == new.kind and old.figures.keys() & new.figures.keys():
            return old, new
    raise NotComparableError(
        f"no result is older than that of {new.at}, of its kind ({new.kind}) and of the same figures"
    )


def _results(directory: Path) -> Iterator[Result]:
    """Without other files: earlier versions wrote figures without a kind."""
    for file in directory.glob("*.json"):
        with suppress(NotComparableError):
            yield read(file)


def movements(old: Result, new: Result) -> Sequence[Movement]:
    """The figures that both have. Raises: NotComparableError: the results are of different kinds."""
    if old.kind != new.kind:
        raise NotComparableError(f"a {old.kind} run and a {new.kind} one do different work: compare runs of one kind")
    return [
        Movement(name=f"{group}: {name}", old=value, new=new.figures[group][name])
        for group, values in old.figures.items()
        for name, value in values.items()
        if name in new.figures.get(group, {})
    ]


def only_in(one: Result, other: Result) -> Iterator[str]:
    """Figures of groups that both measured which `other` has not."""
    for group, values in one.figures.items():
        if group in other.figures:
            yield from (f"{group}: {name}" for name in values if name not in other.figures[group])


def report(old: Result, new: Result, show: Callable[[object], None]) -> None:
    """Show what moved, and what only one of them has. Raises: NotComparableError."""
    compared = movements(old, new)
    show(f"{old.at} ({old.commit or 'no commit'}) and {new.at} ({new.commit or 'no commit'}), {len(compared)} figures")
    if old.machine != new.machine:
        show(f"{old.machine} and {new.machine}: of rates only their ratios mean something")
    table = Table("figure", "old", "new", "change")
    for each in sorted((each for each in compared if each.is_named), key=_size, reverse=True):
        change = "from nothing" if each.change is None else f"{each.change:+.0%}"
        table.add_row(each.name, f"{each.old:,.4g}", f"{each.new:,.4g}", change)
    show(table if table.row_count else f"no figure moved by more than {MOVED:.0%}")
    for which, names in (("old", only_in(old, new)), ("new", only_in(new, old))):
        for name in names:
            show(f"only in the {which} one: {name}")


def _size(movement: Movement) -> float:
    return float("inf") if movement.change is None else abs(movement.change)


def _commit() -> str:
    try:
        asked = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return asked.stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return "unknown processor"
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown processor"
    )


def main() -> None:
    """Compare, and end with 2 where that cannot be done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="the older and the newer result")
    files = parser.parse_args().files
    if len(files) not in (0, 2):
        parser.error("name two results, or none")
    try:
        old, new = (read(files[0]), read(files[1])) if files else latest(RESULTS)
        report(old, new, Console().print)
    except NotComparableError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
