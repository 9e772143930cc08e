"""The recipes of docs/cookbook are configurations whose tests pass."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bridge.cli.main import app

COOKBOOK = Path(__file__).parents[2] / "docs" / "cookbook"
RECIPES = sorted(path for path in COOKBOOK.iterdir() if path.is_dir())
PAGES = sorted(COOKBOOK.glob("*.md"))


@pytest.mark.parametrize("recipe", RECIPES, ids=[recipe.name for recipe in RECIPES])
def test_a_recipe_is_valid_where_no_secret_is(recipe: Path) -> None:
    result = CliRunner().invoke(app, ["check", "--strict", "--no-secrets", str(recipe / "bridge.yaml")])
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("recipe", RECIPES, ids=[recipe.name for recipe in RECIPES])
def test_the_tests_of_a_recipe_pass_and_cover_every_rule(recipe: Path) -> None:
    result = CliRunner().invoke(app, ["test", str(recipe), "--fail-under", "100"])
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_the_files_that_a_page_names_are_there(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8"))
    assert links
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_each_recipe_has_a_page() -> None:
    pages = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert [recipe.name for recipe in RECIPES if f"]({recipe.name}/bridge.yaml)" not in pages] == []
