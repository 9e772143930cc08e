"""Push services, a folder each: read `base` first."""
