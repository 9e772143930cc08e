"""Tests; this file keeps `tests/hub` from shadowing `hub`."""
