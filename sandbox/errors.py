"""What the sandbox may raise at those who use it; what its services say to their clients are answers, not exceptions.

SandboxError                root; never raised as such
└── RegistrationError       the hub did not take a phone's installation: its answer is in the message
"""


class SandboxError(Exception):
    """Root of everything the sandbox raises on purpose."""


class RegistrationError(SandboxError):
    """The hub refused an installation; `status` is its HTTP status."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status
