"""`dead_letters`: what becomes of messages that cannot be used."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import BaseModel, Field, create_model, model_validator

from bridge.config.section import Positive, Section
from connectors.connector import DeadLetterRoute
from connectors.size import Size
from connectors.table import CONNECTORS

_ROUTES: Mapping[str, DeadLetterRoute[Any, Any]] = {
    key: connector.dead_letters for key, connector in CONNECTORS.items() if connector.dead_letters is not None
}

if TYPE_CHECKING:

    class _DeadLetterKeys(Section): ...

else:
    _DeadLetterKeys = create_model(
        "_DeadLetterKeys",
        __base__=Section,
        **{key: (route.place | None, Field(default=None, description=route.doc)) for key, route in _ROUTES.items()},
    )


class DeadLetterStore(Section):
    """Dead letters kept in the store, until they are too old or too many."""

    retention: Positive = 30 * 86_400.0
    """How long one is kept."""
    max_rows: int = Field(default=1_000_000, ge=1)
    """How many are kept; the oldest make place."""
    max_bytes: Annotated[Size, Field(gt=0)] = 4 * 1024**3
    """How much their bodies, headers and details may have together; the oldest make place."""


class DeadLetterDefault(Section):
    """Where dead letters go unless their source says otherwise."""

    store: DeadLetterStore = DeadLetterStore()
    """They are kept in the database, with these limits."""


class DeadLetterTarget(_DeadLetterKeys):
    """Where dead letters of one source go: the broker's own way, or a place of the broker that is named here."""

    native: bool = False
    """The broker dead-letters the message in its own way."""

    @model_validator(mode="after")
    def _check_one(self) -> Self:
        places = [key for key in _ROUTES if getattr(self, key) is not None]
        if self.native + len(places) != 1:
            raise ValueError(f"write either native: true or {' or '.join(_ROUTES)}")
        return self

    @property
    def place(self) -> tuple[DeadLetterRoute[Any, Any], BaseModel] | None:
        """The route and what stands at its connector's key; None for the broker's own way."""
        for key, route in _ROUTES.items():
            if (place := getattr(self, key)) is not None:
                return route, place
        return None


class DeadLetters(Section):
    """What becomes of messages that cannot be used."""

    default: DeadLetterDefault = DeadLetterDefault()
    """Where messages go unless their source says otherwise."""
    sources: Mapping[str, DeadLetterTarget] = Field(default_factory=dict)
    """Another place for messages of the sources named."""
