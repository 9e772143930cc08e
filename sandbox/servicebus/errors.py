"""What the stand-in refuses outside of AMQP, where the answer is an HTTP status or an exception in a test.

EntityError                 root; never raised as such
├── EntityExistsError       the name is taken
├── EntityNotFoundError     there is no such entity
└── InvalidEntityError      a name, a setting or a filter cannot be
    └── FilterError         a filter's text is no filter; the column says where
"""

from sandbox.errors import SandboxError


class EntityError(SandboxError):
    """Root of what is wrong with an entity."""


class EntityExistsError(EntityError):
    """Choose another name, or use what is there."""


class EntityNotFoundError(EntityError):
    """Create it first."""


class InvalidEntityError(EntityError):
    """Mend the name, the setting or the filter that the message names."""


class FilterError(InvalidEntityError):
    """The text of a SQL filter or action is wrong at `column`, counted from 1."""

    def __init__(self, message: str, *, column: int) -> None:
        super().__init__(f"{message} at column {column}")
        self.column = column
