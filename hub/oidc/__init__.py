"""Bearer tokens of an OpenID Connect provider: read `tokens.py` first."""
