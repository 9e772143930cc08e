"""The sender of a platform that a hub has no credential for."""

from hub.notification import Platform
from hub.outcome import OutcomeName, Reaction
from hub.push import PageVerdict, PushPage, SendResult

_RESULT = SendResult(
    reaction=Reaction.DROP,
    outcome=OutcomeName.INVALID_CREDENTIALS,
    reason="no credential is configured for this platform",
)


class NoCredential:
    """Ends every push as InvalidCredentials, so that a phone of a platform without credential shows in the outcome."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform

    async def send(self, page: PushPage, *, deadline: float = 10.0) -> PageVerdict:
        """The same result for each."""
        return PageVerdict(exceptions=dict.fromkeys(range(len(page)), _RESULT))

    async def close(self) -> None:
        """Nothing to close."""
