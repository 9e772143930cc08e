"""What a word was likely meant for: the nearest known word, or a boolean."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches

_FLAGS: Mapping[str, str] = {"yes": "true", "on": "true", "no": "false", "off": "false"}


def did_you_mean(word: str, known: Iterable[str], *, all_if_few: bool = True, cutoff: float = 0.6) -> str:
    """A hint naming the known word nearest to `word`; when none is near, all of them if they are few."""
    known = sorted(known)
    near = [each for each in known if _may_be_near(word, each, cutoff)]
    if near and (close := get_close_matches(word, near, n=1, cutoff=cutoff)):
        return f"did you mean {close[0]}?"
    return f"known: {', '.join(known)}" if all_if_few and 0 < len(known) <= 12 else ""


def _may_be_near(word: str, other: str, cutoff: float) -> bool:
    """Whether two words are near enough by their lengths alone; difflib asks this too, but after ten times the work."""
    return 2.0 * min(len(word), len(other)) >= cutoff * (len(word) + len(other))


def flag_meant(text: str) -> str:
    """The boolean that YAML 1.1 took a text for (yes, no, on, off); empty for any other text."""
    return _FLAGS.get(text.casefold(), "")
