"""Rules: an event in, a decision out; pure but for reading YAML. Read `engine.py` first, `README.md` for the language."""

from rules.decision import Decision, Failure, Intent
from rules.errors import (
    ExpressionError,
    MappingError,
    RenderError,
    RuleError,
    TypeClashError,
    UnsafeTagError,
)
from rules.event import Event

__all__ = [
    "Decision",
    "Event",
    "ExpressionError",
    "Failure",
    "Intent",
    "MappingError",
    "RenderError",
    "RuleError",
    "TypeClashError",
    "UnsafeTagError",
]
