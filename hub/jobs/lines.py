"""What the files of a job hold: a registration a line, in words of the wire contract that the API knows."""

from collections.abc import Sequence
from typing import Protocol

from hub.installation import Installation, Registration


class Lines(Protocol):
    """Registrations as lines of text without a line's end."""

    def written(self, registration: Registration) -> str | None:
        """None: the wire contract has no description for its platform."""

    def read(self, hub: str, line: str, *, otherwise: str) -> tuple[Registration, bool]:
        """The registration, of the id `otherwise` where the line says none; whether the line says one.

        One that derives from an installation has that one's id. Raises: InvalidRequestError.
        """

    def rebuilt(
        self, hub: str, installation_id: str, registrations: Sequence[Registration], known: Installation | None
    ) -> Installation:
        """The installation that registrations derive from, on top of what is known of it. Raises: InvalidRequestError."""

    def read_id(self, hub: str, line: str) -> tuple[str, Registration | None]:
        """The id, for what is deleted; for what derives from an installation the registration, as in `read`.

        Raises: InvalidRequestError: there is no id.
        """
