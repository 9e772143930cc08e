"""`pushbridge test`: run the tests of rules that stand beside them; no broker, no daemon, no network."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bridge.cli.client import fail
from bridge.cli.exits import Exit
from bridge.cli.process import print_problems, run_loop
from bridge.cli.tables import print_json

if TYPE_CHECKING:
    from bridge.config.models.document import Settings
    from bridge.trial.suite.load import LoadedFile


class ResultOutput(StrEnum):
    """How the results are printed."""

    TEXT = "text"
    JSON = "json"
    JUNIT = "junit"


def test(
    paths: Annotated[
        list[Path],
        typer.Argument(help="Files of tests, and directories with *.test.yaml files.", show_default=False),
    ],
    config: Annotated[
        list[Path] | None,
        typer.Option(help="The configuration of files that name none; else it is their directory. Repeat it."),
    ] = None,
    fail_under: Annotated[
        float | None,
        typer.Option(min=0, max=100, metavar="PERCENT", help="Fail if less of rules and conditions is covered."),
    ] = None,
    output: Annotated[
        ResultOutput, typer.Option(help="For people, for scripts, or for a CI system.")
    ] = ResultOutput.TEXT,
    json: Annotated[bool, typer.Option("--json", help="Short for --output json.")] = False,
) -> None:
    """Run the tests of rules, and say what of the rules no test has tried."""
    files = _load(paths, config or ())
    report = run_loop(_report(files))
    if json or output is ResultOutput.JSON:
        print_json(report)
    elif output is ResultOutput.JUNIT:
        _print_junit(report)
    else:
        from bridge.cli.tested import print_tested

        print_tested(report)
    percent = report["coverage"]["percent"]
    is_short = fail_under is not None and percent < fail_under
    if is_short:
        typer.echo(f"coverage {percent:g} % is under {fail_under:g} %", err=True)
    if report["failed"] or is_short:
        raise typer.Exit(Exit.MISTAKES)


def _load(paths: Sequence[Path], config: Sequence[Path]) -> Sequence["LoadedFile"]:
    """Raises: typer.Exit: there is no test, or mistakes, which were printed."""
    from bridge.trial.suite.load import load_tests
    from rules.document import rule_tests_of
    from rules.problems import Problems

    configurations = _Configurations()
    problems = Problems()
    try:
        files = rule_tests_of(paths)
    except OSError as error:  # a directory that is not ours to list
        raise fail(f"{error.filename}: cannot be read: {error.strerror}", Exit.WRONG_ARGUMENTS) from error
    if not files:
        raise fail(f"{' '.join(map(str, paths))}: no *.test.yaml or *.test.yml file", Exit.WRONG_ARGUMENTS)
    loaded = [load_tests(file, config, configurations.settings_of, problems) for file in files]
    print_problems(configurations.problems)
    print_problems(problems.sorted())
    whole = [each for each in loaded if each is not None]
    if problems.has_errors or len(whole) < len(files):
        raise typer.Exit(Exit.MISTAKES)
    return whole


class _Configurations:
    """Each configuration that tests are for, read once; `problems` are those of the ones with mistakes."""

    def __init__(self) -> None:
        self._read: dict[tuple[Path, ...], Settings | None] = {}
        self.problems: list[object] = []

    def settings_of(self, paths: Sequence[Path]) -> "Settings | None":
        """Without secrets: a value that is good there stands for each."""
        from bridge.config.load import check

        key = tuple(path.resolve() for path in paths)
        if key not in self._read:
            self._read[key], problems = check(paths, no_secrets=True, samples=True)
            self.problems += problems if self._read[key] is None else ()
        return self._read[key]


async def _report(files: Sequence["LoadedFile"]) -> dict[str, Any]:
    """Run all tests, a runner for each configuration. Raises: typer.Exit."""
    from bridge.trial.suite.coverage import CoverageCount
    from bridge.trial.suite.report import suite_report
    from bridge.trial.suite.run import SuiteRunner
    from bridge.trial.suite.stores import SuiteStores
    from hub.errors import StoreError

    runners: dict[int, SuiteRunner] = {}
    results = []
    try:
        with SuiteStores() as stores:
            for file in files:
                if (runner := runners.get(id(file.settings))) is None:
                    runner = runners[id(file.settings)] = SuiteRunner(file.settings, stores)
                results += [await runner.run(file, test) for test in file.tests]
    except (OSError, StoreError) as error:
        raise fail(f"no place for temporary files: {error}", Exit.CANNOT_START) from error
    coverages = [runner.coverage for runner in runners.values()]
    count = sum((each.count() for each in coverages), CoverageCount(0, 0, 0, 0))
    return suite_report(results, count, [gap for each in coverages for gap in each.gaps()])


def _print_junit(report: dict[str, Any]) -> None:
    from bridge.cli.tested import failure_text
    from bridge.trial.suite.report import junit

    texts = {
        index: failure_text(test["failed"]) for index, test in enumerate(report["tests"]) if test["failed"] is not None
    }
    typer.echo(junit(report, texts), nl=False)
