"""What is counted of the store: its transactions, its files, the dead letters that it keeps, and who was erased."""

from bridge.observe.metric_set import MetricSet, values_of
from bridge.observe.telemetry import Takes
from hub.books import Balance, Discrepancy
from hub.facts import BooksChecked, PersonErased, StoreFailed
from hub.store.contracts.dead_letters import LetterUsage
from hub.store.contracts.journal import JournalUsage
from hub.store.contracts.people import Kept
from hub.store.health import OPERATIONS
from hub.store.sqlite.volume import StoreSpace

SQLITE, POSTGRES = "sqlite", "postgres"
_STORE_OPERATIONS = sorted({*OPERATIONS.values()})
_DISK_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
_FILES = ("database", "log")


class StoreMetrics:
    """By operation; times come from the store's threads, the rest is set before a scrape.

    Of PostgreSQL's files and of its log nothing is known here.
    """

    def __init__(self, metrics: MetricSet, *, engine: str) -> None:
        counter, gauge, histogram = metrics.counter, metrics.gauge, metrics.histogram
        self._engine = engine
        engines, files = (engine,), (engine,) if engine == SQLITE else ()
        self._errors = counter(
            "store_errors", "Operations the store could not do.", engine=engines, op=_STORE_OPERATIONS
        )
        self._seconds = {
            "write": histogram(
                "store_transaction_seconds", "Time of a transaction.", _DISK_SECONDS, engine=engines, op=("write",)
            ),
            "commit": histogram(
                "store_commit_seconds",
                "Time until the disk has what a transaction wrote.",
                _DISK_SECONDS,
                engine=engines,
            ),
            "checkpoint": histogram(
                "store_checkpoint_seconds", "Time to move the log into the database.", _DISK_SECONDS, engine=files
            ),
        }
        self._labels = {"write": (engine, "write"), "commit": (engine,), "checkpoint": (engine,)}
        self._file = gauge("store_file_bytes", "Size of the store's files.", engine=files, file=_FILES)
        self._free = gauge("store_free_bytes", "Free space on the file system of the store.", engine=files)
        self._letters = gauge("dead_letter_store_messages", "Dead letters that are kept.")
        self._letters_capacity = gauge("dead_letter_store_capacity_messages", "How many dead letters are kept at most.")
        self._letter_bytes = gauge("dead_letter_store_bytes", "Bytes of the dead letters that are kept.")
        self._letter_bytes_capacity = gauge(
            "dead_letter_store_capacity_bytes", "Bytes of dead letters that are kept at most."
        )
        self._journal_messages = gauge(
            "journal_messages", "Events that the journal keeps, as of the last five minutes."
        )
        self._journal_bytes = gauge("journal_bytes", "Bytes of the events that the journal keeps.")
        self._journal_capacity = gauge("journal_capacity_bytes", "Bytes that the journal keeps at most.")
        self._unaccounted = gauge(
            "unaccounted_messages",
            "Notifications and pages of the store that its other rows do not explain, found for some minutes. The process"
            " that looks for all counts them, the others have 0.",
            kind=values_of(Discrepancy),
        )
        self._accounted = gauge(
            "accounted_messages",
            "Notifications at the end of the last look through all: what was accepted is the sum.",
            state=("ended", "in_flight", "unaccounted"),
        )
        self._checked_at = gauge(
            "books_checked_timestamp_seconds",
            "When the last look through all rows came to its end, 0 before the first.",
        )
        self._people_erased = counter("people_erased", "Persons of whom all that was kept was erased.")
        self._rows_erased = counter("people_erased_rows", "What was erased of persons.", kind=values_of(Kept))
        self.takes: Takes = {
            StoreFailed: self._failed,
            PersonErased: self._person_erased,
            BooksChecked: self._books_checked,
        }

    def observe(self, operation: str, seconds: float) -> None:
        """Called from the store's threads."""
        self._seconds[operation].observe(self._labels[operation], seconds)

    def set_space(self, space: StoreSpace) -> None:
        """Before a scrape."""
        self._file.labels(self._engine, "database").set(space.database)
        self._file.labels(self._engine, "log").set(space.log)
        self._free.labels(self._engine).set(space.free)

    def set_letters(self, kept: LetterUsage, *, max_letters: int, max_bytes: int) -> None:
        """Before a scrape."""
        self._letters.set(kept.letters)
        self._letters_capacity.set(max_letters)
        self._letter_bytes.set(kept.bytes)
        self._letter_bytes_capacity.set(max_bytes)

    def set_journal(self, kept: JournalUsage, *, max_bytes: int) -> None:
        """Before a scrape."""
        self._journal_messages.set(kept.events)
        self._journal_bytes.set(kept.bytes)
        self._journal_capacity.set(max_bytes)

    def _person_erased(self, fact: PersonErased) -> None:
        self._people_erased.inc()
        for kind, count in fact.rows.items():
            self._rows_erased.labels(kind).inc(count)

    def _books_checked(self, fact: BooksChecked) -> None:
        for kind in Discrepancy:
            self._unaccounted.labels(kind.value).set(fact.counts.get(kind, 0))
        if not fact.is_ours or fact.balance is not None:
            balance = fact.balance or Balance(accepted=0, ended=0, in_flight=0, unaccounted=0)
            self._accounted.labels("ended").set(balance.ended)
            self._accounted.labels("in_flight").set(balance.in_flight)
            self._accounted.labels("unaccounted").set(balance.unaccounted)
        if fact.balance is not None:
            self._checked_at.set_to_current_time()

    def _failed(self, fact: StoreFailed) -> None:
        self._errors.labels(self._engine, fact.operation).inc()
