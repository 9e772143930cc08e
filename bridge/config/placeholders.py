"""Values of the right kind that `--no-secrets` puts for `${env:NAME}`, `${file:/path}` and files mounted elsewhere.

With it the configuration is checked as with the secrets, so that a mistake beside a secret is found, and one that only
a secret could have is not made up. What fits is found by trying: the model of a key is asked, and the models above it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import is_dataclass, replace
from inspect import isclass
from itertools import chain, islice, product
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from bridge.config.models.document import Sections
from bridge.config.samples import pem_file, samples
from hub.tls import Tls
from rules.document import is_one_placeholder, refilled
from rules.node import Node
from rules.problems import Problems

_CHOICES = 8
"""Values that fit a key, of which one has to fit the object that it stands in as well."""

_COMBINATIONS = 300
_RULE_SAMPLES = 24
"""Those that a rule may need; keys and certificates are none of them."""


def with_samples(sections: Mapping[str, Node], problems: Problems, context: Mapping[str, Any]) -> dict[str, Node]:
    """The sections but the rules, with values in the place of those that are withheld."""
    filler = Filler(problems, context)
    config = Sections.model_config
    return {
        name: filler.fill(node, field.annotation, field.metadata, config)
        if (field := Sections.model_fields.get(name)) is not None
        else node
        for name, node in sections.items()
    }


def rule_with_samples(rule: Node, problems: Problems, complained: Callable[[Node], set[str]]) -> Node:
    """A rule with values in the place of those that are withheld; `complained` reads one, and names keys with mistakes."""
    for number, node in enumerate(_withheld(rule, problems), 1):
        for sample in islice(samples(number), _RULE_SAMPLES):
            changed = _replaced(rule, node, refilled(node, sample))
            if node.key not in complained(changed):
                rule = changed
                break
        else:
            if not is_one_placeholder(node):
                problems.expose(node)
    return rule


class Filler:
    """Goes through nodes and models side by side."""

    def __init__(self, problems: Problems, context: Mapping[str, Any]) -> None:
        self._problems = problems
        self._context = dict(context)
        self._count = 0

    def fill(self, node: Node, annotation: Any, metadata: Sequence[Any], config: ConfigDict) -> Node:
        match node.value:
            case dict() as entries:
                for kind in _alternatives(annotation):
                    if isclass(kind) and issubclass(kind, BaseModel):
                        return self._object(node, entries, kind)
                    if get_origin(kind) not in (None, tuple, list, frozenset, Literal):
                        item = get_args(kind)[1]
                        return replace(
                            node, value={name: self.fill(each, item, (), config) for name, each in entries.items()}
                        )
            case list() as items:
                for kind in _alternatives(annotation):
                    if get_origin(kind) in (tuple, list, frozenset):
                        item = get_args(kind)[0]
                        return replace(node, value=[self.fill(each, item, (), config) for each in items])
            case _ if self._problems.is_withheld(node) or self._is_mounted_elsewhere(node, annotation):
                fitting = next(self._fitting(node, annotation, metadata, config), None)
                if fitting is not None:
                    return fitting
                if not is_one_placeholder(node):
                    self._problems.expose(node)
        return node

    def _is_mounted_elsewhere(self, node: Node, annotation: Any) -> bool:
        """Whether a file is named from the root on and is not here, as one that is mounted where the daemon runs.

        A file that is named from the configuration's directory on belongs to the configuration, and has to be there.
        """
        if Path not in _alternatives(annotation):
            return False
        path = Path(str(node.value))
        if not path.is_absolute() or path.exists():
            return False
        self._problems.withhold(node.mark, node.key)
        return True

    def _object(self, node: Node, entries: Mapping[str, Node], model: type[BaseModel]) -> Node:
        fields, config = model.model_fields, model.model_config
        filled = {
            name: self.fill(entry, fields[name].annotation, fields[name].metadata, config) if name in fields else entry
            for name, entry in entries.items()
        }
        names = [name for name in entries if name in fields and self._problems.is_withheld(entries[name])]
        if names and issubclass(model, Tls):
            filled |= self._pair(entries, names, model)
        elif names and self._is_refused(node, filled, model):
            choices = [
                list(
                    islice(
                        self._fitting(entries[name], fields[name].annotation, fields[name].metadata, config), _CHOICES
                    )
                )
                for name in names
            ]
            for chosen in islice(product(*choices), _COMBINATIONS):
                if not self._is_refused(node, tried := filled | dict(zip(names, chosen, strict=True)), model):
                    filled = tried
                    break
        return replace(node, value=filled)

    def _pair(self, entries: Mapping[str, Node], withheld: Sequence[str], model: type[BaseModel]) -> dict[str, Node]:
        """Certificate and key belong together, so one that is withheld takes the other with it, if that is a file."""
        pair = {name: entries[name] for name in ("cert", "key") if name in entries}
        if not pair.keys() & set(withheld):
            return {}
        known = [node for name, node in pair.items() if name not in withheld]
        field = model.model_fields["key"]
        adapter = _adapter(field.annotation, field.metadata, model.model_config)
        if not all(self._fits(adapter, node.value) for node in known):
            return {}
        return {name: _pem(node) for name, node in pair.items()}

    def _fitting(self, node: Node, annotation: Any, metadata: Sequence[Any], config: ConfigDict) -> Iterator[Node]:
        """The scalar with each sample that its key takes."""
        self._count += 1
        adapter = _adapter(annotation, metadata, config)
        for sample in chain(_choices(annotation), samples(self._count)):
            candidate = refilled(node, sample)
            if self._fits(adapter, candidate.value):
                yield candidate
        if Path in _alternatives(
            annotation
        ):  # which files there are is not known here, also where a part of the name is
            yield _pem(node)

    def _fits(self, adapter: TypeAdapter[Any], value: Any) -> bool:
        with suppress(ValidationError):
            adapter.validate_python(value, context=self._context)
            return True
        return False

    def _is_refused(self, node: Node, entries: Mapping[str, Node], model: type[BaseModel]) -> bool:
        """Whether an object's values do not go together, each being right by itself."""
        try:
            model.model_validate(replace(node, value=dict(entries)).plain(), context=self._context)
        except ValidationError as error:
            return any(not each["loc"] for each in error.errors(include_url=False, include_input=False))
        return False


