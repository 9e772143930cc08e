"""Tests of rules in YAML: read `run.py` first.

`models.py` says what a test file holds, `load.py` reads one, `run.py` runs its tests on the daemon's own code, and
`following.py` has phones that open nothing. `compare.py` says how what was seen differs from what was expected, and
`coverage.py` what no test has tried.
"""
