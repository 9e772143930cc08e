"""All entities: queues, topics with their subscriptions, found by the path a client names (in any case)."""

from collections.abc import Callable, Container, Sequence
from dataclasses import replace
from typing import TypeVar

from sandbox.servicebus import conditions, descriptions
from sandbox.servicebus.amqp import AmqpError
from sandbox.servicebus.errors import EntityExistsError, EntityNotFoundError, InvalidEntityError
from sandbox.servicebus.queue import DEAD_LETTER_SETTINGS, MessageQueue
from sandbox.servicebus.rules.rule import DEFAULT_RULE, Rule
from sandbox.servicebus.settings import QueueSettings, TopicSettings
from sandbox.servicebus.storage import Storage
from sandbox.servicebus.topic import Subscription, Topic

DEAD_LETTER_SUFFIX = "/$DeadLetterQueue"
TRANSFER_DEAD_LETTER_SUFFIX = "/$Transfer/$DeadLetterQueue"
MAX_NAME_LENGTHS = {"queue": 260, "topic": 260, "subscription": 50, "rule": 50}

PENDING_SETTINGS = QueueSettings(max_delivery_count=None)

Entity = MessageQueue | Topic

T = TypeVar("T")


class Namespace:
    """Creates, finds and deletes; `opened` and `closed` hear of every entity that can be attached to.

    Entities are told by their names in any case, and keep the spelling they were created with.
    """

    def __init__(self, storage: Storage, *, opened: Callable[[Entity], None], closed: Callable[[Entity], None]) -> None:
        self._storage = storage
        self._opened = opened
        self._closed = closed
        self._queues: dict[str, MessageQueue] = {}
        self._topics: dict[str, Topic] = {}
        self._by_path: dict[str, Entity] = {}

    @property
    def queues(self) -> Sequence[MessageQueue]:
        """The queues, sorted by name; subscriptions and dead-letter queues are not among them."""
        return [queue for _, queue in sorted(self._queues.items())]

    @property
    def topics(self) -> Sequence[Topic]:
        """The topics, sorted by name."""
        return [topic for _, topic in sorted(self._topics.items())]

    def entity(self, path: str) -> Entity:
        """Whatever is at a path. Raises: AmqpError: nothing is."""
        try:
            return self._by_path[path.lower()]
        except KeyError:
            text = f"The messaging entity '{path}' could not be found."
            raise AmqpError(conditions.NOT_FOUND, text) from None

    def takes_messages(self, entity: Entity) -> bool:
        """Whether clients may send to it: to topics and queues, not to subscriptions and dead-letter queues."""
        return isinstance(entity, Topic) or self._queues.get(entity.path.lower()) is entity

    def message_queue(self, path: str) -> MessageQueue:
        """The queue, subscription or dead-letter queue at a path. Raises: EntityNotFoundError."""
        found = self._by_path.get(path.lower())
        if not isinstance(found, MessageQueue):
            raise EntityNotFoundError(f"there is no queue, subscription or dead-letter queue {path!r}")
        return found

    def queue(self, name: str) -> MessageQueue:
        """Raises: EntityNotFoundError."""
        return _found(self._queues, name, "queue")

    def topic(self, name: str) -> Topic:
        """Raises: EntityNotFoundError."""
        return _found(self._topics, name, "topic")

    def subscription(self, topic: str, name: str) -> Subscription:
        """Raises: EntityNotFoundError."""
        return _found(self.topic(topic).subscriptions, name, f"subscription of the topic {topic!r}")

    def create_queue(self, name: str, settings: QueueSettings) -> MessageQueue:
        """Raises: EntityExistsError, InvalidEntityError."""
        self._check_new(name, "queue", {**self._queues, **self._topics})
        queue = self._open_queue(name, settings)
        self._queues[name.lower()] = queue
        self._storage.entity_put(name, "queue", descriptions.write_queue(queue))
        return queue

    def create_topic(self, name: str, settings: TopicSettings) -> Topic:
        """Raises: EntityExistsError, InvalidEntityError."""
        self._check_new(name, "topic", {**self._queues, **self._topics})
        topic = self._open_topic(name, settings)
        self._storage.entity_put(name, "topic", descriptions.write_topic(topic))
        return topic

    def create_subscription(
        self, topic: str, name: str, settings: QueueSettings, rule: Rule | None = None
    ) -> Subscription:
        """A subscription with this rule, else one that lets everything through.

        Raises: EntityNotFoundError: there is no such topic; EntityExistsError, InvalidEntityError.
        """
        parent = self.topic(topic)
        self._check_new(name, "subscription", parent.subscriptions)
        subscription = self._open_subscription(parent, name, settings)
        path = subscription.queue.path
        self._storage.entity_put(path, "subscription", descriptions.write_subscription(subscription))
        self.create_rule(topic, name, rule or Rule(name=DEFAULT_RULE))
        return subscription

    def create_rule(self, topic: str, subscription: str, rule: Rule) -> None:
        """Raises: EntityNotFoundError, EntityExistsError, InvalidEntityError."""
        parent = self.subscription(topic, subscription)
        self._check_new(rule.name, "rule", parent.rules)
        self._put_rule(parent, rule)

    def rule(self, topic: str, subscription: str, name: str) -> Rule:
        """Raises: EntityNotFoundError."""
        return _found(self.subscription(topic, subscription).rules, name, "rule")

    def update_queue(self, name: str, settings: QueueSettings) -> None:
        """Raises: EntityNotFoundError; InvalidEntityError: sessions cannot be switched on or off later."""
        queue = self.queue(name)
        _change(queue, settings)
        self._storage.entity_put(queue.path, "queue", descriptions.write_queue(queue))

    def update_topic(self, name: str, settings: TopicSettings) -> None:
        """Raises: EntityNotFoundError."""
        topic = self.topic(name)
        topic.settings = settings
        self._storage.entity_put(topic.name, "topic", descriptions.write_topic(topic))

    def update_subscription(self, topic: str, name: str, settings: QueueSettings) -> None:
        """Raises: EntityNotFoundError; InvalidEntityError: sessions cannot be switched on or off later."""
        subscription = self.subscription(topic, name)
        _change(subscription.queue, settings)
        path = subscription.queue.path
        self._storage.entity_put(path, "subscription", descriptions.write_subscription(subscription))

    def update_rule(self, topic: str, subscription: str, rule: Rule) -> None:
        """Raises: EntityNotFoundError."""
        name = self.rule(topic, subscription, rule.name).name
        self._put_rule(self.subscription(topic, subscription), replace(rule, name=name))

    def delete_queue(self, name: str) -> None:
        """With all its messages. Raises: EntityNotFoundError."""
        queue = self.queue(name)
        del self._queues[name.lower()]
        self._close(queue.path)

    def delete_topic(self, name: str) -> None:
        """With all its subscriptions. Raises: EntityNotFoundError."""
        topic = self.topic(name)
        del self._topics[name.lower()]
        self._close(topic.name)

    def delete_subscription(self, topic: str, name: str) -> None:
        """With all its messages. Raises: EntityNotFoundError."""
        subscription = self.subscription(topic, name)
        del self.topic(topic).subscriptions[name.lower()]
        self._close(subscription.queue.path)

    def delete_rule(self, topic: str, subscription: str, name: str) -> None:
        """Raises: EntityNotFoundError."""
        parent = self.subscription(topic, subscription)
        rule = self.rule(topic, subscription, name)
        del parent.rules[name.lower()]
        self._storage.rule_removed(parent.queue.path, rule.name)

    def restore(self) -> None:
        """Open what the storage has kept."""
        for entity in self._storage.entities():
            if entity.kind == "topic":
                pending = self._open_topic(entity.path, descriptions.read_topic(entity.description)).pending
            elif entity.kind == "queue":
                pending = self._open_queue(entity.path, descriptions.read_queue(entity.description))
                self._queues[entity.path.lower()] = pending
            else:
                topic, _, name = entity.path.rpartition("/Subscriptions/")
                settings = descriptions.read_queue(entity.description)
                subscription = self._open_subscription(self.topic(topic), name, settings)
                for text in self._storage.rules(entity.path):
                    rule = descriptions.read_rule(text)
                    subscription.rules[rule.name.lower()] = rule
                pending = subscription.queue
            pending.last_sequence_number = entity.last_sequence_number
            self._restore_messages(pending)

    def _restore_messages(self, queue: MessageQueue) -> None:
        for message in self._storage.messages(queue.path):
            queue.restore(message)
        for session_id, state in self._storage.session_states(queue.path):
            queue.restore_session_state(session_id, state)
        if queue.dead_letters is not None:
            self._restore_messages(queue.dead_letters)

    def _open_queue(self, path: str, settings: QueueSettings) -> MessageQueue:
        queue = MessageQueue(path, settings, self._storage)
        queue.dead_letters = MessageQueue(path + DEAD_LETTER_SUFFIX, DEAD_LETTER_SETTINGS, self._storage)
        transfer = MessageQueue(path + TRANSFER_DEAD_LETTER_SUFFIX, DEAD_LETTER_SETTINGS, self._storage)
        for one in (queue, queue.dead_letters, transfer):
            self._by_path[one.path.lower()] = one
            self._opened(one)
        return queue

    def _open_topic(self, name: str, settings: TopicSettings) -> Topic:
        topic = Topic(name, settings, MessageQueue(name, PENDING_SETTINGS, self._storage))
        self._topics[name.lower()] = topic
        self._by_path[name.lower()] = topic
        self._opened(topic)
        return topic

    def _open_subscription(self, topic: Topic, name: str, settings: QueueSettings) -> Subscription:
        subscription = Subscription(name, self._open_queue(f"{topic.name}/Subscriptions/{name}", settings))
        topic.subscriptions[name.lower()] = subscription
        return subscription

    def _put_rule(self, subscription: Subscription, rule: Rule) -> None:
        subscription.rules[rule.name.lower()] = rule
        self._storage.rule_put(subscription.queue.path, rule.name, descriptions.write_rule(rule))

    def _close(self, path: str) -> None:
        below = path.lower() + "/"
        for key in [key for key in self._by_path if key == path.lower() or key.startswith(below)]:
            self._closed(self._by_path.pop(key))
        self._storage.entity_removed(path)

    def _check_new(self, name: str, kind: str, taken: Container[str]) -> None:
        longest = MAX_NAME_LENGTHS[kind]
        if not 0 < len(name) <= longest or name.startswith("/") or name.endswith("/") or set(name) & set("\\?#"):
            raise InvalidEntityError(
                f"the name of a {kind} has 1 to {longest} characters, no '\\', '?', '#', and no '/' at its ends: {name!r}"
            )
        if name.lower() in taken:
            raise EntityExistsError(f"the name {name!r} is taken already")


def _change(queue: MessageQueue, settings: QueueSettings) -> None:
    if settings.requires_session != queue.settings.requires_session:
        raise InvalidEntityError(f"RequiresSession of {queue.path} cannot be changed")
    queue.settings = settings


def _found(entities: dict[str, T], name: str, kind: str) -> T:
    try:
        return entities[name.lower()]
    except KeyError:
        raise EntityNotFoundError(f"there is no {kind} {name!r}") from None
