"""The closed table of outcomes, stages and reasons: one sentence for each name, and a page that is current."""

import re
from pathlib import Path

import pytest

from bridge.observe.facts import SENDER_OUTCOMES, EventOutcome
from bridge.observe.intake_metrics import INGEST
from bridge.observe.outcomes import SECTIONS, Section, page
from hub.explained import Explained
from hub.outcome import DELIVERY_LABELS, OutcomeName

PAGE = Path(__file__).parents[2] / "docs" / "outcomes.md"


def test_the_page_of_outcomes_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "python -m bridge.observe.outcomes > docs/outcomes.md"


def test_every_closed_set_with_sentences_is_on_the_page() -> None:
    assert {section.names for section in SECTIONS} == set(Explained.__subclasses__())


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.title)
def test_each_name_has_a_sentence_of_its_own_that_says_more_than_the_name(section: Section) -> None:
    meanings = [name.meaning for name in section.names]
    assert len(set(meanings)) == len(meanings)
    for name in section.names:
        words = set(re.findall("[a-z]+", name.meaning.lower()))
        assert len(words - set(name.name.lower().split("_"))) >= 3, name


def test_every_outcome_of_a_push_has_a_metric_label() -> None:
    assert set(DELIVERY_LABELS) == set(OutcomeName)


def test_every_outcome_of_an_event_has_a_metric_label_and_a_word_for_its_sender() -> None:
    for spelling in (INGEST, SENDER_OUTCOMES):
        assert set(spelling) == set(EventOutcome)
        assert len(set(spelling.values())) == len(spelling)
