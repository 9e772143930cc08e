"""`sinks`: where other systems are told what became of notifications."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import BaseModel, Field, create_model, model_validator

from bridge.config.section import Positive, Section, one_of
from connectors.connector import SinkRoute
from connectors.size import Size
from connectors.table import CONNECTORS
from hub.store.contracts.sinks import SinkLimits

_SINKS: Mapping[str, SinkRoute[Any]] = {
    key: connector.sink for key, connector in CONNECTORS.items() if connector.sink is not None
}

if TYPE_CHECKING:

    class _SinkKeys(Section): ...

else:
    _SinkKeys = create_model(
        "_SinkKeys",
        __base__=Section,
        **{key: (route.settings | None, Field(default=None, description=route.doc)) for key, route in _SINKS.items()},
    )


class SinkSettings(_SinkKeys):
    """Where another system is told what became of notifications, by one of the connectors that can publish.

    What waits for a sink that is away waits in the store, within these limits; the oldest make place.
    """

    retention: Positive = 7 * 86_400.0
    """How long a report waits at most."""
    max_rows: int = Field(default=1_000_000, ge=1)
    """How many reports wait at most."""
    max_bytes: Annotated[Size, Field(gt=0)] = 1024**3
    """How much the reports that wait may have together."""

    @model_validator(mode="after")
    def _check_kind(self) -> Self:
        if sum(getattr(self, key) is not None for key in _SINKS) != 1:
            raise ValueError(f"write one of {one_of(_SINKS)}")
        return self

    @property
    def key(self) -> str:
        """The connector's key that is written."""
        return next(key for key in _SINKS if getattr(self, key) is not None)

    @property
    def place(self) -> tuple[SinkRoute[Any], BaseModel]:
        """The route and what stands at its connector's key."""
        return _SINKS[self.key], getattr(self, self.key)

    @property
    def limits(self) -> SinkLimits:
        """How much of it may wait."""
        return SinkLimits(kept=self.retention, max_rows=self.max_rows, max_bytes=self.max_bytes)
