"""Platforms of the wire contract that have no sender: their phones are registered, listed and found.

A send to such a phone ends as one to a platform for which the hub has no credential.
"""

from collections.abc import Sequence

from hub.notification import Platform
from hub.platforms.traits import Description, Traits


class NokiaTraits(Traits):
    """Nokia X, which very old builds of apps register."""

    name, title, platform = "nokiax", "Nokia X", Platform("nokiax")
    wire_format = "nokiax"
    descriptions = (Description("NokiaX", ("NokiaXRegistrationId",)),)


KEPT: Sequence[Traits] = (NokiaTraits(),)
