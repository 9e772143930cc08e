"""Names in rules of what other sections define, looked up; an unknown one is complained of once."""

from collections.abc import Mapping

from rules.node import Node
from rules.problems import Problems
from rules.reading import complain_of_name, word, words
from rules.scope import Scope


class Names:
    """Owns the names that nothing defines, until `complain` says them."""

    def __init__(self, scope: Scope, problems: Problems) -> None:
        self._scope = scope
        self._problems = problems
        self._known: Mapping[str, Mapping[str, str]] = {
            "source": {source: source for source in sorted(scope.sources)},
            "hub": {hub: hub for hub in scope.hubs},
            "sink": {sink: sink for sink in sorted(scope.sinks)},
            "content": {name: name for name in sorted({*scope.contents, *scope.mistaken_contents})},
        }
        self._unknown: dict[tuple[str, str], list[Node]] = {}
        self._hubless: Node | None = None

    def named(self, kind: str, node: Node) -> str | None:
        """A source, a hub, a sink or a content by its name; None where there is no such one, or no name."""
        known = self._known[kind]
        text = word(node, self._problems)
        if text is not None and text not in known:
            self._unknown.setdefault((kind, text), []).append(node)
        return None if text is None else known.get(text)

    def each(self, kind: str, node: Node) -> list[str]:
        """Those of one name, or of a list of names, that are known."""
        chosen = (self.named(kind, item) for item in words(node, self._problems))
        return [name for name in chosen if name is not None]

    def complain(self) -> None:
        """Complain of each source, hub, sink and content that rules name and nothing defines."""
        sections = {
            "content": True,
            "source": self._scope.sources_are_known,
            "hub": self._scope.hubs_are_known,
            "sink": self._scope.sinks_are_known,
        }
        for (kind, _), nodes in self._unknown.items():
            if not sections[kind]:
                continue  # the section itself is the mistake
            others = f"{len(nodes) - 1} more of the rules name it" if len(nodes) > 1 else ""
            section = kind if kind == "content" else f"{kind}s"
            complain_of_name(nodes[0], self._known[kind], section, self._problems, more=others)

    def hub_of(self, push: Node, node: Node | None) -> str | None:
        """The hub that a push names at `node`, or the default one."""
        if node is not None:
            return self.named("hub", node)
        if self._scope.default_hub is None and self._hubless is None and self._scope.hubs_are_known:
            self._hubless = push
            message = "no hub is the default one" if self._known["hub"] else "there is no hub to push through"
            hint = "give push.hub, or one of hubs default: true" if self._known["hub"] else "add one under hubs"
            self._problems.add(push, message, hint, mark=push.key_mark)
        return self._scope.default_hub
