"""`rules` and `defaults` of a configuration, read into a RuleSet."""

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any

from pydantic import ValidationError

from hub.follow_up import FollowUp
from hub.rate import Rate
from rules import models
from rules.engine import Rule, RuleSet
from rules.errors import ExpressionError
from rules.expressions import compile_expression
from rules.flow_reading import FlowReader
from rules.match.patterns import MATCH_ALL, compile_match
from rules.names import Names
from rules.node import Mark, Node, RuleNodes
from rules.problems import Problems
from rules.push import PushPlan
from rules.push_reading import NativeCheck, PushReader
from rules.reading import complain, fields, has_later, values, word
from rules.scope import Scope
from rules.time_reading import TimeReader
from rules.units import spelled
from rules.when import When

_LATER_RULE_KEYS = ("also", "inhibit", "remind")
_SOONEST, _LATEST = timedelta(seconds=1), timedelta(days=7)
"""What `unless_opened.after` may be: the notification and what phones said of it are kept for longer."""
_WIDE: Mapping[str, str] = {
    "source": "the rule is for the events of all sources",
    "match": "it asks for nothing",
    "when": "it asks for nothing",
    "dedupe": "nothing is kept back",
    "throttle": "nothing is kept back",
    "quiet_hours": "no phone is left in peace",
    "schedule": "what it pushes goes at once",
    "rate": "there is no limit",
    "mode": "the rule is in force",
    "stop": "the rules below are looked at",
}
"""What a rule does without a key that narrows it or holds it back."""
_LEAVE_OUT = "comment the rule out, or delete it"
_RULE_CURES = {
    **dict.fromkeys(("if", "condition", "conditions", "expression", "where", "filter"), "did you mean when?"),
    **dict.fromkeys(("enabled", "disabled"), _LEAVE_OUT),
}
_OWNER = re.compile(models.OWNER)
_NAME = re.compile(r"[\w.:/-]{1,120}")
"""Rule names are labels of metrics and lines of logs."""


def load_rules(
    rules: Node | None,
    defaults: Node | None,
    scope: Scope,
    problems: Problems,
    *,
    seconds_in: Callable[[str], float],
) -> RuleSet:
    """Compile all rules, reporting every mistake; what is returned is whole only if there was none."""
    reader = RuleReader(defaults, scope, problems, seconds_in=seconds_in)
    for node in rules_in(rules, problems):
        reader.read(node)
    return reader.rule_set()


def rules_in(section: Node | None, problems: Problems) -> Iterable[Node]:
    """The rules of the section, one at a time; none after complaining."""
    if section is None or section.value is None:
        return ()
    if isinstance(section.value, list | RuleNodes):
        return section.value
    hint = "begin each rule with - name: …" if isinstance(section.value, dict) and section.value else ""
    problems.add(section, "expected a list of rules", hint)
    return ()


