"""Texts held here, by name and language, for phones that registered no template; read `texts.py` first."""
