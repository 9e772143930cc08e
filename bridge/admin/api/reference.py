"""`python -m bridge.admin.api.reference` writes `docs/admin-api.md` from the operations themselves."""

from bridge.admin.api.operation import PREFIX
from bridge.admin.api.routes import DOCUMENT_PATH, OPERATIONS

_INTRODUCTION = f"""\
# The admin API

It is on the admin listener, JSON in and out, and described whole by `{DOCUMENT_PATH}` (OpenAPI 3.1). Lists come in
parts: `next` is the `cursor` of the part that follows. Mistakes are problem details (RFC 9457). An `id` may hold slashes.

The role is the least that an operation needs; [security.md](security.md) says who has which. Whoever may see the page and
shows no token is a viewer. Values, bodies and payloads are shown to an admin alone.

| operation | role | what it does |
|---|---|---|
"""


def page() -> str:
    """All operations as Markdown."""
    rows = (
        f"| `{each.method} {PREFIX}{each.path}` | {each.least_role.word} | {each.summary} |\n" for each in OPERATIONS
    )
    return _INTRODUCTION + "".join(rows)


if __name__ == "__main__":
    print(page(), end="")
