"""Hubs that are kept the same as another one: read `mirrors.py` first. Rows that wait come with the registry's writes."""
