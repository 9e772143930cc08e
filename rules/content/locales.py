"""Which text a phone gets, and in whose manner its numbers are written: by CLDR's data (Unicode, UTS 35)."""

from collections.abc import Collection, Iterator
from functools import lru_cache


@lru_cache(maxsize=1024)
def chain(locale: str) -> tuple[str, ...]:
    """A language tag and what stands in for it, nearest first: de-CH, de. Empty for what is no language of CLDR.

    CLDR's own parents come before what is left of the tag: es-MX has es-419 before es, and zh-TW has zh-Hant.
    """
    return tuple(dict.fromkeys(_standing_in(locale.replace("_", "-"))))


def chosen(locale: str, known: Collection[str]) -> str | None:
    """The nearest of the `known` tags, without regard to case; None where there is none."""
    folded = {each.casefold(): each for each in known}
    return next((folded[each.casefold()] for each in chain(locale) if each.casefold() in folded), None)


@lru_cache(maxsize=1024)
def manner(locale: str, text_locale: str) -> str:
    """The locale of CLDR by which values in a text of `text_locale` are written for a phone of `locale`.

    That is the phone's own where it is of the text's language, as de-CH in a German text; else the text's.
    """
    same = locale.partition("-")[0].casefold() == text_locale.partition("-")[0].casefold()
    for each in chain(locale) if same else ():
        if _is_known(each):
            return each
    return next(each for each in (*chain(text_locale), "en") if _is_known(each))


def _standing_in(locale: str) -> Iterator[str]:
    from babel import Locale
    from babel.core import get_global

    parts = locale.split("-")
    tag = parts[0].lower()
    named = [tag, *(_cased(part) for part in parts[1:])]
    while named:
        each = "-".join(named)
        yield each
        parent = get_global("parent_exceptions").get(each.replace("-", "_"))
        if parent is not None and parent != "root":
            yield from _standing_in(parent.replace("_", "-"))
        elif len(named) == 2 and len(named[1]) == 2:  # a territory may have a script of its own
            likely = get_global("likely_subtags").get("_".join(named))
            usual = get_global("likely_subtags").get(tag)
            script = None if likely is None else Locale.parse(likely).script
            if script is not None and usual is not None and script != Locale.parse(usual).script:
                yield f"{tag}-{script}"
        named.pop()


def _cased(part: str) -> str:
    """As CLDR writes it: `Hant` for a script, `CH` for a territory."""
    return part.title() if len(part) == 4 and part.isalpha() else part.upper()


@lru_cache(maxsize=1024)
def _is_known(locale: str) -> bool:
    return is_locale(locale)


def is_locale(text: str) -> bool:
    """Whether CLDR knows the locale."""
    from babel import Locale, UnknownLocaleError

    try:
        Locale.parse(text.replace("_", "-"), sep="-")
    except (UnknownLocaleError, ValueError, TypeError):
        return False
    return True
