"""What `pushbridge test` prints for people: a line for each test, those that failed whole, then what is not covered."""

import contextlib
import io
from collections.abc import Mapping, Sequence
from typing import Any

import typer

from bridge.cli.explained import print_explained
from bridge.cli.tables import print_table, without_controls


def print_tested(report: Mapping[str, Any]) -> None:
    """See `bridge.trial.suite.report` for the shape."""
    for test in report["tests"]:
        typer.echo(without_controls(f"{'ok  ' if test['passed'] else 'FAIL'} {test['file']}: {test['name']}"))
        if test["failed"] is not None:
            print_failure(test["failed"])
    _print_coverage(report["coverage"])
    failed = f", {report['failed']} failed" if report["failed"] else ""
    typer.echo(f"{report['passed']} passed{failed}")


def failure_text(failed: Mapping[str, Any]) -> str:
    """What `print_failure` prints, for a file."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        print_failure(failed)
    return printed.getvalue()


def print_failure(failed: Mapping[str, Any]) -> None:
    """Each difference with its place, then what `explain` says of the events of the step."""
    typer.echo(f"     step {failed['step']}")
    for each in failed["differences"]:
        typer.echo(without_controls(f"     {each['place']}: {each['key']}: {each['text']}"))
    for event in failed["events"]:
        typer.echo()
        print_explained(event)
    if failed["events_left_out"]:
        typer.echo(f"\nand {failed['events_left_out']} more events of this step")
    typer.echo()


def _print_coverage(coverage: Mapping[str, Any]) -> None:
    rules, outcomes = coverage["rules"], coverage["outcomes"]
    if coverage["missing"]:
        print_table(("RULE", "NOT COVERED", "CONDITION", "PLACE"), map(_gap, coverage["missing"]))
    typer.echo(
        f"coverage {coverage['percent']:g} %: {rules['fired']} of {rules['of']} rules fired, {outcomes['seen']} of"
        f" {outcomes['of']} outcomes of conditions seen"
    )


def _gap(gap: Mapping[str, Any]) -> Sequence[object]:
    return gap["rule"], gap["missing"], gap["condition"], gap["place"]
