"""Why phones read a text held here in another language than their own."""

from hub.explained import Explained


class Fallback(Explained):
    """The label `reason` of a metric. Each meaning is a sentence about the phone that got the push."""

    NO_LOCALE = "no_locale", "It says no language, and neither do its rule and its hub: it reads the fallback."
    NO_TEXT = "no_text", "The content has no text in its language: it reads the fallback."
    NOT_FILLED = "not_filled", "A value does not fit the text of its language: it reads the fallback."
