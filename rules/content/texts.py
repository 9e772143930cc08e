"""A content of the configuration, compiled: what it says to a phone of a language and a time zone.

Its document says the same as JSON, and nothing else is needed to compile it again: the store keeps it beside the
notifications that were accepted with it, so that a retry after a reload says what the first try said.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import orjson

from hub.characters import cut_text
from hub.fallback import Fallback
from hub.notification import HeldText
from hub.platforms.shown import Shown
from rules import localised
from rules.content.locales import chosen, manner
from rules.errors import MissingValueError, RenderError
from rules.expression_conditions import Tested
from rules.expression_operations import Default
from rules.expression_tree import Path, Tree
from rules.localisation import Localisation, is_timed
from rules.render import Text, compile_text
from rules.text import text_of

WORDING: Final = ("title", "subtitle", "body")
OPTIONS: Final = ("category", "deep_link", "sound", "image", "channel")
MAX_LINE: Final = 200
"""Characters of a title or a subtitle."""
MAX_BODY: Final = 4000
"""Characters of a body: more than any push service takes."""

_VARIANTS: Final = 512
"""Compiled variants of one content that are kept, and groups by what phones say."""

_DIRECTION: Final = re.compile("[\u202a-\u202e\u2066-\u2069]")
"""Characters that turn the direction of what follows: a value must not change how the text around it is read."""
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ufeff]|[\ud800-\udfff]")
_BREAKS: Final = re.compile(r"[\t\n\r\u2028\u2029]+")


class PropertyNames(Mapping[str, Callable[[Any], Any]]):
    """The names of a text held here: any that `push.with` may give. Names compare without case."""

    def __getitem__(self, name: str) -> Callable[[Any], Any]:
        return _reader(name)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str)

    def __iter__(self) -> Any:
        return iter(())

    def __len__(self) -> int:
        return 0


@lru_cache(maxsize=4096)
def _reader(name: str) -> Callable[[Any], Any]:
    folded = name.casefold()

    def read(properties: Mapping[str, str]) -> str:
        try:
            return properties[folded]
        except KeyError:
            raise MissingValueError(f"{name} is missing") from None

    return read


PROPERTIES: Final = PropertyNames()


def spelled(value: Any) -> str:
    """A value as a part of a text that people read: without characters that would turn or hide the rest of it."""
    text = text_of(value)
    return text if text.isprintable() and not _DIRECTION.search(text) else _CONTROL.sub("", _DIRECTION.sub("", text))


def needed_by(text: Text) -> dict[str, Path]:
    """The properties that a text cannot do without, in lower case, each with a path that reads it."""
    named: dict[str, Path] = {}
    optional: set[str] = set()
    for placeholder in text.placeholders:
        for path in placeholder.tree.paths():
            named.setdefault(path.root.casefold(), path)
        optional |= _optional(placeholder.tree)
    return {name: path for name, path in named.items() if name not in optional}


def _optional(tree: Tree) -> set[str]:
    """What has a default, or is asked whether it is there."""
    asks = isinstance(tree, Default | Tested)
    own = {path.root.casefold() for path in tree.operands()[0].paths()} if asks else set()
    return own.union(*(_optional(operand) for operand in tree.operands()))


Group = tuple[str, str, str, Fallback | None]
"""What phones share that get the same: the language of the text, the manner of its numbers, the zone of its times, and why
the text is the fallback; None where it is in their language.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """For whom a content is written where a phone does not say it: `locale` empty for the content's own fallback, `only`
    a language that all get."""

    locale: str = ""
    only: str = ""
    timezone: str = "UTC"


