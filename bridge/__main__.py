"""`python -m bridge` is `pushbridge`."""

from bridge.cli import main

main()
