"""The configuration: read `load` first; `models` has every key, a file a section, `reload` exchanges what is in force."""
