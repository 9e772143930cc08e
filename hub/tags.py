"""Tags and tag expressions."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tag:
    name: str


@dataclass(frozen=True, slots=True)
class Not:
    operand: "TagExpression"


@dataclass(frozen=True, slots=True)
class And:
    operands: tuple["TagExpression", ...]


@dataclass(frozen=True, slots=True)
class Or:
    operands: tuple["TagExpression", ...]


TagExpression = Tag | Not | And | Or
