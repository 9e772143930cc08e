"""What every store promises, tested once: subclass `StoreBehaviour` and give it a fixture `stores`."""

from tests.hub.store.accepting import Accepting
from tests.hub.store.browsing import Browsing
from tests.hub.store.finding import Finding
from tests.hub.store.keeping import Keeping
from tests.hub.store.leasing import Leasing
from tests.hub.store.recording import Recording
from tests.hub.store.registering import Registering


class StoreBehaviour(Accepting, Leasing, Recording, Registering, Finding, Keeping, Browsing):
    """The contract of `hub.store.base.Store`, as far as all stores share it."""
