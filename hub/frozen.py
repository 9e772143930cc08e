"""Dataclasses that are frozen for the type checker, and cheap to make: for what each event needs several of.

Freezing at run time sets each field through `object.__setattr__`, which takes several times as long as an assignment; an
event needs about eighty such fields. The type checker refuses an assignment all the same.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass as frozen_dataclass
else:

    def frozen_dataclass(**options: Any) -> Any:
        """As `dataclass(frozen=True, **options)`; equal objects have the same hash."""
        return dataclass(**{**options, "frozen": False, "unsafe_hash": True})


__all__ = ["frozen_dataclass"]
