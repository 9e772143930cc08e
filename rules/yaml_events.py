"""What the YAML parser says of a text, as plain tuples that know their places: `document` makes nodes of them.

libyaml parses (a twentieth of the time of PyYAML's own composer, which makes an object for each value and mark); where it
is missing, PyYAML's parser says the same. Lines and columns count from 1.
"""

import marshal
import zlib
from collections.abc import Sequence
from typing import Any

import yaml
from yaml.composer import ComposerError

from rules.yaml_cures import lost_behind_hash

SCALAR, MAPPING, SEQUENCE, PLACEHOLDER, LOOP = range(5)

Written = tuple[Any, ...]
"""A value: its kind, line, column, its tag if that has no meaning here, and then
SCALAR: text, whether it has no quotes, whether it stands in the file character by character, and its end if that is lost;
MAPPING: its entries; SEQUENCE: its items (of `rules`, at the top, packed ones); PLACEHOLDER: the text of a `{{ … }}`
without quotes, which YAML takes for an object in an object; LOOP: an alias inside of what it stands for."""

WrittenEntry = tuple[str | None, int, int, Written]
"""The key (None: no text), its line and column, and the value."""

_Loader = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
_OWN_TAGS = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:seq", "tag:yaml.org,2002:map")
_MAX_DEPTH = 100
_MAX_VALUES = 100_000
"""Values that aliases may make; without aliases a file has fewer values than characters."""


class TooMuchError(Exception):
    """What no configuration has; `line` and `column` are where it goes beyond that."""

    def __init__(self, mark: Any) -> None:
        super().__init__()
        self.line, self.column = mark.line + 1, mark.column + 1


class TooDeepError(TooMuchError):
    """Nested deeper than any configuration is."""


class TooManyValuesError(TooMuchError):
    """A few lines of aliases can stand for more values than there is memory."""


def compose(text: str) -> Written | None:
    """The one document of a text; None if there is none. Raises: yaml.YAMLError, TooDeepError, TooManyValuesError."""
    return _Composer(text).document()


def unpacked(item: bytes | Written) -> Written:
    """A rule, which is packed unless an alias stands for all of them."""
    written: Written = marshal.loads(zlib.decompress(item)) if isinstance(item, bytes) else item  # noqa: S302 - packed in this process
    return written


class _Anchor:
    """What an alias stands for, and as how many values; open while that is read."""

    def __init__(self, mark: Any) -> None:
        self.mark = mark
        self.written: Written | None = None
        self.values = 0
        self.height = 0


class _Composer:
    def __init__(self, text: str) -> None:
        self._parser: Any = _Loader(text)
        self._lines = text.splitlines()
        self._anchors: dict[str, _Anchor] = {}
        self._values = 0
        self._by_alias = 0
        self._deepest = 0

    def document(self) -> Written | None:
        parser = self._parser
        parser.get_event()  # the start of the stream
        if parser.check_event(yaml.StreamEndEvent):
            return None
        parser.get_event()
        mark = parser.peek_event().start_mark
        document = self._value(parser.get_event(), 0, is_root=True)
        parser.get_event()
        if not parser.check_event(yaml.StreamEndEvent):
            another = parser.get_event().start_mark
            raise ComposerError("expected a single document in the stream", mark, "but found another document", another)
        return document

    def _value(self, event: Any, depth: int, *, is_root: bool = False, is_rules: bool = False) -> Written:
        self._values += 1
        if depth > self._deepest:
            self._deepest = depth
            if depth > _MAX_DEPTH:
                raise TooDeepError(event.start_mark)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, depth)
        anchor = None
        if event.anchor is not None:
            anchor = self._opened(event)
            values, deepest, self._deepest = self._values, self._deepest, depth
        mark = event.start_mark
        tag = None if event.tag in (None, "!") or event.tag.startswith(_OWN_TAGS) else event.tag
        start = (mark.line + 1, mark.column + 1, tag)
        if isinstance(event, yaml.ScalarEvent):
            written: Written = (SCALAR, *start, *self._scalar(event))
        elif isinstance(event, yaml.SequenceStartEvent):
            written = (SEQUENCE, *start, self._items(depth, packed=is_rules and anchor is None))
        else:
            entries, end = self._entries(depth, is_root=is_root)
            line = self._line(mark)
            if line.startswith("{{", mark.column):
                written = (PLACEHOLDER, *start, line[mark.column : end.column] if mark.line == end.line else "")
            else:
                written = (MAPPING, *start, entries)
        if anchor is not None:
            anchor.written, anchor.height = written, self._deepest - depth
            anchor.values = self._values - values + 1
            self._deepest = max(self._deepest, deepest)
        return written

    def _opened(self, event: Any) -> _Anchor:
        first = self._anchors.get(event.anchor)
        if first is not None:
            message = "found duplicate anchor; first occurrence"
            raise ComposerError(message, first.mark, "second occurrence", event.start_mark)
        anchor = self._anchors[event.anchor] = _Anchor(event.start_mark)
        return anchor

    def _alias(self, event: Any, depth: int) -> Written:
        anchor = self._anchors.get(event.anchor)
        if anchor is None:
            raise ComposerError(None, None, "found undefined alias", event.start_mark)
        if anchor.written is None:
            return (LOOP, anchor.mark.line + 1, anchor.mark.column + 1, None)
        self._values += anchor.values
        self._by_alias += anchor.values
        if self._by_alias > _MAX_VALUES:
            raise TooManyValuesError(event.start_mark)
        self._deepest = max(self._deepest, depth + anchor.height)
        if self._deepest > _MAX_DEPTH:
            raise TooDeepError(event.start_mark)
        return anchor.written

    def _items(self, depth: int, *, packed: bool) -> Sequence[Any]:
        items: list[Any] = []
        while not isinstance(event := self._parser.get_event(), yaml.SequenceEndEvent):
            item = self._value(event, depth + 1)
            items.append(zlib.compress(marshal.dumps(item), 1) if packed else item)
        return tuple(items)

    def _entries(self, depth: int, *, is_root: bool) -> tuple[Sequence[WrittenEntry], Any]:
        entries: list[WrittenEntry] = []
        next_event = self._parser.get_event
        while not isinstance(event := next_event(), yaml.MappingEndEvent):
            name = None
            if (
                type(event) is yaml.ScalarEvent and event.anchor is None
            ):  # nearly every key: no need of more than its text
                name = event.value
            elif (key := self._value(event, depth + 1))[0] == SCALAR:
                name = key[4]
            mark = event.start_mark
            value = self._value(next_event(), depth + 1, is_rules=is_root and name == "rules")
            entries.append((name, mark.line + 1, mark.column + 1, value))
        return tuple(entries), event.end_mark

    def _scalar(self, event: Any) -> tuple[str, bool, bool, str]:
        text, start, end = event.value, event.start_mark, event.end_mark
        is_plain = not event.style  # None or empty, as libyaml is there or not
        in_line = start.line == end.line and end.column - start.column == len(text) + (0 if is_plain else 2)
        line = self._line(end) if is_plain else ""
        lost = lost_behind_hash(line, end.column, is_empty=not text) if "#" in line else ""
        return text, is_plain, in_line, lost

    def _line(self, mark: Any) -> str:
        return self._lines[mark.line] if mark.line < len(self._lines) else ""
