"""Local stand-ins as strict as the real services: push services and virtual phones."""
