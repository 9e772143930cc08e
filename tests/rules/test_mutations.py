"""The tests of the rules of `examples.yaml` notice nearly every change in them."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from bridge.config.load import check
from bridge.config.models.document import Settings
from bridge.trial.suite.load import LoadedFile, LoadedTest, load_tests
from bridge.trial.suite.run import SuiteRunner
from bridge.trial.suite.stores import SuiteStores
from rules.problems import Problems
from tests.rules.mutations import mutants

EXAMPLES = Path(__file__).parent.parent.parent / "examples.yaml"
TESTS = Path(__file__).parent / "examples.test.yaml"
KILLED = 0.9


@pytest.mark.slow
async def test_mutants_of_the_rules_of_the_examples_are_killed_by_their_tests(tmp_path: Path) -> None:
    configuration = yaml.safe_load(EXAMPLES.read_text(encoding="utf-8"))
    survivors: list[str] = []
    count = 0
    killers: list[str] = []
    with SuiteStores() as stores:
        for what, mutant in mutants(configuration):
            settings = _read(mutant, tmp_path / "mutant.yaml")
            if settings is None:
                continue  # what `check` refuses comes to no daemon
            count += 1
            loaded = load_tests(TESTS, (), lambda _, read=settings: read, Problems())  # type: ignore[misc]
            assert loaded is not None
            killer = await _killer(loaded, SuiteRunner(settings, stores), killers)
            if killer is None:
                survivors.append(what)
            elif killer.test.name not in killers[:1]:
                killers.insert(0, killer.test.name)
    assert count > 60
    assert len(survivors) <= (1 - KILLED) * count, survivors


async def _killer(loaded: LoadedFile, runner: SuiteRunner, killers: Sequence[str]) -> LoadedTest | None:
    """The first test that fails; those that killed lately come first, as neighbours are killed alike."""
    order = [*killers, *(test.test.name for test in loaded.tests)]
    for test in sorted(loaded.tests, key=lambda test: order.index(test.test.name)):
        if (await runner.run(loaded, test)).failed is not None:
            return test
    return None


def _read(mutant: object, file: Path) -> Settings | None:
    file.write_text(yaml.safe_dump(mutant, allow_unicode=True), encoding="utf-8")
    return check(file, environ={})[0]
