"""What rules ask for that no event brings: fields that a source never has, types that its map never makes, rules that
stand behind one that stops. Such a rule compiles and never fires, or fails with every event; each is a warning.

What a source makes is known as far as its settings say. Where they leave something open, nothing is said.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import product

from hub.spelling import did_you_mean
from hub.times import is_no_time, parse_time
from rules.advice.foreign import placeholders
from rules.errors import ExpressionError
from rules.expression_operations import Filtered
from rules.expressions import DIGEST_FIELDS, Expression, compile_expression, ordered_texts
from rules.grammar import split
from rules.models import OPERATORS
from rules.node import Node
from rules.problems import Problems
from rules.render import Text

_ATTRIBUTES = ("type", "source", "subject")
_KEYS_OF_RULES = (("dedupe", "key"), ("throttle", "key"), ("key",), ("cancel", "key"), ("schedule", "at"))
"""Where a rule has a text outside of its push."""
_NUMBER = re.compile(r"\s*[-+]?\d+(\.\d+)?\s*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Produced:
    """What the events of one source are. None, or a missing attribute, says that it is not known.

    `fields` are the names that data has, `is_text` says that data is one text, `meta` are the names of the broker's
    properties, and `attributes` are the texts that make `type`, `source` and `subject`. `field_word` is what the setting
    `fields_by` calls a field.
    """

    fields: frozenset[str] | None = None
    field_word: str = "group"
    fields_by: str = "pattern"
    is_text: bool = False
    meta: frozenset[str] | None = None
    attributes: Mapping[str, Text] = field(default_factory=dict)


class ReachCheck:
    """Warns of what rules ask for in vain, with or without mistakes in them; one rule after the other, in order."""

    def __init__(self, produced: Mapping[str, Produced], problems: Problems) -> None:
        self._produced = produced
        self._problems = problems
        self._stops = _Stops()

    def check(self, node: Node) -> None:
        """Warn of one rule."""
        if not isinstance(node.value, dict):
            return
        rule = node.value
        sources = _sources_of(rule, self._produced)
        _check_texts(rule, sources, self._problems)
        _check_match(rule, sources, self._problems)
        _check_stopped(node, rule, self._stops.before(rule), self._problems)
        is_observed = "mode" in rule and rule["mode"].value == "observe"
        if "stop" in rule and rule["stop"].value is True and not is_observed:
            self._stops.add(rule)


def check_map(texts: Node, produced: Produced, problems: Problems) -> None:
    """Warn of what the `map` of a source reads of its messages in vain, and of an `id` that is the same for all."""
    for key, node in texts.value.items() if isinstance(texts.value, dict) else ():
        if isinstance(node.value, str):
            _check_text(node, {"this source": produced}, is_certain=True, problems=problems)
            _check_foreign(node, "stands for itself", problems)
        if key == "id" and isinstance(node.value, str | int | float) and node.text and _is_constant(node.text):
            message = "is the same for every message: all but the first are taken for repetitions of it, and dropped"
            problems.warn(node, message, 'name what tells them apart, such as "{{ data.id }}"')
        if key == "time" and isinstance(node.value, str) and _is_constant(node.value):
            _check_time(node, problems)


def _is_constant(text: str) -> bool:
    return not any(is_placeholder for _, _, is_placeholder in _pieces(text)) and "{{" not in text


def _check_time(node: Node, problems: Problems) -> None:
    """A time that no message changes has to be one, else each is refused."""
    try:
        is_no_time(node.text) or parse_time(node.text)
    except ValueError as error:
        problems.add(node, f"{error}; with it every message is refused", 'a field is meant by "{{ data.time }}"')


def _sources_of(rule: Mapping[str, Node], produced: Mapping[str, Produced]) -> Mapping[str, Produced]:
    if "source" not in rule or rule["source"].value is None:
        return produced
    node = rule["source"]
    names = [item.text for item in (node.value if isinstance(node.value, list) else [node])]
    return {name: produced[name] for name in names if name in produced}


# Texts and expressions


def _check_texts(rule: Mapping[str, Node], sources: Mapping[str, Produced], problems: Problems) -> None:
    """A rule with neither `match` nor `when` takes every event of its sources: each of them has to bring all fields."""
    is_certain = "match" not in rule and "when" not in rule
    when, push = rule.get("when"), rule.get("push")
    if when is not None and isinstance(when.value, str):
        _check_expression(when.value, when, sources, is_certain=False, problems=problems)
    for path in _KEYS_OF_RULES:
        node = _at(rule, path)
        if node is not None and isinstance(node.value, str):
            _check_text(node, sources, is_certain=is_certain, problems=problems)
            _check_foreign(node, "stands for itself", problems)
    if push is None or not isinstance(push.value, dict):
        return
    for key in ("to", "with", "collapse", "native", "live_activity", "level"):
        for node in _texts_below(push.value.get(key)):
            _check_text(node, sources, is_certain=is_certain, problems=problems)
            if key != "to":
                _check_foreign(node, "is sent as it stands", problems)


def _at(rule: Mapping[str, Node], path: Sequence[str]) -> Node | None:
    node = rule.get(path[0])
    for part in path[1:]:
        node = node.value.get(part) if node is not None and isinstance(node.value, dict) else None
    return node


def _texts_below(node: Node | None) -> Iterator[Node]:
    match None if node is None else node.value:
        case dict() as entries:
            for entry in entries.values():
                yield from _texts_below(entry)
        case list() as items:
            for item in items:
                yield from _texts_below(item)
        case str() if node is not None:
            yield node


def _check_foreign(node: Node, consequence: str, problems: Problems) -> None:
    known: set[str] = set()
    for offset, piece, is_placeholder in _pieces(str(node.value)):
        for at, written, cure in () if is_placeholder else placeholders(piece):
            if written not in known:
                known.add(written)
                hint = f"{cure}; to show it as it is, write {{{{ '{written}' }}}}"
                problems.warn(
                    node, f"{written} is no placeholder here, and {consequence}", hint, mark=node.at(offset + at + 1)
                )


def _pieces(text: str) -> list[tuple[int, str, bool]]:
    if "{{" not in text:
        return [(0, text, False)]
    try:
        return list(split(text))
    except ExpressionError:
        return []


def _check_text(node: Node, sources: Mapping[str, Produced], *, is_certain: bool, problems: Problems) -> None:
    for offset, piece, is_placeholder in _pieces(str(node.value)):
        if is_placeholder:
            _check_expression(piece, node, sources, is_certain=is_certain, problems=problems, offset=offset)


def _check_expression(
    text: str, node: Node, sources: Mapping[str, Produced], *, is_certain: bool, problems: Problems, offset: int = 0
) -> None:
    mark = node.at(offset + 1)
    try:
        tree = compile_expression(text).tree
    except ExpressionError:  # said where the rule is read
        return
    for constant in ordered_texts(tree):
        if _NUMBER.fullmatch(constant):
            hint = f"write {constant.strip()} without quotes; data.x | number makes a number of text"
            problems.warn(node, f"'{constant}' is text, which no number is compared with", hint, mark=mark)
    for path in dict.fromkeys(each.parts for each in tree.paths()):
        if path[-1] == "length" and len(path) > 2 and path[0] == "data":
            shown = ".".join(map(str, path[:-1]))
            problems.warn(node, "length is taken for a field", f"for the length write {shown} | length", mark=mark)
        found = _missing(path, sources, is_certain=is_certain)
        if found is not None:
            problems.warn(node, *found, mark=mark)


def _missing(path: Sequence[str | int], sources: Mapping[str, Produced], *, is_certain: bool) -> tuple[str, str] | None:
    """What no source (or, where the rule takes all of each, some source) brings at a path, and the cure."""
    faults = [fault for name, made in sources.items() if (fault := _fault(path, name, made)) is not None]
    if not faults or (len(faults) < len(sources) and not is_certain):
        return None
    return faults[0]


def _fault(path: Sequence[str | int], name: str, made: Produced) -> tuple[str, str] | None:
    if len(path) < 2 or not isinstance(path[1], str):
        return None
    match path[0]:
        case "id" | "origin" | "source" | "type" | "subject" | "time" | "trace":
            return f"{path[0]} is text, which has no field {path[1]}", "the body is data: write data.x"
        case "data" if made.is_text:
            return f"the data of {name} is one text, which has no field {path[1]}", "decode.pattern makes fields of it"
        case "data" if made.fields is not None and path[1] not in made.fields:
            known = did_you_mean(path[1], made.fields) or f"decode.{made.fields_by} has no named {made.field_word}"
            has = "has" if made.fields_by == "pattern" else "have"
            return f"the {made.fields_by} of {name} {has} no {made.field_word} {path[1]}", known
        case "data" if made.fields is not None and len(path) > 2 and isinstance(path[2], str):
            return f"the {made.field_word} {path[1]} of {name} is text, which has no field {path[2]}", ""
        case "meta" if made.meta is not None and path[1] not in made.meta:
            hint = did_you_mean(path[1], made.meta, all_if_few=False)
            return f"no message of {name} has meta.{path[1]}", hint or f"a header is meta.headers['{path[1]}']"
        case "digest" if path[1] not in DIGEST_FIELDS:
            return f"a digest has no {path[1]}", did_you_mean(path[1], DIGEST_FIELDS)
    return None


# Patterns


def _check_match(rule: Mapping[str, Node], sources: Mapping[str, Produced], problems: Problems) -> None:
    match = rule.get("match")
    if match is None or not isinstance(match.value, dict) or not sources:
        return
    for root in ("data", "meta"):
        for name, node in _asked(match.value.get(root)):
            fault = _missing((root, name), sources, is_certain=False)
            if fault is not None and not _asks_for_nothing(node):
                problems.warn(node, *fault, mark=node.key_mark)
    for attribute in _ATTRIBUTES:
        if attribute in match.value:
            _check_attribute(attribute, match.value[attribute], rule, sources, problems)


def _asked(node: Node | None) -> Iterator[tuple[str, Node]]:
    """The fields that a pattern asks for, at the top and in the alternatives of a list."""
    match None if node is None else node.value:
        case dict() as entries if entries.keys() <= OPERATORS:
            for name in ("any", "all", "not"):
                yield from _asked(entries.get(name))
        case dict() as entries:
            yield from entries.items()
        case list() as items:
            for item in items:
                yield from _asked(item)


def _asks_for_nothing(node: Node) -> bool:
    """Whether a pattern is content with a missing field."""
    items = node.value if isinstance(node.value, list) else [node]
    return any(isinstance(i.value, dict) and "exists" in i.value and i.value["exists"].value is False for i in items)


def _check_attribute(
    attribute: str, node: Node, rule: Mapping[str, Node], sources: Mapping[str, Produced], problems: Problems
) -> None:
    made = {name: one.attributes.get(attribute) for name, one in sources.items()}
    items = node.value if isinstance(node.value, list) else [node]
    if None in made.values():
        known: dict[str, Text] = {name: text for name, text in made.items() if text is not None}
    else:
        known = {name: text for name, text in made.items() if text is not None}
        for item in items:
            if not any(_can_match(item, text) for text in known.values()):
                problems.warn(item, f"no event has this {attribute}", _what_is_made(attribute, known, item.text))
        if not any(_can_match(item, text) for item in items for text in known.values()):
            return
    named = rule.get("source")
    if named is not None and isinstance(named.value, list):
        for source in named.value:
            text = known.get(source.text)
            if text is not None and not any(_can_match(item, text) for item in items):
                hint = _what_is_made(attribute, {source.text: text}, "")
                problems.warn(source, f"no event of this source has the {attribute} that match asks for", hint)


def _what_is_made(attribute: str, known: Mapping[str, Text], meant: str) -> str:
    constants = [text.constant for text in known.values() if text.constant]
    close = did_you_mean(meant, constants, all_if_few=False) if meant else ""
    shown = "; ".join(f"{attribute} of {name} is {_shown(text)}" for name, text in list(known.items())[:3])
    return f"{close} {shown}".strip()


def _shown(text: Text) -> str:
    if text.constant == "":
        return "empty: its map does not say it"
    return str(text)


def _can_match(node: Node, made: Text) -> bool:
    """Whether a text that `made` makes can match a pattern; in doubt it can."""
    if made.constant == "":  # an attribute that is empty is missing
        return isinstance(node.value, dict) and (_asks_for_nothing(node) or not node.value.keys() <= OPERATORS)
    match node.value:
        case str() as text:
            return makes(made, text)
        case list() as items:
            return any(_can_match(item, made) for item in items)
        case {"exists": Node(value=False)}:
            return False
        case dict() as entries:
            return all(_can_operator(name, entry, made) for name, entry in entries.items())
        case _:
            return True


def _can_operator(name: str, node: Node, made: Text) -> bool:
    if name in ("any", "all"):
        return _can_match(node, made)
    folded = name == "ignore_case"
    if folded and isinstance(node.value, dict):
        return all(_can_operator(inner, entry, _folded(made)) for inner, entry in _folded_entries(node.value))
    wanted = [item.value for item in (node.value if isinstance(node.value, list) else [node])]
    texts = [text for text in wanted if isinstance(text, str)]
    if len(texts) < len(wanted) or not texts:
        return True
    match name:
        case "prefix":
            return any(_agree(_head(made), text, bool(made.placeholders)) for text in texts)
        case "suffix":
            return any(_agree(_tail(made)[::-1], text[::-1], bool(made.placeholders)) for text in texts)
        case "glob" if made.constant is not None:
            return any(fnmatchcase(made.constant, text) for text in texts)
        case "glob":
            return any(_agree(_head(made), re.split(r"[*?\[]", text)[0], True) for text in texts)
        case "ignore_case":
            return any(makes(_folded(made), text.casefold()) for text in texts)
        case _:
            return True


def _agree(made: str, wanted: str, is_open: bool) -> bool:
    """Whether a text that begins with `made`, and goes on in any way if it `is_open`, can begin with `wanted`."""
    return made.startswith(wanted) or (is_open and wanted.startswith(made))


def _head(made: Text) -> str:
    return made.pieces[0] if made.pieces and isinstance(made.pieces[0], str) else ""


def _tail(made: Text) -> str:
    return made.pieces[-1] if made.pieces and isinstance(made.pieces[-1], str) else ""


def _folded(made: Text) -> Text:
    return Text(tuple(piece.casefold() if isinstance(piece, str) else _ANYTHING for piece in made.pieces))


_ANYTHING = compile_expression("data")
"""A placeholder of which nothing is known."""


def _folded_entries(entries: Mapping[str, Node]) -> Iterable[tuple[str, Node]]:
    for name, node in entries.items():
        items = node.value if isinstance(node.value, list) else [node]
        folded = [
            Node(key=item.key, mark=item.mark, key_mark=item.key_mark, value=item.value.casefold())
            if isinstance(item.value, str)
            else item
            for item in items
        ]
        yield name, Node(key=node.key, mark=node.mark, key_mark=node.key_mark, value=folded)


def makes(made: Text, wanted: str) -> bool:
    """Whether a text with placeholders can become another; in doubt it can."""
    pattern = "".join(re.escape(piece) if isinstance(piece, str) else _any_of(piece) for piece in made.pieces)
    return re.fullmatch(pattern, wanted, re.DOTALL) is not None


def _any_of(expression: Expression) -> str:
    """What an expression can give: anything, but no capitals behind `| lower`."""
    match expression.tree:
        case Filtered(name="lower"):
            return "[^A-Z]*"
        case Filtered(name="upper"):
            return "[^a-z]*"
    return ".*"


# Rules behind one that stops


def _check_stopped(
    node: Node, rule: Mapping[str, Node], earlier: Iterable[Mapping[str, Node]], problems: Problems
) -> None:
    for stop in earlier:
        if _covers_source(stop.get("source"), rule.get("source")) and _covers_when(stop.get("when"), rule.get("when")):
            before, after = stop.get("match"), rule.get("match")
            if before is None or before.value is None or (after is not None and _covers(before, after)):
                name = stop["name"].written if "name" in stop else "an earlier rule"
                mark = rule["name"].mark if "name" in rule else node.mark
                hint = "put this rule above it"
                problems.warn(
                    node, f"never fires: {name} stops at every event that this rule is about", hint, mark=mark
                )
                return


class _Stops:
    """The rules so far that stop, filed so that a rule is compared with the few that can stand in its way.

    One that stops needs, of a rule that it keeps from firing, one of its own sources, its own `when`, and at each leaf of
    its `match` one of the values there. It is filed under these, and of its leaves under the one with the fewest rules.
    """

    def __init__(self) -> None:
        self._filed: dict[_Place, list[Mapping[str, Node]]] = {}

    def add(self, rule: Mapping[str, Node]) -> None:
        """File a rule that stops; of its nodes only those are kept that say which events it is about."""
        rule = {key: node for key, node in rule.items() if key in ("name", "source", "match", "when")}
        when = _when_of(rule)
        leaves = _leaves_of(rule)
        values = min(leaves, key=lambda values: self._crowd(when, values)) if leaves else (None,)
        for source in _sources_named(rule) or (None,):
            for value in values:
                self._filed.setdefault((source, when, value), []).append(rule)

    def _crowd(self, when: str | None, values: Sequence["_Leaf"]) -> int:
        return sum(len(self._filed.get((None, when, value), ())) for value in values)

    def before(self, rule: Mapping[str, Node]) -> Iterator[Mapping[str, Node]]:
        """The rules that could stand in the way of this one, which comes after them."""
        if not self._filed:
            return
        sources = {None, *sorted(_sources_named(rule))[:1]}
        values = {None, *(value for leaf in _leaves_of(rule) for value in leaf)}
        for place in product(sources, {None, _when_of(rule)}, values):
            yield from self._filed.get(place, ())


_Leaf = tuple[str, str]
"""The path of a leaf of a `match`, and a value there in writing."""

_Place = tuple[str | None, str | None, _Leaf | None]


def _when_of(rule: Mapping[str, Node]) -> str | None:
    when = rule.get("when")
    return None if when is None or when.value is None else " ".join(when.text.split())


def _sources_named(rule: Mapping[str, Node]) -> frozenset[str]:
    source = rule.get("source")
    return frozenset() if source is None or source.value is None else _names(source)


def _leaves_of(rule: Mapping[str, Node]) -> list[tuple[_Leaf, ...]]:
    """The values that a rule's `match` names at each of its leaves; a list without values is none."""
    match = rule.get("match")
    return [] if match is None or match.value is None else [values for values in _leaves(match, "") if values]


