"""What can be configured, section by section: read `document` first; each other file has one section.

Times are in seconds, sizes in bytes, whatever unit the file uses. Secrets are never shown.
"""
