"""An event tried on a configuration without a daemon: read `trial.py` first.

A trial runs the daemon's own code, from decoding to the requests of the senders, and stores and sends nothing.
"""
