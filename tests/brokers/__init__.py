"""Real brokers on loopback, started for the tests and ended by them; read `rabbitmq.py` first."""