@dataclass(frozen=True, slots=True)
class ContentTexts:
    """A content, as its document says it. Texts are compiled for a group when it is first met."""

    name: str
    fallback: str
    locales: Mapping[str, Mapping[str, str]]
    options: Mapping[str, str]
    data: Mapping[str, str]
    reader: Reader = Reader()
    held: HeldText = field(init=False, compare=False, repr=False)
    is_timed: bool = field(init=False, compare=False, repr=False)
    variant: Callable[[str, str], "Variant"] = field(init=False, compare=False, repr=False)
    """The texts of a language compiled, with values in the manner of a locale."""
    group: Callable[[str, str], Group] = field(init=False, compare=False, repr=False)
    """What a phone of a language and a zone, each empty where it says none, shares with others."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "held", HeldText.of(self.name, self._document()))
        texts = [text for wording in self.locales.values() for text in wording.values()]
        texts += [*self.options.values(), *self.data.values()]
        object.__setattr__(self, "is_timed", any("{{" in text and is_timed(text) for text in texts))
        object.__setattr__(self, "variant", lru_cache(maxsize=_VARIANTS)(self._compiled))
        object.__setattr__(self, "group", lru_cache(maxsize=_VARIANTS)(self._group))

    def _document(self) -> bytes:
        said = {
            "name": self.name,
            "fallback": self.fallback,
            "locales": {locale: dict(wording) for locale, wording in self.locales.items()},
            "options": dict(self.options),
            "data": dict(self.data),
            "reader": {"locale": self.reader.locale, "only": self.reader.only, "timezone": self.reader.timezone},
        }
        return orjson.dumps(said, option=orjson.OPT_SORT_KEYS)

    @classmethod
    def of(cls, document: bytes) -> "ContentTexts":
        """The content that a document says. Raises: ValueError, KeyError: it was written by another program."""
        said = orjson.loads(document)
        return cls(
            said["name"], said["fallback"], said["locales"], said["options"], said["data"], Reader(**said["reader"])
        )

    def for_reader(self, reader: Reader) -> "ContentTexts":
        """The same texts, for phones of a hub."""
        return ContentTexts(self.name, self.fallback, self.locales, self.options, self.data, reader)

    def _group(self, locale: str, time_zone: str) -> Group:
        wanted = self.reader.only or locale or self.reader.locale or self.fallback
        own = chosen(wanted, self.locales.keys())
        text = own or self.fallback
        why = None if own is not None else Fallback.NO_TEXT
        if not (self.reader.only or locale or self.reader.locale):
            why = Fallback.NO_LOCALE
        return text, manner(wanted, text), (time_zone or self.reader.timezone) if self.is_timed else "", why

    def fallback_for(self, group: Group, shown: Shown) -> Fallback | None:
        """Why a group reads in another language than its own what it is shown; None where it does not."""
        return group[3] if shown.locale == group[0] else Fallback.NOT_FILLED

    def shown(self, properties: Mapping[str, str], group: Group) -> Shown:
        """What phones of a group read; where their language cannot be filled, the fallback. Raises: RenderError."""
        values = {name.casefold(): value for name, value in properties.items()}
        language, locale, zone, _ = group
        with localised.reading_in(zone or self.reader.timezone):
            try:
                return self.variant(language, locale).filled(values)
            except RenderError:
                fallback = self._fallback_group()
                if (language, locale) == fallback[:2]:
                    raise
                return self.variant(*fallback[:2]).filled(values)

    def warm(self, group: Group) -> None:
        """Compile what a group reads, and have CLDR's data of its locale in memory: some milliseconds, the first time."""
        language, locale, _, _ = group
        self.variant(language, locale)
        localised.number_format(1, locale=locale)

    def prove(self, properties: Mapping[str, str]) -> None:
        """Fill the fallback, which every phone can get. Raises: RenderError: it cannot be filled."""
        self.shown(properties, self._fallback_group())

    def _fallback_group(self) -> Group:
        return self.group(self.fallback, "") if not self.reader.only else self.group("", "")

    def _compiled(self, language: str, locale: str) -> "Variant":
        where = Localisation(locale)

        def compiled(texts: Mapping[str, str]) -> dict[str, Text]:
            return {
                name: compile_text(each, PROPERTIES, localisation=where).spelled_by(spelled)
                for name, each in texts.items()
            }

        return Variant(language, {**compiled(self.locales[language]), **compiled(self.options)}, compiled(self.data))


@dataclass(frozen=True, slots=True)
class Variant:
    """The texts of one language, by what they are, and the values for the app."""

    locale: str
    texts: Mapping[str, Text]
    data: Mapping[str, Text]

    def filled(self, values: Mapping[str, str]) -> Shown:
        """Raises: RenderError, which names the text."""
        said = {name: _filled(name, text, values) for name, text in self.texts.items()}
        said["title"], said["subtitle"] = (_line(said.get(name, "")) for name in ("title", "subtitle"))
        said["body"] = cut_text(said["body"], MAX_BODY)
        data = {name: _filled(f"data.{name}", text, values) for name, text in self.data.items()}
        return Shown(**said, data=data, locale=self.locale)


def _filled(name: str, text: Text, values: Mapping[str, str]) -> str:
    try:
        return text.render(values)
    except RenderError as error:
        raise RenderError(f"{name}: {error}") from None


def _line(text: str) -> str:
    return cut_text(_BREAKS.sub(" ", text), MAX_LINE)
