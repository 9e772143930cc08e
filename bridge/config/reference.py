"""`docs/configuration.md`: every key with its type, its default and a sentence, from the models that check it."""

from collections.abc import Iterator

from bridge.config.keys import KeyOfModel, all_keys, keys_of, spelled_default, type_in_words
from bridge.config.produced import META, RECORD_META
from connectors.table import CONNECTORS
from rules.models import Operators

_HEAD = """# Configuration

Every key, made from the settings that check it by `pushbridge schema --reference`. NAME is a name of your choice, `[]` an
item of a list. Durations are written as `500ms`, `30s`, `10m`, `1h30m` or `7d`, sizes as `64KiB` or `1MiB`. A key left
empty is as if not written. The last column says whether a reload takes a key up, or the daemon has to be started again.

`pushbridge schema > pushbridge.schema.json` makes a schema for editors; the YAML language server finds it by a first line
`# yaml-language-server: $schema=pushbridge.schema.json`. The language of rules is explained in
[rules/README.md](../rules/README.md).
"""


def reference() -> str:
    """The whole page, in Markdown."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield _HEAD
    section = ""
    for key in all_keys():
        top = key.path.partition(".")[0].removesuffix("[]")
        if top != section:
            if section:
                yield ""
            section = top
            yield from (f"## {top}", "", "| Key | Type | Default | Meaning | Reload |", "|---|---|---|---|---|")
        yield _row(key)
    yield from _operators()
    yield from _meta()
    yield _XML


_XML = """
## The data of XML

The document element is not part of the path: its elements and attributes are the fields of `data`.

| XML | data |
|---|---|
| an element with neither attributes nor elements in it | its text, under its name without the prefix |
| an element with some | an object under its name |
| elements of one name | a list; `decode.lists` names those that are a list even where one comes alone |
| an attribute | a field of its name with `@` before it |
| an element with attributes, and text beside them | an object, with the text in `#text` |
| an empty element | an empty text; null where `decode.types` gives it a type, or where it has `xsi:nil` or `m:null` |
| text | text, unless `decode.types` makes it a number, a decimal or a boolean |
"""


def _operators() -> Iterator[str]:
    yield from (
        "",
        "## Operators of a pattern",
        "",
        "An object of a pattern whose keys are all of these asks each of a value; any other object is one of fields.",
        "",
        "| Operator | Takes | Meaning |",
        "|---|---|---|",
    )
    for key in keys_of(Operators):
        yield f"| `{key.name}` | {type_in_words(key.annotation, key.constraints)} | {_cell(key.says)} |"


def _meta() -> Iterator[str]:
    yield from (
        "",
        "## meta",
        "",
        "What a rule and `map` find under `meta`, which a message has only if it was sent with it.",
    )
    kinds = {
        "every connector": META,
        "a record of `decode.split`": RECORD_META,
        **{f"`{name}`": connector.meta for name, connector in CONNECTORS.items()},
    }
    for kind, names in kinds.items():
        yield from ("", f"### of {kind}", "", "| Name | Meaning |", "|---|---|")
        yield from (f"| `meta.{name}` | {says} |" for name, says in names.items())


def _row(key: KeyOfModel) -> str:
    default = spelled_default(key)
    shown = "required" if key.required else "" if default is None else f"`{_written(default)}`"
    kind = type_in_words(key.annotation, key.constraints)
    return f"| `{key.path}` | {kind} | {shown} | {_cell(key.says)} | {'yes' if key.reloads else 'restart'} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _written(default: object) -> str:
    if isinstance(default, bool):
        return str(default).lower()
    return f"[{', '.join(map(str, default))}]" if isinstance(default, list) else str(default)
