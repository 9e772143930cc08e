"""All that stores promise; subclass it and give it a fixture `stores`."""

from tests.hub.store.suite.accepting import Accepting
from tests.hub.store.suite.accounting import Accounting
from tests.hub.store.suite.browsing import Browsing
from tests.hub.store.suite.clearing import Clearing
from tests.hub.store.suite.costing import Costing
from tests.hub.store.suite.devices import Devices
from tests.hub.store.suite.finding import Finding
from tests.hub.store.suite.flow_control import FlowControl
from tests.hub.store.suite.follow_ups import FollowUps
from tests.hub.store.suite.holding import Holding
from tests.hub.store.suite.jobs import Jobs
from tests.hub.store.suite.journal import Journal
from tests.hub.store.suite.keeping import Keeping
from tests.hub.store.suite.letters import Letters
from tests.hub.store.suite.mirrors import Mirrors
from tests.hub.store.suite.people import People
from tests.hub.store.suite.phone_reports import PhoneReports
from tests.hub.store.suite.phones import Phones
from tests.hub.store.suite.quieting import Quieting
from tests.hub.store.suite.quotas import Quotas
from tests.hub.store.suite.received import Received
from tests.hub.store.suite.recording import Recording
from tests.hub.store.suite.registering import Registering
from tests.hub.store.suite.registrations import Registrations
from tests.hub.store.suite.silencing import Silencing
from tests.hub.store.suite.sinks import Sinks
from tests.hub.store.suite.taking import Taking
from tests.hub.store.suite.tallying import Tallying
from tests.hub.store.suite.texts import Texts
from tests.hub.store.suite.tracing import Tracing


class StoreBehaviour(
    Accepting,
    FlowControl,
    Taking,
    Recording,
    Keeping,
    Clearing,
    Browsing,
    Letters,
    Journal,
    Costing,
    Registering,
    Registrations,
    Finding,
    Devices,
    People,
    Phones,
    PhoneReports,
    Tracing,
    Tallying,
    Received,
    Jobs,
    Mirrors,
    Sinks,
    FollowUps,
    Holding,
    Quieting,
    Silencing,
    Accounting,
    Texts,
    Quotas,
):
    """The contracts of `hub.store.contracts`, as far as all stores share them."""
