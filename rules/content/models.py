"""`content` as pydantic models: each key once, with its type and a sentence on it."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import ConfigDict, Field

from rules.models import Form, Keys, Template

CONTENT_NAME = r"[\w.:-]{1,120}"
LOCALE = "[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,4}"

ContentName = Annotated[str, Field(pattern=f"^{CONTENT_NAME}$")]
Locale = Annotated[str, Form("language tag"), Field(pattern=f"^{LOCALE}$")]
"""A language tag such as de or de-CH, by BCP 47."""


class Wording(Keys):
    """What is shown in one language; placeholders name the properties of `push.with`."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    title: Template | None = None
    """The first line, up to 200 characters."""
    subtitle: Template | None = None
    """A second line, which iPhones show; other phones show it as the first line of the body."""
    body: Template
    """What is said; it is cut where the payload of a push service would grow too large."""


class Options(Keys):
    """What goes with the texts, the same in each language."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    category: Template | None = None
    """The buttons that the app defined under this name."""
    deep_link: Template | None = None
    """Where a tap leads; the scheme is written out, and values stand behind it."""
    sound: Template | None = None
    """A sound of the app by its name, or none; without it the phone's usual one."""
    image: Template | None = None
    """An https address of an image that is shown with the texts."""
    channel: Template | None = None
    """The notification channel of Android that the app made."""
    data: Mapping[Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,39}$")], Template] | None = None
    """Values for the app itself, which no one sees."""


class Content(Keys):
    """Texts in several languages, which a push names."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    locales: Annotated[Mapping[Locale, Wording], Field(min_length=1)]
    """The texts by language: de-CH is looked for first, then de, then the fallback."""
    fallback: Locale | None = None
    """The language for phones whose own is not there; where there is one language, that one."""
    options: Options | None = None
    """What goes with the texts, the same in each language."""
