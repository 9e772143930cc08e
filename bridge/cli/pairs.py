"""Options that name a value each: NAME=TEXT."""

from collections.abc import Sequence

from bridge.cli.client import fail
from bridge.cli.exits import Exit


def pairs_of(texts: Sequence[str] | None, option: str) -> dict[str, str]:
    """Names compare without case, as properties and header fields do. Raises: typer.Exit."""
    pairs: dict[str, str] = {}
    names: set[str] = set()
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise fail(f"{option} {name!r}: write NAME=TEXT", Exit.WRONG_ARGUMENTS)
        if name.lower() in names:
            raise fail(f"{option} {name!r}: is there twice, and one of the two would be lost", Exit.WRONG_ARGUMENTS)
        names.add(name.lower())
        pairs[name] = value
    return pairs
