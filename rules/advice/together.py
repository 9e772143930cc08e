"""What rules do to each other: `stop: true` in one file that ends rules of another.

The rules are looked at when all of them are compiled.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from rules.advice.overlap import can_make, exclude
from rules.advice.reach import Produced
from rules.engine import Rule, RuleSet
from rules.match.tree import Path
from rules.problems import Problems

_MOST_COMPARED = 10_000
"""Pairs of rules; they take about half a second. Of what is beyond them nothing is said."""

_NAMED = 3
"""So many files are named by a warning; the others are counted."""

_ORIGIN: Path = ("origin",)
_ANYWHERE: Path = ()


def check_together(rules: RuleSet, produced: Mapping[str, Produced], problems: Problems) -> None:
    """Warn of what no single rule shows."""
    _check_stops_of_other_files(rules.rules, produced, problems)


def _check_stops_of_other_files(rules: Sequence[Rule], produced: Mapping[str, Produced], problems: Problems) -> None:
    """One warning for each rule that stops, naming the first rule of each file that it can keep from firing."""
    for stop, ended in _ended_in_other_files(rules, produced):
        named = ", ".join(f"{rule.name} ({rule.mark.file}:{rule.mark.line})" for rule in ended[:_NAMED])
        more = f" and {len(ended) - _NAMED} files more" if len(ended) > _NAMED else ""
        problems.warn_at(
            stop.stop_mark,
            f"{stop.key}.stop",
            f"ends rules of other files that fit the same event, such as {named}{more}",
            "match less here, or have these files read first: those of a directory are read by their names",
        )


def _ended_in_other_files(
    rules: Sequence[Rule], produced: Mapping[str, Produced]
) -> Sequence[tuple[Rule, Sequence[Rule]]]:
    """Rules that stop, each with the first rule of every other file that it can end.

    The rules of a file stand beside each other, so that all which stop before it are known when they come.
    """
    stops = _Stops()
    ended: defaultdict[int, list[Rule]] = defaultdict(list)
    compared = 0
    for _, of_file in groupby(rules, lambda rule: rule.mark.file):
        members = list(of_file)
        ahead = _Ahead(stops.filed)
        for rule in members if stops.filed else ():
            for position in ahead.candidates(rule):
                compared += 1
                if _can_end(stops.filed[position].rule, rule, produced):
                    ended[position].append(rule)
                    ahead.leave_out(position)
            if compared > _MOST_COMPARED:
                break
        for rule in members:
            if rule.stop:
                stops.add(rule)
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

    def add(self, rule: Rule) -> None:
        """File a rule that stops."""
        required = _required(rule) or {_ANYWHERE: ("",)}
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

    def candidates(self, rule: Rule) -> Sequence[int]:
        """Those that may fit an event of a rule of the file."""
        required = _required(rule)
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


def _required(rule: Rule) -> dict[Path, Collection[str]]:
    required: dict[Path, Collection[str]] = dict(rule.match.required())
    if rule.sources is not None:
        required[_ORIGIN] = rule.sources
    return required
