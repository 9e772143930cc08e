"""The files of import and export jobs: a description a line, as single registrations have it."""

from collections.abc import Callable, Mapping
from datetime import datetime

from hub.api.access import HubAccess
from hub.api.wire.atom import Described, read_description
from hub.api.wire.registrations import check_registration_id, description_xml, kind_of, registration_from
from hub.errors import InvalidRequestError
from hub.installation import Registration

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
        )
        return registration, bool(given)

    def read_id(self, line: str) -> str:
        """A whole description, or the id alone."""
        given = _id_in(read_description(line)) if line.startswith("<") else line
        check_registration_id(given)
        return given


def _id_in(described: Described) -> str:
    if not (given := described.text(_ID)):
        raise InvalidRequestError(f"a deletion says which registration: {_ID} is missing")
    return given
