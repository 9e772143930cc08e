"""What tests came to, as plain JSON and as the XML that CI systems read (JUnit). Values of events are in it."""

from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

from bridge.trial.report import event_report
from bridge.trial.suite.compare import InWords
from bridge.trial.suite.coverage import CoverageCount, Gap
from bridge.trial.suite.run import FailedStep, RuleTestResult
from rules.node import Mark

EXPLAINED = 3
"""Events of a step that are explained, at most: one that is repeated comes to much the same each time."""


def suite_report(results: Sequence[RuleTestResult], count: CoverageCount, gaps: Sequence[Gap]) -> dict[str, Any]:
    """The shape of `pushbridge test --json`."""
    failed = sum(result.failed is not None for result in results)
    return {
        "tests": [_test(result) for result in results],
        "passed": len(results) - failed,
        "failed": failed,
        "coverage": {
            "percent": round(count.percent, 1),
            "rules": {"fired": count.fired, "of": count.rules},
            "outcomes": {"seen": count.seen, "of": count.outcomes},
            "missing": [
                {"rule": gap.rule, "place": str(gap.place), "condition": gap.condition, "missing": gap.missing}
                for gap in gaps
            ],
        },
    }


def junit(report: Mapping[str, Any], failure_text: Mapping[int, str]) -> bytes:
    """A report as JUnit XML: a suite for each file. `failure_text` has what to say of each test that failed, by its index.

    Characters that XML does not allow are replaced.
    """
    root = ElementTree.Element("testsuites", name="pushbridge test")
    suites: dict[str, ElementTree.Element] = {}
    for index, test in enumerate(report["tests"]):
        file = test["file"]
        suite = suites.get(file)
        if suite is None:
            suite = suites[file] = ElementTree.SubElement(root, "testsuite", name=_legal(file))
        case = ElementTree.SubElement(
            suite,
            "testcase",
            classname=_legal(file),
            name=_legal(test["name"]),
            time=f"{test['seconds']:.3f}",
            file=_legal(file),
            line=str(test["line"]),
        )
        if index in failure_text:
            first = test["failed"]["differences"][0]
            failure = ElementTree.SubElement(case, "failure", message=_legal(f"{first['key']}: {first['text']}"))
            failure.text = _legal(failure_text[index])
    for element in (*suites.values(), root):
        cases = list(element.iter("testcase"))
        failures = sum(case.find("failure") is not None for case in cases)
        element.set("tests", str(len(cases)))
        element.set("failures", str(failures))
        element.set("errors", "0")
        element.set("time", f"{sum(float(case.get('time', 0)) for case in cases):.3f}")
    ElementTree.indent(root)
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _test(result: RuleTestResult) -> dict[str, Any]:
    return {
        "file": str(result.file),
        "line": result.place.line,
        "name": result.name,
        "passed": result.failed is None,
        "seconds": round(result.seconds, 3),
        "failed": None if result.failed is None else _failed(result.failed),
    }


def _failed(failed: FailedStep) -> dict[str, Any]:
    return {
        "step": failed.number,
        "place": _spelled(failed.place),
        "differences": [
            {
                "place": _spelled(mark),
                "key": _key(difference.at),
                "expected": _value(difference.expected),
                "seen": _value(difference.seen),
                "text": difference.text,
            }
            for mark, difference in failed.differences
        ],
        "events": [event_report(tried) for tried in failed.tried[:EXPLAINED]],
        "events_left_out": max(0, len(failed.tried) - EXPLAINED),
    }


def _key(at: Sequence[str | int]) -> str:
    return "expect" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in at)


def _value(value: Any) -> Any:
    return value.words if isinstance(value, InWords) else value


def _spelled(mark: Mark) -> str:
    return f"{mark.file}:{mark.line}:{mark.column}"


def _legal(text: str) -> str:
    """Text as XML 1.0 may have it (section 2.2), without what a terminal would obey."""
    return "".join(c if c == "\n" or c.isprintable() else "\ufffd" for c in text)
