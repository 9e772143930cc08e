"""The configuration: read `load` first; `models` has every key, `reload` exchanges what is in force."""
