"""Several texts as one, for everything that is known by more than one text: no two tuples of texts give the same one."""

from hashlib import blake2b

_SEPARATOR = "\0"


def joined(*texts: str) -> str:
    """The texts with NUL between them; a NUL inside of a text is escaped, so `a NUL b` and `c` are not `a` and `b NUL c`.

    Texts without control characters are joined as they are.
    """
    return _SEPARATOR.join([_escaped(text) for text in texts])


def digest_of(joined_text: str) -> bytes:
    """16 bytes for a text that `joined` made: short enough to keep by the million, long enough to be its alone."""
    return blake2b(joined_text.encode("utf-8", "surrogatepass"), digest_size=16, usedforsecurity=False).digest()


def _escaped(text: str) -> str:
    if _SEPARATOR not in text and "\1" not in text:
        return text
    return text.replace("\1", "\1\1").replace(_SEPARATOR, "\1\2")
