"""README and docs hold together: commands that there are, links that lead somewhere, every endpoint, a site that builds."""

import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from jsonschema import Draft202012Validator

from bridge.admin.api.reference import page as admin_api_page
from bridge.admin.console.pages import PAGES as CONSOLE
from bridge.cli.main import app
from bridge.config.load import check
from bridge.config.schema import json_schema
from bridge.trial.suite.schema import tests_schema as schema_of_tests
from hub.api.app import routes as hub_api_routes
from hub.api.app import utc_now
from hub.api.gate import Gate
from tests.fakes.hub_service import FakeHubService

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
DOCUMENTS = [README, ROOT / "CONTRIBUTING.md", ROOT / "rules" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
NAMES = [str(document.relative_to(ROOT)) for document in DOCUMENTS]

_FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
_INDENTED = re.compile(r"^ {4}(?:\.venv/bin/)?(pushbridge .*)$", re.MULTILINE)
_CODE = re.compile(r"`(pushbridge\s[^`]+)`", re.DOTALL)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s:#]+)(?:#[^)]*)?\)")


def commands(text: str) -> Iterator[str]:
    """Every call of `pushbridge` that a page shows, whole lines and those in a sentence."""
    blocks = "".join(body for language, body in _FENCED.findall(text) if language in ("sh", "bash", ""))
    for line in blocks.replace("\\\n", " ").splitlines():
        yield from re.findall(r"(?:^|\$\(|[|;&] *)(pushbridge [^|;&)>]*)", line.strip())
    prose = _FENCED.sub("", text)
    yield from _INDENTED.findall(prose)
    yield from (" ".join(found.split()) for found in _CODE.findall(prose))


def unknown_in(command: str) -> str:
    """The first word that the command line does not know, or nothing."""
    words = shlex.split(command.split("  #")[0].replace("…", "..."), comments=True)[1:]
    current: Any = typer.main.get_command(app)
    while hasattr(current, "commands") and words and not words[0].startswith("-"):
        name = words.pop(0)
        if name not in current.commands:
            return "" if name in ("...", "|", ">") else name
        current = current.commands[name]
    options = {spelling for parameter in current.params for spelling in (*parameter.opts, *parameter.secondary_opts)}
    given = [word.split("=")[0] for word in words if word.startswith("--") and word != "--"]
    return next((option for option in given if option not in options | {"--help"}), "")


@pytest.mark.parametrize("document", DOCUMENTS, ids=NAMES)
def test_every_command_that_a_page_shows_is_one(document: Path) -> None:
    shown = list(commands(document.read_text(encoding="utf-8")))
    assert [(command, unknown) for command in shown if (unknown := unknown_in(command))] == []


def test_commands_are_found_where_pages_have_them() -> None:
    text = (
        "    pushbridge top  # live\n\n`pushbridge\nnope --x` and\n\n"
        "```bash\nA=$(pushbridge token --wrong) && pushbridge run a.yaml > x\n```\n"
    )
    assert list(commands(text)) == [
        "pushbridge token --wrong",
        "pushbridge run a.yaml ",
        "pushbridge top  # live",
        "pushbridge nope --x",
    ]
    assert [unknown_in(command) for command in commands(text)] == ["--wrong", "", "", "nope"]


@pytest.mark.parametrize("document", DOCUMENTS, ids=NAMES)
def test_the_files_that_a_page_links_are_there(document: Path) -> None:
    text = re.sub(r"`[^`\n]*`", "", _FENCED.sub("", document.read_text(encoding="utf-8")))
    assert [link for link in _LINK.findall(text) if not (document.parent / link).exists()] == []


def test_a_mistake_in_the_readmes_sample_is_told_as_the_readme_says(tmp_path: Path) -> None:
    text = README.read_text(encoding="utf-8")
    sample = text.partition("cat > hr.yaml <<'END'\n")[2].partition("END\n")[0]
    (tmp_path / "hr.yaml").write_text(sample.replace("with:", "wiht:"))
    _, problems = check(tmp_path / "hr.yaml", environ={})
    told = [str(problem).removeprefix(f"{tmp_path}/") for problem in problems]
    assert any(f"    {line}\n" in text for line in told), told


def test_the_page_of_the_admin_api_is_current() -> None:
    text = (ROOT / "docs" / "admin-api.md").read_text(encoding="utf-8")
    assert text == admin_api_page(), "make reference"


def test_the_readme_has_every_endpoint_of_the_hub_api() -> None:
    served = {
        (method, re.sub(r"{(\w+)(:path)?}", lambda name: name[1].upper(), route.path))
        for route in hub_api_routes(FakeHubService(), Gate({}, policies=(), hosts=(), clock=utc_now))
        for method in (route.methods or set()) - {"HEAD"}
    }
    section = README.read_text(encoding="utf-8").partition("## Every endpoint\n")[2].partition("\n## ")[0]
    told = set()
    for cell in re.findall(r"^\|[^|]*\|([^|]*)\|", section, re.MULTILINE):
        methods: list[str] = []
        for code in re.findall(r"`([^`]*)`", cell):
            *named, path = code.split()
            if not path.startswith("/"):
                methods.append(path)
                continue
            told |= {(method, path) for method in [*methods, *named]}
            methods = []
    assert {each for each in told if each[1].startswith("/HUB/")} == served - {
        ("GET", "/HUB/feedback")
    }  # what the container leads to


def test_the_readme_has_every_page_of_the_console() -> None:
    section = README.read_text(encoding="utf-8").partition("## Every endpoint\n")[2].partition("\n## ")[0]
    assert [page.paths[0] for page in CONSOLE if f"`{page.paths[0]}`" not in section] == []


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    """With `strict`, any warning ends the build: a link or anchor that leads nowhere, a page that no menu has."""
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--config-file", "deploy/docs/mkdocs.yml"]
    ran = subprocess.run(
        [*command, "--site-dir", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=110, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert (tmp_path / "index.html").stat().st_size > 1000
    scripts = [
        f"{page.name}: {found}"
        for page in tmp_path.rglob("*.html")
        for found in re.findall(
            r"<(?:script|link|img)[^>]*(?:src|href)=\"(?:https?:)?//[^\"]*", page.read_text(encoding="utf-8")
        )
    ]
    assert scripts == []


PLACES: Mapping[frozenset[str], Callable[[Any], dict[str, Any]]] = {
    frozenset({"decode"}): lambda part: {"sources": {"s": {"http": {"path": "/in"}, **part}}},
    frozenset({"auth"}): lambda part: {"sources": {"s": {"http": {"path": "/in", **part}}}},
    frozenset({"push"}): lambda part: {"rules": [{"name": "r", **part}]},
    **{frozenset({name}): lambda part: {"hubs": {"h": {"platforms": part}}} for name in ("apns", "wns", "webpush")},
}
"""Where a snippet that is a part of a configuration stands in it, by its keys."""


def snippets() -> Iterator[Any]:
    """Each snippet of YAML on a page of the docs, of a configuration or of tests of rules."""
    for document in DOCUMENTS:
        if document.is_relative_to(ROOT / "docs") or document == README:
            for number, (language, body) in enumerate(_FENCED.findall(document.read_text(encoding="utf-8"))):
                if language == "yaml":
                    yield pytest.param(body, id=f"{document.relative_to(ROOT)}-{number}")


@pytest.mark.parametrize("body", list(snippets()))
def test_a_snippet_of_a_page_is_of_the_configuration(body: str) -> None:
    snippet = yaml.safe_load(body)
    if snippet.keys() == {"steps", "devices"}:
        schema, snippet = schema_of_tests(), {"tests": [{"name": "shown", **snippet}]}
    else:
        schema, snippet = json_schema(), PLACES.get(frozenset(snippet), dict)(snippet)
    found = [f"{error.json_path}: {error.message}" for error in Draft202012Validator(schema).iter_errors(snippet)]
    assert found == []
