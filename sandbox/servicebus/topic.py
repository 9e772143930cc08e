"""Topics and subscriptions: one message in, a copy to everybody who wants it."""

from collections.abc import Iterator

from sandbox.servicebus.content import Content
from sandbox.servicebus.queue import MessageQueue
from sandbox.servicebus.rules.rule import Rule
from sandbox.servicebus.settings import TopicSettings


class Subscription:
    """A queue that gets copies of what its topic is sent and one of its rules lets through."""

    def __init__(self, name: str, queue: MessageQueue) -> None:
        self.name = name
        self.queue = queue
        self.rules: dict[str, Rule] = {}

    def copies(self, content: Content) -> Iterator[Content]:
        """What of a message is delivered: one copy for all rules without an action, one more for each with one."""
        matching = [rule for rule in self.rules.values() if rule.filter.matches(content)]
        if any(rule.action is None for rule in matching):
            yield content
        for rule in matching:
            if rule.action is not None:
                yield rule.action.apply(content)


class Topic:
    """Takes messages and hands them on; only scheduled ones wait in `pending`."""

    def __init__(self, name: str, settings: TopicSettings, pending: MessageQueue) -> None:
        self.name = name
        self.settings = settings
        self.pending = pending
        self.subscriptions: dict[str, Subscription] = {}

    def publish(self, content: Content, now: int) -> None:
        """Take a message."""
        if content.scheduled_for is not None and content.scheduled_for > now:
            self.schedule(content, now)
        else:
            self._fan_out(content, now)

    def schedule(self, content: Content, now: int) -> int:
        """Take a message whose sender may cancel it; returns its number here, which it has nowhere else."""
        number = self.pending.enqueue(content, now).sequence_number
        self.distribute(now)
        return number

    def distribute(self, now: int) -> None:
        """Hand on what is not scheduled any more."""
        while (message := self.pending.take_away()) is not None:
            self._fan_out(message.content, now)

    def _fan_out(self, content: Content, now: int) -> None:
        for subscription in self.subscriptions.values():
            for copy in subscription.copies(content):
                subscription.queue.enqueue(copy, now, lives_at_most=self.settings.time_to_live)
