"""`python -m tests.pigeon ARGUMENTS`: the command line of pushbridge with one more push service."""

from hub.platforms.table import register
from tests.pigeon.traits import PigeonTraits

register(PigeonTraits())

if __name__ == "__main__":
    from bridge.cli.main import main

    main()
