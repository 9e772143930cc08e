"""`python -m tests.pairs` is `pushbridge` with one more format of bodies and one more command."""

from bridge.decode.readers import register

register("pairs", "tests.pairs.reader")

if __name__ == "__main__":
    from bridge.cli.main import add, main

    add("how-many", package="tests.pairs")
    main()
