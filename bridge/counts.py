"""Numbers of things in sentences."""


def how_many(count: int, noun: str) -> str:
    """`1 rule`, `2 rules`; for nouns whose plural has an s."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
