"""Tests of what the benchmarks compare and count; the figures themselves are no tests."""
