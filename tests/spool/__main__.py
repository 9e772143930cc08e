"""`python -m tests.spool` is `pushbridge` with one more connector, which one registration makes known."""

from connectors import table
from tests.spool.entry import SPOOL

table.CONNECTORS = {**table.CONNECTORS, SPOOL.key: SPOOL}

from bridge.cli.main import main  # noqa: E402 - what reads the table comes after the registration

main()
