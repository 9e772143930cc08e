"""What the console's playground runs in processes of their own: read `attempt.py` first.

`python -m bridge.trial.playground read PATH...` prints a configuration without its secrets, and `... try` tries an event
on a draft of its rules, confined by `confinement.py`. `bridge/admin/playground` starts both.
"""
