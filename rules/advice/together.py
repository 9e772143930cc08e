"""What rules do to each other: `stop: true` in one file that ends rules of another, a rule that stands there twice, and
many that are tried for every event.

The rules are looked at when all of them are compiled.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TypeVar

from rules.advice.overlap import can_make, exclude
from rules.advice.reach import Produced
from rules.engine import Rule, RuleSet
from rules.match.clauses import Path
from rules.problems import Problems

_MOST_COMPARED = 10_000
"""Pairs of rules; they take about half a second. Of what is beyond them nothing is said."""

_NAMED = 3
"""So many files are named by a warning; the others are counted."""

_MANY_TRIED = 100
"""Rules that are tried for every event: they take a tenth of a millisecond or more, as much as all else of an event."""

_A_RULE = 2.5e-6
"""Seconds that one rule more to be tried takes, with a `when` of one comparison (measured)."""

_ORIGIN: Path = ("origin",)
_ANYWHERE: Path = ()


_Required = Mapping[Path, Collection[str]]
"""Texts of which an event needs one at each path, as the index takes them, and the sources among them."""

_Asked = tuple[Rule, _Required]

T = TypeVar("T")


def check_together(rules: RuleSet, produced: Mapping[str, Produced], problems: Problems) -> None:
    """Warn of what no single rule shows."""
    asked = [(rule, _required(rule)) for rule in rules.rules]
    _check_stops_of_other_files(asked, produced, problems)
    _check_same(asked, problems)
    _check_cost(rules, produced, problems)


def _check_stops_of_other_files(asked: Sequence[_Asked], produced: Mapping[str, Produced], problems: Problems) -> None:
    """One warning for each rule that stops, naming the first rule of each file that it can keep from firing."""
    for stop, ended in _ended_in_other_files(asked, produced):
        named = ", ".join(f"{rule.name} ({rule.mark.file}:{rule.mark.line})" for rule in ended[:_NAMED])
        more = f" and {len(ended) - _NAMED} files more" if len(ended) > _NAMED else ""
        problems.warn_at(
            stop.stop_mark,
            f"{stop.key}.stop",
            f"ends rules of other files that fit the same event, such as {named}{more}",
            "match less here, or have these files read first: those of a directory are read by their names",
        )


def _ended_in_other_files(
    asked: Sequence[_Asked], produced: Mapping[str, Produced]
) -> Sequence[tuple[Rule, Sequence[Rule]]]:
    """Rules that stop, each with the first rule of every other file that it can end.

    The rules of a file stand beside each other, so that all which stop before it are known when they come.
    """
    stops = _Stops()
    ended: defaultdict[int, list[Rule]] = defaultdict(list)
    compared = 0
    for _, of_file in groupby(asked, lambda each: each[0].mark.file):
        members = list(of_file)
        ahead = _Ahead(stops.filed)
        for rule, required in members if stops.filed else ():
            for position in ahead.candidates(required):
                compared += 1
                if _can_end(stops.filed[position].rule, rule, produced):
                    ended[position].append(rule)
                    ahead.leave_out(position)
            if compared > _MOST_COMPARED:
                break
        for rule, required in members:
            if rule.stop:
                stops.add(rule, required)
    return [(stops.filed[position].rule, found) for position, found in sorted(ended.items())]


def _can_end(stop: Rule, rule: Rule, produced: Mapping[str, Produced]) -> bool:
    """Whether some event may fit both rules, as far as their sources and patterns say."""
    if exclude(stop.match, rule.match):
        return False
    common = [name for name in produced if all(each.sources is None or name in each.sources for each in (stop, rule))]
    return any(
        can_make(produced[name].attributes, stop.match) and can_make(produced[name].attributes, rule.match)
        for name in common
    )


@dataclass(frozen=True, slots=True)
class _Stop:
    """A rule that stops, and texts of which another rule has to ask for one at `path`, if it asks for any there."""

    rule: Rule
    path: Path
    texts: Collection[str]


class _Stops:
    """The rules so far that stop, each filed where it shares a text with the fewest."""

    def __init__(self) -> None:
        self.filed: list[_Stop] = []
        self._population: Counter[tuple[Path, str]] = Counter()

    def add(self, rule: Rule, required: _Required) -> None:
        """File a rule that stops."""
        required = required or {_ANYWHERE: ("",)}
        path = min(required, key=lambda path: sum(self._population[path, text] for text in required[path]))
        self._population.update((path, text) for path, texts in required.items() for text in texts)
        self.filed.append(_Stop(rule, path, required[path]))


class _Ahead:
    """The rules that stop ahead of one file, by their positions; those that end a rule of it already are left out."""

    def __init__(self, stops: Sequence[_Stop]) -> None:
        self._stops = stops
        self._filed: defaultdict[Path, defaultdict[str, dict[int, None]]] = defaultdict(lambda: defaultdict(dict))
        for position, stop in enumerate(stops):
            for text in stop.texts:
                self._filed[stop.path][text][position] = None

    def candidates(self, required: _Required) -> Sequence[int]:
        """Those that may fit an event of a rule of the file, of which these texts are required."""
        found: dict[int, None] = {}
        for path, at_path in self._filed.items():
            for text in required.get(path, at_path.keys()):
                found.update(at_path.get(text, {}))
        return list(found)

    def leave_out(self, position: int) -> None:
        """One of the candidates is wanted no more."""
        stop = self._stops[position]
        for text in stop.texts:
            self._filed[stop.path][text].pop(position, None)


def _required(rule: Rule) -> _Required:
    required = dict[Path, Collection[str]](rule.match.required())
    if rule.sources is not None:
        required[_ORIGIN] = rule.sources
    return required


# The same rule twice


def _check_same(asked: Sequence[_Asked], problems: Problems) -> None:
    """A rule that asks and says what one above it does: each event that fits gets two notifications.

    To compare all of two rules takes long: those are compared that require the same texts, and of these the ones that
    say the same.
    """
    pushing = [each for each in asked if each[0].push is not None]
    for requiring in _alike(pushing, lambda each: tuple(each[1].items())):
        for saying in _alike([rule for rule, _ in requiring], _words):
            for first, *others in _alike(saying, _all_of):
                for rule in others:
                    if not any(problems.withholds_below(each.mark.file, each.key) for each in (first, rule)):
                        place = f"{first.mark.file}:{first.mark.line}"
                        message = f"is {first.name} ({place}) under another name: each event is pushed twice"
                        problems.warn_at(rule.mark, rule.key, message, "leave one of them out")


def _alike(items: Sequence[T], key: Callable[[T], Hashable]) -> Iterable[Sequence[T]]:
    """The items of which several have the same key, together and in order."""
    groups: defaultdict[Hashable, list[T]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return [group for group in groups.values() if len(group) > 1]


def _words(rule: Rule) -> Hashable:
    """The texts of a push as they are written."""
    assert rule.push is not None
    return str(rule.push.audience.written), tuple((name, str(text)) for name, text in rule.push.properties or ())


def _all_of(rule: Rule) -> Hashable:
    """All that a rule asks for and says, but for names."""
    push = None if rule.push is None else replace(rule.push, rule="")
    return rule.sources, rule.match, rule.when, push


# Rules that are tried for every event, or for every event of a kind


def _check_cost(rules: RuleSet, produced: Mapping[str, Produced], problems: Problems) -> None:
    _check_tried_for_all(rules, produced, problems)
    _check_crowds(rules, problems)


def _check_tried_for_all(rules: RuleSet, produced: Mapping[str, Produced], problems: Problems) -> None:
    """One warning for each set of rules that all events of some sources are held against."""
    costly: dict[tuple[str, ...], list[str]] = {}
    tried: dict[tuple[str, ...], Sequence[Rule]] = {}
    for source in produced:
        found = rules.always_tried(source)
        if len(found) >= _MANY_TRIED:
            names = tuple(rule.name for rule in found)
            costly.setdefault(names, []).append(source)
            tried[names] = found
    for names, sources in costly.items():
        first = tried[names][0]
        shown = ", ".join(names[:_NAMED])
        problems.warn_at(
            first.mark,
            first.key,
            f"is one of {len(names)} rules that are tried for every event of {', '.join(sources[:_NAMED])}"
            f"{' and others' if len(sources) > _NAMED else ''}, such as {shown}, about {_cost(len(names))} an event:"
            " `when`, and a glob with a star at both ends, are asked of each event",
            "a text, number, prefix, suffix or range in match, such as type, lets an event be held against the rules that "
            "it fits alone",
        )


def _check_crowds(rules: RuleSet, problems: Problems) -> None:
    """One warning for each crowd of rules that ask for the same in `match`, as far as an index can use it."""
    asking: defaultdict[Hashable, list[Rule]] = defaultdict(list)
    for rule in rules.rules:
        asked = rule.match.asked()
        if asked.narrows and (rule.when is not None or not asked.whole):
            asking[rule.sources, frozenset(asked.narrowing)].append(rule)
    for crowd in asking.values():
        if len(crowd) < _MANY_TRIED:
            continue
        first = crowd[0]
        paths = sorted({".".join(clause.path) for clause in first.match.asked().narrowing})
        problems.warn_at(
            first.mark,
            first.key,
            f"is one of {len(crowd)} rules whose match asks for the same {', '.join(paths)}, such as"
            f" {', '.join(rule.name for rule in crowd[:_NAMED])}: an event that fits is tried on all of them,"
            f" about {_cost(len(crowd))} an event",
            "what tells these rules apart, such as a customer or an amount, stands in match rather than in when, or in a "
            "glob with a star at both ends",
        )


def _cost(tried: int) -> str:
    """How long it takes to try so many rules, roughly."""
    return f"{tried * _A_RULE * 1000:.1f} ms"
