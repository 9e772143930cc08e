"""What the hub may raise.

HubError                    root; never raised as such
├── InvalidRequestError     the caller's data is wrong: tell them, do not repeat (400 on the wire)
│   ├── TagError            a tag or tag expression, with the column
│   ├── TemplateError       a template body, header or expression
│   ├── PayloadTooLargeError    over the contract's limit (413)
│   └── ConfirmationError       for more registrations than go without a confirmation: ask who sends, then send with one
├── NotFoundError           no such hub, installation, registration or notification (404)
├── PreconditionError       an ETag that does not match (412)
├── GoneError               a registration id that is never served again: ask for a new one (410)
├── WithdrawnError          the caller gave up what a failing store kept waiting: nothing happened
├── FilledTooLargeError     a template came to more than any push service takes: that push is not sent
├── BlobError               a blob that a job reads or writes: the job fails
│   └── BlobUnavailableError    its host did not do it: try the same again
├── RemoteError             a remote hub does not do what was asked: its words say why, an operator has to look
│   ├── RemoteRefusedError      it refuses the key, or has no such hub
│   └── RemoteUnreachableError  it does not answer, or says to come again: try the same later
├── CapacityError           the queue is full: try again after `retry_after` seconds (429)
└── StoreError              the store could not do it: nothing happened, try the same again
    ├── ConflictError       another transaction came between: the same again will see what that one wrote
    └── StoreLockedError    another process holds this store: only an operator can help
"""


class HubError(Exception):
    """Root of everything the hub raises on purpose."""


class InvalidRequestError(HubError):
    """The caller's data is wrong; repeating it will not help."""


class TagError(InvalidRequestError):
    """A tag or tag expression that cannot be; `column` counts from 1 and points at the first wrong character."""

    def __init__(self, message: str, *, column: int = 1) -> None:
        super().__init__(message)
        self.column = column


class TemplateError(InvalidRequestError):
    """A template that cannot be registered; `where` names the place in it (a JSON path, an element, a header)."""

    def __init__(self, message: str, *, where: str = "") -> None:
        super().__init__(message)
        self.where = where


class PayloadTooLargeError(InvalidRequestError):
    """A body over the contract's limit."""


class ConfirmationError(InvalidRequestError):
    """A notification for `count` registrations, where more than `above` need a confirmation."""

    def __init__(self, message: str, *, count: int, above: int) -> None:
        super().__init__(message)
        self.count = count
        self.above = above


class NotFoundError(HubError):
    """There is no such hub, installation, registration or notification."""


class PreconditionError(HubError):
    """The ETag named by the caller is not the current one."""


class GoneError(HubError):
    """A registration whose push channel is dead, or that has expired: its phone gets a new id and registers under that."""


class WithdrawnError(HubError):
    """What waited for a failing store was withdrawn; nothing of it was accepted."""


class FilledTooLargeError(HubError):
    """A template that was filled came to more than any push service takes."""


class BlobError(HubError):
    """A blob that a job reads or writes cannot be had, or is not what the job began with."""


class BlobUnavailableError(BlobError):
    """The host of a blob did not answer, or said to come again; nothing is known of what it did."""


class RemoteError(HubError):
    """A remote hub did not do what it was asked."""


class RemoteRefusedError(RemoteError):
    """A remote hub refuses the key, or there is no hub of that name."""


class RemoteUnreachableError(RemoteError):
    """A remote hub does not answer, or is too busy: `retry_after` is in seconds, where it says so."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class CapacityError(HubError):
    """The queue is full; `retry_after` is in seconds."""

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class StoreError(HubError):
    """The store could not do it; nothing was changed and the same call may be tried again."""


class StoreLockedError(StoreError):
    """Another process holds this store."""


class ConflictError(StoreError):
    """Another transaction wrote between what was read and what was to be written; the same again will see its rows."""
