"""Where each key of a configuration as understood is written; a key without a place has its default."""

from collections.abc import Iterator, Mapping

import yaml

from rules.node import Mark, Node, RuleNodes


def with_origins(text: str, written: Node) -> str:
    """The YAML `text` of a configuration with the file and line of each key that is `written`, as a comment.

    A comment stands behind its key, or above it where the value takes several lines.
    """
    lines = text.splitlines()
    for line, mark, is_long in sorted(_found(yaml.compose(text, Loader=yaml.SafeLoader), written), reverse=True):
        file = str(mark.file)
        place = (
            f"# {file if file.isprintable() else ascii(file)}:{mark.line}"  # a line break in it would end the comment
        )
        if is_long:
            lines.insert(line, " " * (len(lines[line]) - len(lines[line].lstrip())) + place)
        else:
            lines[line] += f"  {place}"
    return "".join(f"{line}\n" for line in lines)


def _found(shown: yaml.Node | None, written: Node) -> Iterator[tuple[int, Mark, bool]]:
    """The line of each key from 0, the place where it is written, and whether its value is a scalar of several lines."""
    match shown, written.value:
        case yaml.MappingNode(), dict() as entries:
            for key, value in shown.value:
                node = _entry(entries, key.value)
                if node is not None:
                    line = key.start_mark.line
                    is_long = isinstance(value, yaml.ScalarNode) and value.end_mark.line > line
                    yield line, node.key_mark, is_long
                    yield from _found(value, node)
        case yaml.SequenceNode(), list() | RuleNodes() as items if len(items) == len(shown.value):
            for value, node in zip(shown.value, items, strict=True):
                yield from _found(value, node)


def _entry(entries: Mapping[str, Node], name: str) -> Node | None:
    """A key left empty is as if not written."""
    node = entries.get(name)
    return None if node is None or node.value is None else node
