"""What the files of a job hold: a registration a line, in words of the wire contract that the API knows."""

from typing import Protocol

from hub.installation import Registration


class Lines(Protocol):
    """Registrations as lines of text without a line's end."""

    def written(self, registration: Registration) -> str | None:
        """None: the wire contract has no description for its platform."""

    def read(self, hub: str, line: str, *, otherwise: str) -> tuple[Registration, bool]:
        """The registration, of the id `otherwise` where the line says none; whether the line says one.

        Raises: InvalidRequestError.
        """

    def read_id(self, line: str) -> str:
        """The id alone, for what is deleted. Raises: InvalidRequestError: there is none."""
