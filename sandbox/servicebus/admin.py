"""The administration interface: entities and rules over HTTP as Atom, at the paths of Azure's Service Bus REST API.

Who may ask is checked where the namespace has policies: it takes the right Manage.
"""

import re
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

from lxml import etree

from sandbox.errors import SandboxError
from sandbox.exchange import Answer, Exchange
from sandbox.servicebus import atom
from sandbox.servicebus.descriptions import (
    NAMESPACE,
    queue_element,
    queue_settings,
    rule_element,
    rule_of,
    subscription_element,
    topic_element,
    topic_settings,
)
from sandbox.servicebus.errors import EntityError, EntityExistsError, EntityNotFoundError, InvalidEntityError
from sandbox.servicebus.namespace import Namespace
from sandbox.servicebus.policies import Policies, TokenError
from sandbox.servicebus.pump import Clock

_RULE = re.compile(r"(?P<topic>.+)/subscriptions/(?P<subscription>[^/]+)/rules(?:/(?P<name>[^/]+))?", re.IGNORECASE)
_SUBSCRIPTION = re.compile(r"(?P<topic>.+)/subscriptions(?:/(?P<name>[^/]+))?", re.IGNORECASE)
_LIST = re.compile(r"\$resources/(?P<kind>queues|topics)", re.IGNORECASE)
_MAX_PAGE = 100

T = TypeVar("T")


class Admin:
    """Answers each request at once; `url` tells where it is reached, for links in answers."""

    def __init__(
        self, namespace: Namespace, url: Callable[[], str], *, policies: Policies | None = None, clock: Clock
    ) -> None:
        self._namespace = namespace
        self._url = url
        self._policies = policies
        self._clock = clock

    def serve(self, exchange: Exchange) -> None:
        """Answer one request."""
        try:
            self._check(exchange)
            answer = self._answer(_Request(exchange, self._url()))
        except TokenError as error:
            answer = _refusal(HTTPStatus.UNAUTHORIZED, error)
        except EntityExistsError as error:
            answer = _refusal(HTTPStatus.CONFLICT, error)
        except EntityNotFoundError as error:
            answer = _refusal(HTTPStatus.NOT_FOUND, error)
        except EntityError as error:
            answer = _refusal(HTTPStatus.BAD_REQUEST, error)
        exchange.answer(answer)

    def _check(self, exchange: Exchange) -> None:
        """Raises: TokenError."""
        if self._policies is None:
            return
        path = urlsplit(exchange.path).path.strip("/")
        grant = self._policies.grant(exchange.headers.get("authorization", ""), now=self._clock())
        if not grant.covers(path, "Manage"):
            raise TokenError("Unauthorized access. 'Manage' claim(s) are required to perform this operation.")

    def _answer(self, request: "_Request") -> Answer:
        if request.path.lower() == "$namespaceinfo":
            return request.entry("pushbridge-sandbox", atom.namespace_info())
        if (found := _LIST.fullmatch(request.path)) is not None:
            if found["kind"].lower() == "queues":
                return request.feed(self._namespace.queues, lambda queue: (queue.path, queue_element(queue)))
            return request.feed(self._namespace.topics, lambda topic: (topic.name, topic_element(topic)))
        if (found := _RULE.fullmatch(request.path)) is not None:
            if found["name"] is None:
                rules = self._namespace.subscription(found["topic"], found["subscription"]).rules.values()
                return request.feed(list(rules), lambda rule: (rule.name, rule_element(rule)))
            return self._rule(request, found["topic"], found["subscription"], found["name"])
        if (found := _SUBSCRIPTION.fullmatch(request.path)) is not None:
            if found["name"] is None:
                subscriptions = self._namespace.topic(found["topic"]).subscriptions.values()
                return request.feed(list(subscriptions), lambda one: (one.name, subscription_element(one)))
            return self._subscription(request, found["topic"], found["name"])
        return self._entity(request, request.path)

    def _entity(self, request: "_Request", name: str) -> Answer:
        is_queue = any(queue.path.lower() == name.lower() for queue in self._namespace.queues)
        if request.method == "DELETE":
            (self._namespace.delete_queue if is_queue else self._namespace.delete_topic)(name)
            return Answer(status=HTTPStatus.OK)
        if request.method == "PUT":
            described = request.description()
            is_queue = etree.QName(described).localname == "QueueDescription"
            if is_queue:
                queue = queue_settings(described)
                (self._namespace.update_queue if request.replaces else self._namespace.create_queue)(name, queue)
            else:
                topic = topic_settings(described)
                (self._namespace.update_topic if request.replaces else self._namespace.create_topic)(name, topic)
        if is_queue:
            return request.entry(name, queue_element(self._namespace.queue(name)))
        return request.entry(name, topic_element(self._namespace.topic(name)))

    def _subscription(self, request: "_Request", topic: str, name: str) -> Answer:
        if request.method == "DELETE":
            self._namespace.delete_subscription(topic, name)
            return Answer(status=HTTPStatus.OK)
        if request.method == "PUT":
            settings = queue_settings(request.description())
            if request.replaces:
                self._namespace.update_subscription(topic, name, settings)
            else:
                default = request.description().find(f"{{{NAMESPACE}}}DefaultRuleDescription")
                rule = None if default is None else rule_of(default)
                self._namespace.create_subscription(topic, name, settings, rule)
        return request.entry(name, subscription_element(self._namespace.subscription(topic, name)))

    def _rule(self, request: "_Request", topic: str, subscription: str, name: str) -> Answer:
        if request.method == "DELETE":
            self._namespace.delete_rule(topic, subscription, name)
            return Answer(status=HTTPStatus.OK)
        if request.method == "PUT":
            rule = rule_of(request.description(), name=name)
            (self._namespace.update_rule if request.replaces else self._namespace.create_rule)(
                topic, subscription, rule
            )
        return request.entry(name, rule_element(self._namespace.rule(topic, subscription, name)))


