"""Patterns of a rule's `match`, and the index over them: read `patterns` first."""