class RuleReader:
    """Reads one rule after the other, on top of the defaults.

    `seconds_in` reads a text such as `1h30m` as all of the configuration does, and raises ValueError for other text.
    `check_native` looks at each payload for a push service, those too that another key stands for.
    """

    def __init__(
        self,
        defaults: Node | None,
        scope: Scope,
        problems: Problems,
        *,
        seconds_in: Callable[[str], float],
        check_native: NativeCheck | None = None,
    ) -> None:
        self._seconds_in = seconds_in
        self._problems = problems
        self._scope = scope
        self._names = Names(scope, problems)
        self._times = TimeReader(scope, problems, seconds_in)
        self._flow = FlowReader(problems, seconds_in)
        self._rules: list[Rule] = []
        self._first: dict[str, Mark] = {}
        """Where each name of a rule stands."""
        self._cancels: list[Node] = []
        self._has_keys = False
        entries = {} if defaults is None else fields(defaults, problems, models.Defaults, _LATER_RULE_KEYS)
        self._owner = self._owned_by(entries["owner"]) if "owner" in entries else ""
        self._push = PushReader(
            entries.get("push"), scope, self._names, problems, seconds_in=seconds_in, check_native=check_native
        )

    def read(self, node: Node) -> None:
        """Compile one rule, reporting every mistake in it."""
        rule = self._rule(node)
        if rule is not None:
            self._rules.append(rule)

    def rule_set(self) -> RuleSet:
        """All rules that were read, after complaining of the names in them that nothing defines."""
        self._names.complain()
        for cancel in () if self._has_keys else self._cancels:
            message = "withdraws nothing: no rule has a key"
            self._problems.warn(cancel, message, 'give the rule that pushes key: "{{ … }}"', mark=cancel.key_mark)
        return RuleSet(self._rules)

    def _rule(self, node: Node) -> Rule | None:
        entries = fields(node, self._problems, models.Rule, _LATER_RULE_KEYS, _RULE_CURES)
        if not isinstance(node.value, dict):
            return None
        if "name" not in entries:
            self._problems.add(node, "name is missing")
            return None
        self._warn_of_empty(node)
        self._has_keys = self._has_keys or "key" in entries
        name = self._name(entries["name"])
        given = self._values(models.Rule, entries)
        stop, observes = given.get("stop", False), given.get("mode") is models.Mode.OBSERVE
        if observes and stop is True:
            self._problems.warn(
                entries["stop"],
                "does nothing while the rule has mode: observe",
                "it stops again when mode is taken out",
            )
        push = self._push.read(name, entries["push"]) if "push" in entries else None
        if "schedule" in entries:
            push = self._times.scheduled(entries["schedule"], push)
        if "quiet_hours" in entries and (push is not None or "push" not in entries):
            push = self._times.in_quiet_hours(entries["quiet_hours"], push)
        flow = self._flow.read(name, node, entries, push)
        if flow is not None and flow.cancel is not None:
            self._cancels.append(entries["cancel"])
        if (
            "push" not in entries
            and "cancel" not in entries
            and stop is False
            and not has_later(node, _LATER_RULE_KEYS)
        ):
            self._problems.add(node, "this rule does nothing", "give it a push, or stop: true")
        return Rule(
            name=name,
            owner=self._owned_by(entries["owner"]) if "owner" in entries else self._owner,
            sources=self._rule_sources(entries["source"]) if "source" in entries else None,
            match=compile_match(entries["match"], self._problems) if "match" in entries else MATCH_ALL,
            when=self._when(entries["when"]) if "when" in entries else None,
            push=push,
            flow=flow,
            stop=stop is True and not observes,
            observes=observes,
            rate=self._rate(entries["rate"], push) if "rate" in entries else None,
            report_to=self._rule_sinks(entries["report_to"]) if "report_to" in entries else (),
            unless_opened=self._unless_opened(entries["unless_opened"], push) if "unless_opened" in entries else None,
            key=node.key,
            mark=node.mark,
            source_mark=entries["source"].mark if "source" in entries else node.mark,
            stop_mark=entries["stop"].mark if "stop" in entries else node.mark,
        )

    def _warn_of_empty(self, rule: Node) -> None:
        """A key with nothing behind it is as if not written, so what was to narrow a rule leaves it wide."""
        for name, entry in rule.value.items() if isinstance(rule.value, dict) else ():
            if entry.value is None and name in _WIDE and not self._problems.is_mistaken(entry.key):
                self._problems.warn(
                    entry, f"has no value: {_WIDE[name]}", "give it one, or delete the key", mark=entry.key_mark
                )

    def _unless_opened(self, node: Node, push: PushPlan | None) -> FollowUp | None:
        """Who is told of phones that have not opened what the rule pushes, and after how long."""
        entries = fields(node, self._problems, models.UnlessOpened)
        if not isinstance(node.value, dict):
            return None
        for key, hint in (("after", "after: 15m"), ("report_to", "report_to: NAME, a name under sinks")):
            if key not in entries:
                self._problems.add(node, f"{key} is missing", f"write {hint}", mark=node.key_mark)
        after = self._values(models.UnlessOpened, entries).get("after")
        if after is not None and not _SOONEST <= after <= _LATEST:
            self._problems.add(entries["after"], f"is not from {spelled(_SOONEST)} to {spelled(_LATEST)}")
            after = None
        sinks = self._rule_sinks(entries["report_to"]) if "report_to" in entries else ()
        if push is None:
            self._problems.add(
                node, "this rule pushes nothing that could be opened", "give it a push", mark=node.key_mark
            )
        return None if after is None or not sinks else FollowUp(after=after.total_seconds(), sinks=sinks)

    def _values(self, model: type[models.Keys], entries: Mapping[str, Node]) -> dict[str, Any]:
        return values(model, entries, self._problems, self._seconds_in)

    def _rate(self, node: Node, push: PushPlan | None) -> Rate | None:
        entries = fields(node, self._problems, models.RuleRate)
        if not isinstance(node.value, dict):
            return None
        if "per_second" not in entries:
            self._problems.add(node, "per_second is missing", "write per_second: 10", mark=node.key_mark)
            return None
        if push is not None and any(
            scope.is_remote for name, scope in self._scope.hubs.items() if name.lower() == push.hub
        ):
            self._problems.add(node, "pushes of a remote hub are made there", "give the hub a rate where it is")
        try:
            return Rate.model_validate({key: entry.written for key, entry in entries.items()})
        except ValidationError as error:
            for each in error.errors():
                self._problems.add(entries[str(each["loc"][0])], each["msg"].lower())
            return None

    def _name(self, node: Node) -> str:
        name = word(node, self._problems)
        if name is None:
            return ""
        if name in self._first:
            first = self._first[name]
            self._problems.add(node, f"another rule is called {node.written}", f"at {first.file}:{first.line}")
        elif not _NAME.fullmatch(name):
            self._problems.add(node, "a name is letters, digits and _ . : / - up to 120, without spaces")
        self._first.setdefault(name, node.mark)
        return name

    def _owned_by(self, node: Node) -> str:
        owner = word(node, self._problems) or ""
        if owner and not _OWNER.fullmatch(owner):
            self._problems.add(node, f"an owner is {models.OWNER_WORDS}")
        return sys.intern(owner)

    def _rule_sources(self, node: Node) -> frozenset[str]:
        return frozenset(self._names.each("source", node))

    def _rule_sinks(self, node: Node) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self._names.each("sink", node)))

    def _when(self, node: Node) -> When | None:
        if isinstance(node.value, list):
            expression = " and ".join(item.written or "…" for item in node.value)
            self._problems.add(node, "expected a text", f"write one expression: {expression}")
            return None
        text = word(node, self._problems)
        if text is not None and text.strip() == "false":
            self._problems.warn(node, "is false for every event: the rule never fires", _LEAVE_OUT)
        try:
            return None if text is None else When(compile_expression(text), node)
        except ExpressionError as error:
            complain(error, node, self._problems)
            return None
