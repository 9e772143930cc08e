"""Complaints of `check` as code hosts show them beside the lines: SARIF 2.1.0 (OASIS, section 3)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rules.problems import Problem, Severity

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_RULE = "configuration"


def as_sarif(problems: Sequence[Problem], *, version: str) -> dict[str, Any]:
    """One run. Files below the working directory are named from there on, as a checkout has them."""
    driver = {
        "name": "pushbridge check",
        "version": version,
        "rules": [
            {"id": _RULE, "shortDescription": {"text": "A mistake in a configuration of pushbridge, or a doubt."}}
        ],
    }
    return {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": list(map(_result, problems))}
        ],
    }


def _result(problem: Problem) -> dict[str, Any]:
    hint = f" ({problem.hint})" if problem.hint else ""
    key = f"{problem.key}: " if problem.key else ""
    mark = problem.mark
    region = {"startLine": max(1, mark.line), "startColumn": max(1, mark.column)}
    return {
        "ruleId": _RULE,
        "level": "error" if problem.severity is Severity.ERROR else "warning",
        "message": {"text": f"{key}{problem.message}{hint}"},
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": _uri(mark.file)}, "region": region}}],
    }


def _uri(file: str) -> str:
    path, here = Path(file).absolute(), Path.cwd()
    return quote(path.relative_to(here).as_posix()) if path.is_relative_to(here) else path.as_uri()