def _pem(node: Node) -> Node:
    return replace(node, value=str(pem_file()), text=str(pem_file()))


def _adapter(annotation: Any, metadata: Sequence[Any], config: ConfigDict) -> TypeAdapter[Any]:
    kind: Any = Annotated[(annotation, *metadata)] if metadata else annotation
    if isclass(kind) and issubclass(kind, BaseModel):
        return TypeAdapter(kind)
    if any(map(is_dataclass, _alternatives(kind))):
        kind = kind | None  # a dataclass alone would be read by rules of its own
    shared = ConfigDict(coerce_numbers_to_str=config.get("coerce_numbers_to_str", False), arbitrary_types_allowed=True)
    return TypeAdapter(kind, config=shared)


def _alternatives(annotation: Any) -> Iterator[Any]:
    """What may stand at a key, of an `A | B` each."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _alternatives(get_args(annotation)[0])
    elif origin in (Union, UnionType):
        for each in get_args(annotation):
            yield from _alternatives(each)
    else:
        yield annotation


def _choices(annotation: Any) -> Iterator[str]:
    for kind in _alternatives(annotation):
        if get_origin(kind) is Literal:
            yield from map(str, get_args(kind))


def _withheld(node: Node, problems: Problems) -> Iterator[Node]:
    match node.value:
        case dict() as entries:
            for entry in entries.values():
                yield from _withheld(entry, problems)
        case list() as items:
            for item in items:
                yield from _withheld(item, problems)
        case _ if problems.is_withheld(node):
            yield node


def _replaced(node: Node, old: Node, new: Node) -> Node:
    """The node with `old`, which is in it, replaced."""
    if node.key == old.key:
        return new
    match node.value:
        case dict() as entries:
            return replace(node, value={name: _replaced(entry, old, new) for name, entry in entries.items()})
        case list() as items:
            return replace(node, value=[_replaced(item, old, new) for item in items])
    return node
