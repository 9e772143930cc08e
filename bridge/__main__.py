"""`python -m bridge` is `pushbridge`."""

from bridge.cli.main import main

main()
