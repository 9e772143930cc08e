"""Others that do a part of what the daemon does, built where Go, pip or Maven fetch them; read `measure.py` first.

What each guarantees stands in `docs/performance.md`: they do less, so a ratio is about cost and not about worth.
"""
