"""What the push services refuse by their own documents, found in `push.native` before anything is sent."""

from collections.abc import Mapping
from dataclasses import replace

from hub.notification import Platform
from hub.platforms.table import traits_of
from hub.platforms.traits import PayloadKind
from rules.native import payload_node
from rules.node import Node
from rules.problems import Problems


def check_native(platform: Platform, native: Node, usual: Mapping[str, str], problems: Problems) -> None:
    """Complain of what the service of `platform` is sure to refuse in a `native` entry that compiles.

    `usual` are the header fields, by lower-case name, of pushes through its hub that give none.
    """
    entries = native.value if isinstance(native.value, dict) else {}
    given = entries.get("headers")
    headers = given.value if given is not None and isinstance(given.value, dict) else {}
    payload = entries.get("payload")
    if payload is None or payload.value is None:
        return
    traits = traits_of(platform)
    is_tree = traits.payload is not PayloadKind.XML
    content = payload_node(payload, Problems()) if is_tree else payload
    # What is no JSON, or no object in it, was complained of as it was compiled.
    if content is not None and (isinstance(content.value, dict) or not is_tree):
        fields = {name: replace(native, value=text, text=text, written=text) for name, text in usual.items()}
        traits.advise(content, {**fields, **{name.lower(): entry for name, entry in headers.items()}}, problems)
