"""What a connector may raise.

SourceError                 root; never raised itself
├── NotConnectedError       the connection, channel or consumer is gone: close, then connect() again
├── SourceClosedError       the source has come to its end in good order: stop calling receive()
├── TopologyError           the broker has something of that name with other settings, or refuses to create it:
│                           the source is degraded until either side is changed; try again slowly
├── AuthenticationError     the broker refuses the credentials: as above
└── PublishError            a message was not confirmed: unknown whether the broker has it, publish it again
"""


class SourceError(Exception):
    """Root of everything a connector raises on purpose; foreign exceptions arrive as its children, with `from`."""


class NotConnectedError(SourceError):
    """The connection, channel or consumer is gone; the caller closes the source and connects again."""


class SourceClosedError(SourceError):
    """The source ended in good order; the caller stops asking."""


class TopologyError(SourceError):
    """What exists at the broker differs from what was configured; nothing was altered."""

    def __init__(self, message: str, *, differences: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.differences = differences


class AuthenticationError(SourceError):
    """The broker refuses the credentials."""


class PublishError(SourceError):
    """The broker did not confirm a message in time, or returned it; publishing it again is right.

    `published` are the ids of those that it confirmed all the same.
    """

    def __init__(self, message: str, *, published: frozenset[str] = frozenset()) -> None:
        super().__init__(message)
        self.published = published
