"""What a statement may say: SQL that SQLite and PostgreSQL read alike, and that needs no assumption of one process.

`complaints` parses a statement with PostgreSQL's own parser and names what does not travel.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

import apsw
import pglast
from pglast import ast, enums, visitors

from hub.store.connection import Statement
from hub.store.sqlite.migrate import shipped_versions


def _columns() -> dict[str, set[str]]:
    """Of each table that ships."""
    connection = apsw.Connection(":memory:")
    for version in shipped_versions():
        connection.execute(version.sql)
    found: dict[str, set[str]] = defaultdict(set)
    listed = "SELECT t.name, c.name FROM pragma_table_list AS t, pragma_table_info(t.name) AS c WHERE t.schema = 'main'"
    for table, column in connection.execute(listed):
        found[str(table)].add(str(column))
    connection.close()
    return found


WORK = frozenset(table for table, columns in _columns().items() if "queue" in columns)
"""Tables whose rows are of a queue."""
REGISTRY = frozenset(table for table, columns in _columns().items() if {"hub", "shard"} <= columns) - WORK
"""Tables whose rows are of a shard of a hub."""

_NAME = re.compile(r"(?<!:):([a-z_][a-z0-9_]*)")
_QUOTED = re.compile(r"'(?:[^']|'')*'")
_ADVISORY = re.compile(r"pg_(try_)?advisory_")
_FORBIDDEN_FUNCTIONS = frozenset(
    [
        "nextval",
        "currval",
        "setval",
        "lastval",
        "last_insert_rowid",
        "changes",
        "now",
        "random",
        "datetime",
        "julianday",
    ]
)
_ROW_NUMBERS = frozenset(["rowid", "oid", "_rowid_", "ctid"])
_ALLOWED = (ast.SelectStmt, ast.InsertStmt, ast.UpdateStmt, ast.DeleteStmt)


def numbered(text: str) -> str:
    """The text with `$1`, `$2` ... for its names, those of one name alike; what is quoted stays."""
    numbers: dict[str, int] = {}

    def number(match: re.Match[str]) -> str:
        return f"${numbers.setdefault(match[1], len(numbers) + 1)}"

    pieces, end = [], 0
    for quoted in _QUOTED.finditer(text):
        pieces += [_NAME.sub(number, text[end : quoted.start()]), quoted[0]]
        end = quoted.end()
    return "".join([*pieces, _NAME.sub(number, text[end:])])


def complaints(statement: Statement) -> list[str]:
    """What is wrong with it, nothing when it is portable."""
    try:
        parsed = pglast.parse_sql(numbered(statement.text))
    except pglast.parser.ParseError as error:
        return [f"PostgreSQL cannot read it: {error}"]
    if len(parsed) != 1:
        return [f"{len(parsed)} statements in one"]
    tree = parsed[0].stmt
    if not isinstance(tree, _ALLOWED):
        return [f"{type(tree).__name__}: neither SELECT, INSERT, UPDATE nor DELETE"]
    finder = _Finder()
    finder(tree)
    return [*finder.found, *_keys_missing(statement.text, finder)]


class _Finder(visitors.Visitor):
    """Collects what is forbidden, and which tables and columns a statement names."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tables: set[str] = set()
        self.columns: set[str] = set()

    def visit_LockingClause(self, ancestors: object, node: ast.LockingClause) -> None:
        if node.waitPolicy == enums.LockWaitPolicy.LockWaitSkip:
            self.found.append("SKIP LOCKED")
        self.found.append("a locking clause, which SQLite does not read")

    def visit_FuncCall(self, ancestors: object, node: ast.FuncCall) -> None:
        name = str((node.funcname or ())[-1].sval).lower()
        if _ADVISORY.match(name):
            self.found.append("an advisory lock")
        elif name in _FORBIDDEN_FUNCTIONS or name.startswith("json"):
            self.found.append(f"the function {name}")

    def visit_SQLValueFunction(self, ancestors: object, node: ast.SQLValueFunction) -> None:
        self.found.append("a time of day that is not the store's")

    def visit_BooleanTest(self, ancestors: object, node: ast.BooleanTest) -> None:
        self.found.append("TRUE or FALSE")

    def visit_A_Expr(self, ancestors: object, node: ast.A_Expr) -> None:
        """A column compared to TRUE; `WHERE true` alone, which an upsert of a SELECT needs, is read alike."""
        sides = (node.lexpr, node.rexpr)
        if any(isinstance(side, ast.A_Const) and isinstance(side.val, ast.Boolean) for side in sides):
            self.found.append("TRUE or FALSE")

    def visit_TypeCast(self, ancestors: object, node: ast.TypeCast) -> None:
        names = [each.sval for each in (node.typeName and node.typeName.names) or ()]
        if names[-1:] not in (["int8"], ["text"], ["float8"], ["bytea"]):
            self.found.append(f"a cast to {names[-1:]}")

    def visit_RangeVar(self, ancestors: object, node: ast.RangeVar) -> None:
        self.tables.add(str(node.relname))

    def visit_ColumnRef(self, ancestors: object, node: ast.ColumnRef) -> None:
        last = (node.fields or ())[-1]
        if isinstance(last, ast.String):
            self._column(str(last.sval))

    def visit_ResTarget(self, ancestors: object, node: ast.ResTarget) -> None:
        if node.name is not None:
            self._column(node.name)

    def _column(self, name: str) -> None:
        self.columns.add(name)
        if name in _ROW_NUMBERS:
            self.found.append(f"the row number {name}")


def _keys_missing(text: str, finder: _Finder) -> Iterator[str]:
    wanted: Sequence[tuple[frozenset[str], tuple[str, ...]]] = ((REGISTRY, ("hub", "shard")), (WORK, ("queue",)))
    for tables, keys in wanted:
        named = sorted(finder.tables & tables)
        for key in keys:
            if named and key not in finder.columns:
                yield f"{', '.join(named)} without {key}"
