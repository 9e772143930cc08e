"""What every store promises, tested once: subclass `StoreBehaviour` of `behaviour.py` and give it a fixture `stores`."""
