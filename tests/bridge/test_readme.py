"""What the README shows of configurations holds."""

from pathlib import Path

from bridge.config.load import check

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
SAMPLE = README.partition("```yaml\n")[2].partition("```")[0].replace("${file:/run/secrets/rabbit}", "amqp://rabbit/")


def test_the_sample_is_a_whole_configuration(tmp_path: Path) -> None:
    (tmp_path / "acme.yaml").write_text(SAMPLE)
    settings, problems = check(tmp_path / "acme.yaml", environ={})
    assert settings is not None, problems
    assert [rule.name for rule in settings.rules.rules] == ["employee-news"]


def test_a_mistake_in_it_is_told_as_the_readme_says(tmp_path: Path) -> None:
    (tmp_path / "acme.yaml").write_text(SAMPLE.replace("with:", "wiht:"))
    _, problems = check(tmp_path / "acme.yaml", environ={})
    told = [str(problem).removeprefix(f"{tmp_path}/") for problem in problems]
    assert any(f"    {line}\n" in README for line in told), told
