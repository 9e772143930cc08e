"""`to` of a push: a tag expression, everyone, a user or an installation."""

import re
from collections.abc import Callable

from hub.tags import MaxTags
from rules import models
from rules.audience import AudienceTemplate, compile_installation, compile_tags, compile_user, everyone
from rules.errors import ExpressionError
from rules.node import Node
from rules.problems import Problems
from rules.reading import complain, fields, word
from rules.render import Text, compile_text

_EVERYONE = re.compile(r"(?:^|[\s()!&|])everyone(?:$|[\s()!&|])", re.IGNORECASE)
"""As a word of an expression, where it would be a tag that no phone has."""

_BROADCASTS = frozenset(
    "all everybody anyone anybody broadcast any _all all-users allusers all_users all-devices alldevices all_devices"  # noqa: SIM905 - a table
    " all-phones everything alle tous todos true".split()
)
"""What authors write who mean everyone; they are tags as any other."""


def read_audience(node: Node, max_tags: MaxTags, problems: Problems) -> AudienceTemplate | None:
    """Who a push is for; None after complaining."""
    if isinstance(node.value, dict):
        return _service_audience(node, problems)
    if isinstance(node.value, list):
        tags = " || ".join(item.written or "…" for item in node.value)
        problems.add(node, "expected a text", f'write one expression: "{tags}"; && where all are asked for')
        return None
    text = word(node, problems)
    if text is None or text.strip() == "everyone":
        return None if text is None else everyone
    if text.strip().casefold() in _BROADCASTS:
        message = f"only phones that carry the tag {text.strip()} are meant"
        problems.warn(node, message, "for all phones write to: everyone")
    if text.strip() in ("*", "**", "%", "_"):
        problems.add(node, "this is no tag", "for all phones write to: everyone")
        return None
    if _EVERYONE.search(text):
        problems.add(node, "everyone stands alone, in lower case", "to: everyone")
        return None
    return _compiled(node, lambda: compile_tags(text, max_tags), problems)


def audience_text(node: Node) -> Text:
    """The text of an audience that was compiled, which may stand below `user` or `installation`."""
    inner = next(iter(node.value.values())) if isinstance(node.value, dict) else node
    return compile_text(inner.written).placed(inner)  # what was filled in may be secret


def _service_audience(node: Node, problems: Problems) -> AudienceTemplate | None:
    entries = fields(node, problems, models.Audience)
    if not entries and node.value:
        return None
    if len(entries) != 1:
        problems.add(node, "expected one of user and installation")
        return None
    ((kind, entry),) = entries.items()
    text = word(entry, problems)
    if text is None:
        return None
    return _compiled(entry, lambda: (compile_user if kind == "user" else compile_installation)(text), problems)


def _compiled(node: Node, compile_: Callable[[], AudienceTemplate], problems: Problems) -> AudienceTemplate | None:
    try:
        return compile_()
    except ExpressionError as error:
        complain(error, node, problems)
        return None
