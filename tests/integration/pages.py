"""The commands of README and docs, block by block."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

_FENCED = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
_IN_LOOP = "\x1f"
_SHELL = frozenset(["sh", "bash", "shell", "console", ""])
_INDENTED = re.compile(r"(?:(?<=\n\n)|\A)(?: {4}[^\n]*\n|\n(?= {4}))+", re.MULTILINE)
_COMMAND = re.compile(
    r"^(?:pushbridge|make|docker|helm|kubectl|curl|openssl|python|az|systemctl|journalctl|pg_\w+|createdb|for|export|pip) "
)


@dataclass(frozen=True, slots=True)
class Block:
    """What stands together on a page; `page` is its path from the root of the repository, `text` without indentation."""

    page: str
    line: int
    text: str

    @property
    def commands(self) -> list[str]:
        """Each with what it goes on with in the next lines; a loop is one."""
        joined = re.sub(r"\\\n\s*", "", self.text)
        joined = re.sub(
            r"^for .*?^done$", lambda loop: loop[0].replace("\n", _IN_LOOP), joined, flags=re.DOTALL | re.MULTILINE
        )
        return [
            re.sub(r"\s+# .*", "", line).strip().replace(_IN_LOOP, "\n") for line in joined.splitlines() if line.strip()
        ]


def blocks(page: Path) -> Iterator[Block]:
    """The blocks of a page that are for a shell, fenced or indented."""
    return blocks_in(page.read_text(encoding="utf-8"), str(page.relative_to(ROOT)))


def blocks_in(text: str, name: str) -> Iterator[Block]:
    """The same of a page's text."""
    for found in _FENCED.finditer(text):
        if found[2] in _SHELL:
            yield Block(name, text[: found.start()].count("\n") + 1, _plain(found[3]))
    prose = _FENCED.sub(lambda found: "\n" * found[0].count("\n"), text)
    for found in _INDENTED.finditer(prose):
        block = _plain(found[0])
        if any(_COMMAND.match(line) for line in block.splitlines()):
            yield Block(name, prose[: found.start()].count("\n") + 1, block)


def _plain(text: str) -> str:
    lines = text.splitlines()
    indent = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    return "\n".join(line[indent:] for line in lines)
