"""Flow control read off the nodes of a rule, each mistake named at its place."""

import re
from collections.abc import Callable, Mapping
from datetime import timedelta

from hub.flow import MAX_SPAN
from rules import models
from rules.flow import DedupePlan, FlowPlan, KeyText, ThrottlePlan
from rules.flow_words import OnExcess, Order
from rules.node import Node
from rules.problems import Problems
from rules.push import PushPlan
from rules.reading import fields, template, values
from rules.units import spelled

KEYS = ("dedupe", "throttle", "key", "order", "cancel")
MAX_TIMES = 1_000_000
_SOONEST = timedelta(seconds=1)
_LATEST = timedelta(seconds=MAX_SPAN)


class FlowReader:
    """Reads what of a rule is flow control; `seconds_in` reads a duration."""

    def __init__(self, problems: Problems, seconds_in: Callable[[str], float]) -> None:
        self._problems = problems
        self._seconds_in = seconds_in

    def read(self, rule: str, node: Node, entries: Mapping[str, Node], push: PushPlan | None) -> FlowPlan | None:
        """None where a rule has none of it."""
        if not any(key in entries for key in KEYS):
            return None
        order = values(models.Rule, entries, self._problems, self._seconds_in).get("order")
        plan = FlowPlan(
            rule=rule,
            dedupe=self._dedupe(entries["dedupe"]) if "dedupe" in entries else None,
            throttle=self._throttle(entries["throttle"]) if "throttle" in entries else None,
            key=self._key(entries["key"]) if "key" in entries else None,
            in_order=order is Order.KEY,
            cancel=self._cancel(entries["cancel"]) if "cancel" in entries else None,
        )
        if order is Order.KEY and "key" not in entries:
            hint = 'give the rule key: "{{ subject }}"'
            self._problems.add(
                entries["order"], "there is no key by which to order", hint, mark=entries["order"].key_mark
            )
        if "push" not in entries:
            for key in ("dedupe", "throttle", "key", "order"):
                if key in entries:
                    message = "this rule pushes nothing"
                    self._problems.add(entries[key], message, "give it a push", mark=entries[key].key_mark)
        is_digest = plan.throttle is not None and plan.throttle.on_excess is OnExcess.DIGEST
        if is_digest and push is not None and push.schedule is not None and push.schedule.at is not None:
            self._problems.add(
                entries["throttle"],
                "a digest is sent at the end of its window, and schedule.at names another time",
                "write on_excess: drop, or leave out schedule",
                mark=entries["throttle"].key_mark,
            )
        elif is_digest and plan.throttle is not None and push is not None:
            self._warn_of_other_audiences(entries["throttle"], plan.throttle.key, push)
        return plan

    def _warn_of_other_audiences(self, node: Node, key: KeyText, push: PushPlan) -> None:
        """A digest goes to the audience of its latest event: who is told of the others has to be in the key."""
        told_apart = {str(path) for each in key.text.placeholders for path in each.tree.paths()}
        audience = [str(path) for each in push.audience.written.placeholders for path in each.tree.paths()]
        missing = [path for path in dict.fromkeys(audience) if not told_apart & set(_outer(path))]
        if missing:
            self._problems.warn(
                node,
                f"a digest goes to the audience of its latest event, and {' and '.join(missing)} is not in its key",
                f'put it into the key, if events of one key can differ in it: key: "{key.text}'
                + "".join(f" {{{{ {path} }}}}" for path in missing)
                + '"',
                mark=node.key_mark,
            )

    def _dedupe(self, node: Node) -> DedupePlan | None:
        entries = fields(node, self._problems, models.Dedupe)
        if not self._has(node, entries, {"key": 'key: "{{ … }}"', "for": "for: 1h"}):
            return None
        key, span = self._key(entries["key"]), self._span(models.Dedupe, entries, "for")
        return None if key is None or span is None else DedupePlan(key=key, within=span)

    def _throttle(self, node: Node) -> ThrottlePlan | None:
        entries = fields(node, self._problems, models.Throttle)
        if not self._has(node, entries, {"key": 'key: "{{ … }}"', "max": "max: 1", "per": "per: 10m"}):
            return None
        on_excess = values(models.Throttle, entries, self._problems, self._seconds_in).get("on_excess", OnExcess.DROP)
        key, span = self._key(entries["key"]), self._span(models.Throttle, entries, "per")
        most = self._times(entries["max"])
        if key is None or span is None or most is None or on_excess is None:
            return None
        return ThrottlePlan(key=key, most=most, per=span, on_excess=on_excess)

    def _cancel(self, node: Node) -> KeyText | None:
        entries = fields(node, self._problems, models.Cancel)
        return self._key(entries["key"]) if self._has(node, entries, {"key": 'key: "{{ … }}"'}) else None

    def _has(self, node: Node, entries: Mapping[str, Node], needed: Mapping[str, str]) -> bool:
        """Whether all that is needed is there, after complaining of what is not."""
        if not isinstance(node.value, dict):
            return False
        missing = [key for key in needed if key not in entries]
        for key in missing:
            self._problems.add(node, f"{key} is missing", f"write {needed[key]}", mark=node.key_mark)
        return not missing

    def _key(self, node: Node) -> KeyText | None:
        text = template(node, self._problems)
        if text is None:
            return None
        if text.constant is not None:
            if not text.constant:
                self._problems.add(node, "a key is not empty", 'write key: "{{ subject }}"')
                return None
            message = "this key is the same for all events"
            self._problems.warn(node, message, 'a value of the event tells them apart: "{{ subject }}"')
        return KeyText(text=text, path=node.key)

    def _span(self, model: type[models.Keys], entries: Mapping[str, Node], key: str) -> timedelta | None:
        span = values(model, entries, self._problems, self._seconds_in).get(key)
        if span is not None and not _SOONEST <= span <= _LATEST:
            self._problems.add(entries[key], f"is not from {spelled(_SOONEST)} to {spelled(_LATEST)}")
            return None
        return span

    def _times(self, node: Node) -> int | None:
        if (
            isinstance(node.value, bool)
            or not re.fullmatch(r"\d{1,7}", node.text, re.ASCII)
            or not (1 <= int(node.text) <= MAX_TIMES)
        ):
            self._problems.add(node, f"expected a whole number from 1 to {MAX_TIMES}")
            return None
        return int(node.text)


def _outer(path: str) -> list[str]:
    """A path with all that it is a part of: `data.a.b`, `data.a`, `data`."""
    names = path.split(".")
    return [".".join(names[:count]) for count in range(len(names), 0, -1)]
