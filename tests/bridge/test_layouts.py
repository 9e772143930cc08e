"""The layout that docs/layouts.md shows is a configuration in each of its environments."""

from pathlib import Path
from shutil import copytree

import pytest
from typer.testing import CliRunner

from bridge.cli.main import app
from bridge.config.load import check

LAYOUT = Path(__file__).parents[2] / "docs" / "layouts"
PAGE = LAYOUT.with_suffix(".md").read_text(encoding="utf-8")
ENVIRONMENTS = sorted(file.stem for file in (LAYOUT / "env").iterdir())


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_every_environment_is_valid_where_no_secret_is(name: str) -> None:
    paths = [str(LAYOUT / "rules"), str(LAYOUT / "env" / f"{name}.yaml")]
    result = CliRunner().invoke(app, ["check", "--strict", "--no-secrets", *paths])
    assert result.exit_code == 0, result.output


def test_the_rules_of_all_files_run_in_the_environment(tmp_path: Path) -> None:
    environ = {"RABBITMQ_URL": "amqp://broker.dev/", "CORE_BANKING_TOKEN": "canary"}
    settings, problems = check([LAYOUT / "rules", LAYOUT / "env" / "dev.yaml"], environ)
    assert settings is not None, problems
    assert [rule.name for rule in settings.rules.rules] == ["employee-news", "debit"]
    assert (settings.bridge.name, settings.bridge.log.level, set(settings.hubs)) == ("acme-dev", "debug", {"acme"})


def test_its_tests_pass_and_cover_every_rule() -> None:
    result = CliRunner().invoke(app, ["test", str(LAYOUT), "--fail-under", "100"])
    assert result.exit_code == 0, result.output


def test_what_an_environment_says_again_is_a_mistake_that_names_both_places(tmp_path: Path) -> None:
    layout = copytree(LAYOUT, tmp_path / "layout")
    (layout / "rules" / "hubs.yaml").write_text("\n\nhubs:\n  acme: {}\n")
    _, problems = check([layout / "rules", layout / "env" / "prod.yaml"], {}, no_secrets=True)
    (twice,) = [str(problem).replace(f"{layout}/", "") for problem in problems if "duplicate" in problem.message]
    assert twice.partition(":")[2].partition(":")[2] in PAGE
    assert twice.startswith("env/prod.yaml:")
    assert "first at rules/hubs.yaml:4" in twice


def test_the_page_names_every_file() -> None:
    files = [file.relative_to(LAYOUT) for file in LAYOUT.rglob("*.yaml")]
    assert all(file.name in PAGE for file in files)