class _Request:
    """A request, and answers that link to where it was asked."""

    def __init__(self, exchange: Exchange, url: str) -> None:
        parts = urlsplit(exchange.path)
        self.path = unquote(parts.path).strip("/")
        self.method = exchange.method
        self.replaces = "if-match" in exchange.headers
        self._query = parse_qs(parts.query)
        self._body = exchange.body
        self._url = f"{url}{parts.path}"
        if self.method not in ("GET", "PUT", "DELETE"):
            raise InvalidEntityError(f"{self.method} is not offered: entities are got, put and deleted")

    def description(self) -> etree._Element:
        """What the client wants. Raises: InvalidEntityError."""
        return atom.description_in(self._body)

    def entry(self, title: str, description: etree._Element) -> Answer:
        """One thing, which is new unless it was asked for or replaced."""
        created = self.method == "PUT" and not self.replaces
        status = HTTPStatus.CREATED if created else HTTPStatus.OK
        return _xml(status, atom.entry(self._url, title, description))

    def feed(self, items: Sequence[T], described: Callable[[T], tuple[str, etree._Element]]) -> Answer:
        """A page of a list."""
        skip, top = self._number("$skip", 0), min(self._number("$top", _MAX_PAGE), _MAX_PAGE)
        more = f"{self._url}?$skip={skip + top}&$top={top}" if len(items) > skip + top else None
        page = [described(item) for item in items[skip : skip + top]]
        entries = [atom.entry(f"{self._url}/{title}", title, description) for title, description in page]
        return _xml(HTTPStatus.OK, atom.feed(self._url, entries, next_url=more))

    def _number(self, name: str, default: int) -> int:
        text = self._query.get(name, [str(default)])[0]
        if not text.isdecimal():
            raise InvalidEntityError(f"{name} is a whole number, not {text!r}")
        return int(text)


def _refusal(status: HTTPStatus, error: SandboxError) -> Answer:
    return _xml(status, atom.error(status, str(error)))


def _xml(status: HTTPStatus, root: etree._Element) -> Answer:
    body = etree.tostring(root, encoding="utf-8", xml_declaration=True)
    return Answer(status=status, headers=(("content-type", "application/atom+xml;charset=utf-8"),), body=(body,))
