"""Several texts as one, for everything that is known by more than one text: no two tuples of texts give the same one."""

from hashlib import blake2b

_SEPARATOR, _ESCAPE = "\0", "\1"


def joined(*texts: str) -> str:
    """The texts with NUL between them; a NUL inside of a text is escaped, so `a NUL b` and `c` are not `a` and `b NUL c`.

    Texts without control characters are joined as they are.
    """
    whole = _SEPARATOR.join(texts)
    if whole.count(_SEPARATOR) == len(texts) - 1 and _ESCAPE not in whole:  # as nearly always
        return whole
    return _SEPARATOR.join([text.replace(_ESCAPE, _ESCAPE * 2).replace(_SEPARATOR, _ESCAPE + "\2") for text in texts])


def digest_of(joined_text: str) -> bytes:
    """16 bytes for a text that `joined` made: short enough to keep by the million, long enough to be its alone."""
    return blake2b(joined_text.encode("utf-8", "surrogatepass"), digest_size=16, usedforsecurity=False).digest()
