"""Runs one part of the playground; see the package."""

import os
import sys

from bridge.trial.playground.confinement import TOO_MUCH, stand_back


def main(arguments: list[str]) -> None:
    stand_back()
    match arguments:
        case ["try"]:
            from bridge.trial.playground.attempt import serve

            serve(sys.stdin.buffer, sys.stdout.buffer)
        case ["read", *paths] if paths:
            from pathlib import Path

            from bridge.trial.playground.configuration import printed

            sys.stdout.buffer.write(printed([Path(path) for path in paths]))
        case _:
            sys.exit("usage: python -m bridge.trial.playground try | read PATH...")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (MemoryError, RecursionError):
        os._exit(TOO_MUCH)  # without a word: to print a traceback may need more
