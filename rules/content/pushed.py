"""`content` and `locale` of a push: the texts that it names, for phones of its hub."""

from collections.abc import Mapping, Sequence

from hub.spelling import did_you_mean
from rules.content.locales import chosen, is_locale
from rules.content.reader import NamedContent
from rules.content.texts import ContentTexts, Reader
from rules.node import Node
from rules.problems import Problems
from rules.reading import word
from rules.render import Text


class PushedContents:
    """Finds the texts that pushes name. Rules that push one content to phones of one hub share an object."""

    def __init__(self, contents: Mapping[str, NamedContent], problems: Problems, *, timezone: str) -> None:
        self._contents = contents
        self._problems = problems
        self._timezone = timezone
        self._read: dict[tuple[str, Reader], ContentTexts] = {}

    def read(
        self,
        name: str | None,
        push: Mapping[str, Node],
        properties: Sequence[tuple[str, Text]],
        *,
        hub_locale: str,
        hub_timezone: str,
        is_remote: bool,
    ) -> ContentTexts | None:
        """The texts of the content `name`, which the push is known to name; None after complaining."""
        only = self._locale(push["locale"]) if "locale" in push else ""
        node = push.get("content")
        if node is None:
            return None
        if is_remote:
            message = "a remote hub knows no texts of this configuration"
            hint = "its phones register templates, which with: fills; or a pushbridge beside the hub has the rule"
            self._problems.add(node, message, hint, mark=node.key_mark)
            return None
        named = None if name is None else self._contents.get(name)
        if named is None or only is None:
            return None
        self._check_needs(node, named, properties)
        if only and chosen(only, named.texts.locales) is None:
            message = f"{node.written} has no text in {only}"
            self._problems.warn(push["locale"], message, f"phones get {named.texts.fallback}")
        reader = Reader(locale=hub_locale, only=only, timezone=hub_timezone or self._timezone)
        return self._read.setdefault((named.texts.name, reader), named.texts.for_reader(reader))

    def _locale(self, node: Node) -> str | None:
        """The language that all get; empty for the phone's own."""
        text = word(node, self._problems)
        if text is None or text == "device":
            return "" if text is not None else None
        if not is_locale(text):
            self._problems.add(node, f"there is no language {node.written!r}", "device, de, de-CH and others of CLDR")
            return None
        return text.replace("_", "-")

    def _check_needs(self, node: Node, named: NamedContent, properties: Sequence[tuple[str, Text]]) -> None:
        """Complain of what the texts name and the rule does not give."""
        given = {name.casefold(): name for name, _ in properties}
        for key, (name, mark) in named.needed.items():
            if key not in given:
                likely = did_you_mean(name, list(given.values()), all_if_few=False)
                message = f"{node.written} needs {name} ({mark.file}:{mark.line}), which push.with does not give"
                self._problems.add(node, message, likely or f'write with: {{ {name}: "{{{{ … }}}}" }}')
