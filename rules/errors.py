"""What the rules may raise.

RuleError                   root; never raised itself
├── ExpressionError         a text of the configuration that cannot be compiled: report it where it stands
├── RenderError             this event cannot fill a text: it costs the rule, not the event
│   ├── MissingValueError   a path that an expression needs ends early
│   ├── TooLateError        the event is older than its notification would live: as above, with a reason of its own
│   └── UnsafeTagError      a value that may not become part of a tag: as above, with a reason of its own
├── TypeClashError          a pattern compares values of different kinds: the rule counts as not matched, with an error
└── MappingError            this message cannot become an event: reject it whole

No message holds a value of the event: it may be secret, and dead letters are read by people.
"""


class RuleError(Exception):
    """Root of everything the rules raise on purpose."""


class ExpressionError(RuleError):
    """A text that cannot be compiled; `column` counts from 1 within the text, `hint` says what was likely meant."""

    def __init__(self, message: str, *, column: int = 1, hint: str = "") -> None:
        super().__init__(message)
        self.column = column
        self.hint = hint


class RenderError(RuleError):
    """An event cannot fill a text; the message names the variable or the expression."""


class MissingValueError(RenderError):
    """An event has no value at a path; the message is the path."""


class TooLateError(RenderError):
    """An event came when its notification was over already."""


class UnsafeTagError(RenderError):
    """A value holds what a tag may not hold; nothing of it reaches the audience."""


class TypeClashError(RuleError):
    """A pattern met a value of a kind it cannot compare."""


class MappingError(RuleError):
    """A source's `map` cannot make an event of this message; `person` is whom the message is about, empty if not known."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.person = ""
