"""The files of import and export jobs: a description a line, as single registrations have it."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from hub.api.access import HubAccess
from hub.api.wire.atom import Described, read_description
from hub.api.wire.registrations import (
    check_registration_id,
    description_xml,
    installation_of,
    kind_of,
    registration_from,
)
from hub.errors import InvalidRequestError
from hub.installation import Installation, Registration
from hub.registry.rebuilding import rebuilt

_ID = "RegistrationId"


class DescriptionLines:
    """`hub.jobs.lines.Lines`; `hubs` are asked for each time, by names in lower case."""

    def __init__(self, hubs: Callable[[], Mapping[str, HubAccess]], *, clock: Callable[[], datetime]) -> None:
        self._hubs = hubs
        self._clock = clock

    def written(self, registration: Registration) -> str | None:
        kind = kind_of(registration)
        if kind is None:
            return None
        # XML reads a line's end written so as what it is, and a line of the file ends with the description.
        return description_xml(registration, kind, in_cdata=False).replace("\r", "&#13;").replace("\n", "&#10;")

    def read(self, hub: str, line: str, *, otherwise: str) -> tuple[Registration, bool]:
        described = read_description(line)
        access = self._hubs()[hub]
        given = described.text(_ID)
        if given:
            check_registration_id(given)
        ttl = access.registration_ttl
        registration, _ = registration_from(
            described,
            given or otherwise,
            max_tags=access.max_tags,
            expires_at=None if ttl is None else self._clock() + ttl,
            may_derive=True,
        )
        return registration, bool(given)

    def rebuilt(
        self, hub: str, installation_id: str, registrations: Sequence[Registration], known: Installation | None
    ) -> Installation:
        return rebuilt(installation_id, registrations, known=known, max_tags=self._hubs()[hub].max_tags)

    def read_id(self, hub: str, line: str) -> tuple[str, Registration | None]:
        """A whole description, or the id alone."""
        if not line.startswith("<"):
            check_registration_id(line)
            return line, None
        described = read_description(line)
        if installation_of(described) is not None:
            registration, _ = self.read(hub, line, otherwise="-")
            return registration.registration_id, registration
        given = _id_in(described)
        check_registration_id(given)
        return given, None


def _id_in(described: Described) -> str:
    if not (given := described.text(_ID)):
        raise InvalidRequestError(f"a deletion says which registration: {_ID} is missing")
    return given
