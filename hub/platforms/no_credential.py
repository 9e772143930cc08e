"""The sender of a platform that a hub has no credential for."""

from collections.abc import Sequence

from hub.notification import Platform
from hub.outcome import OutcomeName, Reaction
from hub.platforms.base import Push, SendResult

_RESULT = SendResult(
    reaction=Reaction.DROP,
    outcome=OutcomeName.INVALID_CREDENTIALS,
    reason="no credential is configured for this platform",
)


class NoCredential:
    """Ends every push as InvalidCredentials, so that a phone of a platform nobody set up shows in the outcome."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform

    async def send(self, pushes: Sequence[Push], *, deadline: float = 10.0) -> Sequence[SendResult]:
        """The same result for each."""
        return [_RESULT] * len(pushes)

    async def close(self) -> None:
        """Nothing to close."""
