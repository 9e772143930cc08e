"""Headers of a message, found by name without regard to case (RFC 9110, section 5.1).

HTTP servers and brokers spell a name each in their own way; what a rule writes is the name as documented by the sender.
"""

from collections.abc import Mapping
from typing import Any


class Headers(dict[str, Any]):
    """Headers by name. The exact name comes first: AMQP distinguishes names that differ only in case.

    Of several that differ only in case, and none of which is exact, the first one counts.
    """

    __slots__ = ("_by_lower",)
    _by_lower: dict[str, str]

    def __missing__(self, name: str) -> Any:
        return self[self._spelled(name)]

    def __contains__(self, name: object) -> bool:
        return dict.__contains__(self, name) or (isinstance(name, str) and name.lower() in self._lowered())

    def get(self, name: str, default: Any = None) -> Any:
        """The value of a header, or `default`."""
        try:
            return self[name]
        except KeyError:
            return default

    def _spelled(self, name: object) -> str:
        spelled = self._lowered().get(name.lower()) if isinstance(name, str) else None
        if spelled is None:
            raise KeyError(name)
        return spelled

    def _lowered(self) -> dict[str, str]:
        try:
            return self._by_lower
        except AttributeError:
            self._by_lower = {name.lower(): name for name in reversed(self)}
            return self._by_lower


def with_headers(meta: Mapping[str, Any]) -> Mapping[str, Any]:
    """The properties of a message, their `headers` found without regard to case."""
    headers = meta.get("headers")
    if type(headers) is Headers or not isinstance(headers, Mapping):
        return meta
    return {**meta, "headers": Headers(headers)}
