"""The section `content`, read into texts with every mistake at its place."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from hub.spelling import did_you_mean
from rules.content import models
from rules.content.locales import is_locale, manner
from rules.content.texts import OPTIONS, PROPERTIES, WORDING, ContentTexts, Reader, needed_by
from rules.errors import ExpressionError
from rules.localisation import Localisation
from rules.models import keys_of
from rules.node import Mark, Node
from rules.problems import Problems
from rules.reading import complain, fields, word
from rules.render import Text, compile_text

_NAME: Final = re.compile(models.CONTENT_NAME)
_DATA_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")
_TAKEN: Final = frozenset(
    "aps title subtitle body image category deep_link from message_type notification collapse_key".split()  # noqa: SIM905 - a table
)
_TAKEN_BEGINNINGS: Final = ("google", "gcm")
_LINKS: Final = ("deep_link", "image")
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_HTTPS: Final = re.compile(r"https://[^/{}\s]+")


@dataclass(frozen=True, slots=True)
class NamedContent:
    """A content and the properties that its texts cannot do without: by lower-case name, as written and where."""

    texts: ContentTexts
    needed: Mapping[str, tuple[str, Mark]]
    used: frozenset[str] = field(default=frozenset())
    """All that its texts name, in lower case."""


def read_contents(section: Node | None, problems: Problems) -> dict[str, NamedContent]:
    """All of the section, by name, after complaining of every mistake; one with a mistake is left out."""
    if section is None or section.value is None:
        return {}
    if not isinstance(section.value, dict):
        problems.add(
            section, "expected contents by name", "content: { NAME: { locales: { en: { title: …, body: … } } } }"
        )
        return {}
    read = {name: _ContentReader(name, node, problems).read() for name, node in section.value.items()}
    return {name: content for name, content in read.items() if content is not None}


class _ContentReader:
    """Reads one content."""

    def __init__(self, name: str, node: Node, problems: Problems) -> None:
        self._name = name
        self._node = node
        self._problems = problems
        self._needed: dict[str, tuple[str, Mark]] = {}
        self._used: set[str] = set()
        self._is_whole = True

    def read(self) -> NamedContent | None:
        if not _NAME.fullmatch(self._name):
            self._mistake(self._node, "a name is letters, digits and _ . : - up to 120", mark=self._node.key_mark)
        entries = fields(self._node, self._problems, models.Content)
        if "locales" not in entries:
            hint = "locales: { en: { title: …, body: … } }"
            self._mistake(self._node, "locales is missing", hint, mark=self._node.key_mark)
            return None
        locales = self._locales(entries["locales"])
        fallback = self._fallback(entries.get("fallback"), locales)
        if fallback is None:
            return None
        options, data = self._options(entries["options"], fallback) if "options" in entries else ({}, {})
        if not self._is_whole:
            return None
        texts = ContentTexts(self._name, fallback, locales, options, data, Reader())
        return NamedContent(texts, self._needed, frozenset(self._used))

    def _mistake(self, node: Node, message: str, hint: str = "", *, mark: Mark | None = None) -> None:
        self._is_whole = False
        self._problems.add(node, message, hint, mark=mark)

    def _locales(self, section: Node) -> dict[str, dict[str, str]]:
        if not isinstance(section.value, dict) or not section.value:
            self._mistake(section, "expected texts by language", "en: { title: …, body: … }")
            return {}
        locales: dict[str, dict[str, str]] = {}
        for name, node in section.value.items():
            tag = name.replace("_", "-")
            if not is_locale(tag):
                self._mistake(
                    node, f"there is no language {name!r}", "de, de-CH, pt-BR and others of CLDR", mark=node.key_mark
                )
            elif tag.casefold() in map(str.casefold, locales):
                self._mistake(node, "this language is there twice", mark=node.key_mark)
            else:
                locales[tag] = self._wording(tag, node)
        self._compare(section.value, locales)
        return locales

    def _wording(self, locale: str, node: Node) -> dict[str, str]:
        entries = fields(node, self._problems, models.Wording)
        if isinstance(node.value, dict) and node.value.keys() - set(keys_of(models.Wording)):
            self._is_whole = False
        for name in ("title", "body"):
            if name not in entries:
                self._mistake(node, f"{name} is missing", mark=node.key_mark)
        read = {name: self._text(entries[name], locale) for name in WORDING if name in entries}
        return {name: text for name, text in read.items() if text is not None}

    def _compare(self, nodes: Mapping[str, Node], locales: Mapping[str, Mapping[str, str]]) -> None:
        """Warn of what one language says and another does not: a phone would lack it, and its author may not know."""
        if not self._is_whole:
            return
        said = {name for wording in locales.values() for name in wording}
        for node, (locale, wording) in zip(nodes.values(), locales.items(), strict=False):
            if missing := sorted(said - wording.keys()):
                others = ", ".join(other for other, theirs in locales.items() if missing[0] in theirs)
                self._problems.warn(
                    node, f"{missing[0]} is missing in {locale}", f"it is there in {others}", mark=node.key_mark
                )

    def _fallback(self, node: Node | None, locales: Mapping[str, object]) -> str | None:
        if node is None:
            if len(locales) > 1:
                hint = f"fallback: {next(iter(locales))}"
                self._mistake(
                    self._node, "fallback is missing, for phones of other languages", hint, mark=self._node.key_mark
                )
            return next(iter(locales), None)
        text = word(node, self._problems)
        known = {each.casefold(): each for each in locales}
        found = None if text is None else known.get(text.replace("_", "-").casefold())
        if found is None:
            self._mistake(
                node,
                f"{node.written!r} is not one of: {', '.join(locales)}",
                did_you_mean(node.written, locales, all_if_few=False),
            )
        return found or next(iter(locales), None)

    def _options(self, section: Node, fallback: str) -> tuple[dict[str, str], dict[str, str]]:
        entries = fields(section, self._problems, models.Options)
        if isinstance(section.value, dict) and section.value.keys() - set(keys_of(models.Options)):
            self._is_whole = False
        read = {name: self._text(entries[name], fallback) for name in OPTIONS if name in entries}
        for name in _LINKS:
            if name in entries and read.get(name):
                self._check_link(name, entries[name], str(read[name]))
        data = self._data(entries["data"], fallback) if "data" in entries else {}
        return {name: text for name, text in read.items() if text}, data

    def _check_link(self, name: str, node: Node, text: str) -> None:
        """An event that could choose the scheme would choose what a tap does."""
        begin = text.partition("{{")[0]
        if name == "image" and not _HTTPS.match(begin):
            self._mistake(
                node, "an image begins with https:// and its host, which no value may choose", "https://HOST/…"
            )
        elif not _SCHEME.match(begin):
            hint = "acme://order/{{ order_no | urlencode }}"
            self._mistake(node, "a link begins with its scheme, which no value may choose", hint)
        elif begin.casefold().startswith(("javascript:", "data:", "vbscript:", "file:")):
            self._mistake(node, f"{begin.partition(':')[0]}: is no link that a push may lead to")

    def _data(self, section: Node, fallback: str) -> dict[str, str]:
        if not isinstance(section.value, dict):
            self._mistake(section, "expected values by name")
            return {}
        data = {}
        for name, node in section.value.items():
            if not _DATA_NAME.fullmatch(name):
                self._mistake(node, "a name is a letter, then letters, digits and _, 40 at most", mark=node.key_mark)
            elif name.casefold() in _TAKEN or name.casefold().startswith(_TAKEN_BEGINNINGS):
                self._mistake(node, "push services or other keys have this name", mark=node.key_mark)
            elif (text := self._text(node, fallback)) is not None:
                data[name] = text
        return data

    def _text(self, node: Node, locale: str) -> str | None:
        """A text that compiles for its language; what it names is noted."""
        text = word(node, self._problems)
        if text is None:
            self._is_whole = False
            return None
        where = Localisation(manner(locale, locale))
        try:
            compiled = compile_text(text, PROPERTIES, localisation=where).placed(node)
        except ExpressionError as error:
            self._is_whole = False
            complain(error, node, self._problems)
            return None
        self._note(compiled, node)
        return text

    def _note(self, text: Text, node: Node) -> None:
        for placeholder, offset in zip(text.placeholders, text.offsets, strict=True):
            for path in placeholder.tree.paths():
                self._used.add(path.root.casefold())
                if path.keys:
                    mark = node.at(offset + path.offset + 1)
                    self._mistake(node, f"{path.root} is a text of push.with and has no fields", mark=mark)
        for name, path in needed_by(text).items():
            self._needed.setdefault(name, (path.root, node.mark))
