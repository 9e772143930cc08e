"""What is written in a document, whatever stands there: a mistake is complained of at another place."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from bridge.config.models.hubs import HubSettings
from connectors.connector import Connector
from connectors.table import CONNECTORS
from rules.node import Node


def hub_of(plain: Any) -> HubSettings:
    """A hub with a mistake in it is still a hub, with what the others have where nothing is said."""
    try:
        return HubSettings.model_validate(plain)
    except ValidationError:
        return HubSettings(default=mapping(plain).get("default") is True)


def mapping(plain: Any) -> Mapping[str, Any]:
    """Empty where something else stands."""
    return plain if isinstance(plain, dict) else {}


def entries(root: Node, *path: str) -> Mapping[str, Node]:
    """The entries at `path`; none where something else stands."""
    node = root
    for part in path:
        if not isinstance(node.value, dict) or part not in node.value:
            return {}
        node = node.value[part]
    return node.value if isinstance(node.value, dict) else {}


def connectors_of(source: Node) -> list[tuple[str, Connector[Any]]]:
    """The connectors whose keys stand in a source: one, or there is a mistake."""
    return [(key, kind) for key, kind in CONNECTORS.items() if key in entries(source)]