def _leaves(node: Node, path: str) -> Iterator[tuple[_Leaf, ...]]:
    if isinstance(node.value, dict) and node.value and not node.value.keys() <= OPERATORS:
        for name, entry in node.value.items():
            yield from _leaves(entry, f"{path}\0{name}")
    elif node.value != {}:
        items = node.value if isinstance(node.value, list) else [node]
        yield tuple((path, repr(item.plain())) for item in items)


def _covers_when(before: Node | None, after: Node | None) -> bool:
    if before is None or before.value is None:
        return True
    return after is not None and " ".join(after.text.split()) == " ".join(before.text.split())


def _covers_source(before: Node | None, after: Node | None) -> bool:
    if before is None or before.value is None:
        return True
    return after is not None and _names(after) <= _names(before)


def _names(node: Node) -> frozenset[str]:
    return frozenset(item.text for item in (node.value if isinstance(node.value, list) else [node]))


def _covers(before: Node, after: Node) -> bool:
    """Whether all that `after` matches, `before` matches too, as far as their forms say so."""
    match before.value, after.value:
        case dict() as wide, dict() as narrow if wide.keys() <= OPERATORS or narrow.keys() <= OPERATORS:
            return bool(before.plain() == after.plain())
        case dict() as wide, dict() as narrow:
            return all(name in narrow and _covers(entry, narrow[name]) for name, entry in wide.items())
        case list() as wide_items, list() as narrow_items:
            return all(any(_covers(wide_item, item) for wide_item in wide_items) for item in narrow_items)
        case list() as wide_items, _:
            return any(_covers(wide_item, after) for wide_item in wide_items)
        case (dict(), _) | (_, dict() | list()):
            return False
        case wide_value, narrow_value:
            return type(wide_value) is type(narrow_value) and wide_value == narrow_value
