"""`check` names every mistake of a configuration at once; the complaints expected are the golden files in configs/."""

from pathlib import Path

import pytest

from bridge.config.load import check
from bridge.config.watch import fingerprint
from rules.problems import Severity

CONFIGS = Path(__file__).parent / "configs"


@pytest.mark.parametrize(
    "name",
    [
        "everything-wrong",
        "warnings",
        "clashes",
        "values",
        "kinds",
        "credentials",
        "remote",
        "mirror",
        "old-spellings",
        "bodies",
        "sensitive",
    ],
)
def test_every_mistake_is_named_with_its_place_its_key_and_what_was_meant(name: str) -> None:
    settings, problems = check(CONFIGS / f"{name}.yaml", environ={})
    found = "".join(f"{problem}\n" for problem in problems).replace(f"{CONFIGS}/", "")
    assert found == (CONFIGS / f"{name}.problems").read_text(encoding="utf-8")
    assert (settings is None) == any(problem.severity is Severity.ERROR for problem in problems)
    assert "canary" not in found


@pytest.mark.parametrize("text", ["rules: []", "{}", "bridge:\nsources:\nrules:\n"])
def test_what_is_not_said_has_a_default(text: str, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(text)
    settings, problems = check(tmp_path / "c.yaml", environ={})
    assert problems == []
    assert settings is not None
    assert settings.store_path == tmp_path / "pushbridge.db"
    assert settings.listeners.admin.address == ("127.0.0.1", 8080)
    assert settings.listeners.hub_api.address == ("127.0.0.1", 8443)


def test_a_hub_that_says_nothing_is_a_hub(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("hubs:\n  app:\nrules: [ { name: r, push: { to: x, with: { a: b } } } ]")
    settings, problems = check(tmp_path / "c.yaml", environ={})
    assert problems == []
    assert settings is not None
    assert list(settings.hubs) == ["app"]


def test_a_hub_is_known_in_lower_case_and_rules_name_it_as_its_section_does(tmp_path: Path) -> None:
    rules = "rules: [ { name: r, push: { to: x, with: { a: b }, hub: NAME } } ]"
    (tmp_path / "c.yaml").write_text("hubs: { MyApp: {} }\n" + rules.replace("NAME", "MyApp"))
    settings, problems = check(tmp_path / "c.yaml", environ={})
    assert problems == []
    assert settings is not None
    assert list(settings.hubs) == ["myapp"]
    (rule,) = settings.rules.rules
    assert rule.push is not None
    assert rule.push.hub == "myapp"
    (tmp_path / "c.yaml").write_text("hubs: { MyApp: {} }\n" + rules.replace("NAME", "myapp"))
    _, problems = check(tmp_path / "c.yaml", environ={})
    assert [str(problem).replace(f"{tmp_path}/", "") for problem in problems] == [
        "c.yaml:2:57: rules[0].push.hub: 'myapp' is not one of: MyApp (did you mean MyApp?)"
    ]


def test_a_second_spelling_of_a_hub_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("hubs:\n  app: { default: true }\n  other:\n  App:")
    settings, problems = check(tmp_path / "c.yaml", environ={})
    assert settings is None
    assert [str(problem).replace(f"{tmp_path}/", "") for problem in problems] == [
        "c.yaml:4:3: hubs.App: the same hub as app: names of hubs compare without case"
    ]


def test_a_configuration_that_is_not_there_is_a_complaint(tmp_path: Path) -> None:
    settings, problems = check(tmp_path / "c.yaml", environ={})
    assert settings is None
    assert [str(problem) for problem in problems] == [
        f"{tmp_path}/c.yaml:1:1: cannot be read: No such file or directory"
    ]


def test_a_directory_that_may_not_be_listed_is_a_complaint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(path: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "is_dir", forbidden)
    settings, problems = check(tmp_path, environ={})
    assert settings is None
    assert [str(problem) for problem in problems] == [f"{tmp_path}:1:1: cannot be read: Permission denied"]
    assert len(fingerprint(tmp_path)) == 12


def test_a_directory_is_one_configuration(tmp_path: Path) -> None:
    (tmp_path / "hubs.yaml").write_text("hubs: { app: {} }")
    (tmp_path / "rules-a.yaml").write_text("rules: [ { name: a, push: { to: x, with: { a: b } } } ]")
    (tmp_path / "rules-b.yaml").write_text("rules: [ { name: b, push: { to: x, wiht: { a: b } } } ]")
    _, problems = check(tmp_path, environ={})
    assert [str(problem).replace(f"{tmp_path}/", "") for problem in problems] == [
        "rules-b.yaml:1:21: rules[0].push: there is nothing to say (give with:, content: or native:)",
        "rules-b.yaml:1:36: rules[0].push.wiht: unknown key (did you mean with?)",
    ]


def test_a_mistake_elsewhere_does_not_hide_those_in_rules(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(
        "brigde: {}\nhubs: { a: { tire: 1 } }\nrules: [ { name: r, push: { with: { a: b } } } ]"
    )
    _, problems = check(tmp_path / "c.yaml", environ={})
    assert [problem.key for problem in problems] == ["brigde", "hubs.a.tire", "rules[0].push"]


@pytest.mark.parametrize("to, column", [("$UſerId:{x}", 34), ("a || $İnstallationId:{x}", 39)])
def test_a_service_tag_in_letters_that_only_look_alike_is_named_with_its_place(
    to: str, column: int, tmp_path: Path
) -> None:
    (tmp_path / "c.yaml").write_text(
        f'hubs: {{ app: {{}} }}\nrules: [ {{ name: r, push: {{ to: "{to}", with: {{ a: b }} }} }} ]'
    )
    _, (problem,) = check(tmp_path / "c.yaml", environ={})
    assert f"c.yaml:2:{column}: rules[0].push.to: only $InstallationId" in str(problem)
