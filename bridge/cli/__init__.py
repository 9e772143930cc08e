"""The command line: read `main` first; each command has a file."""
