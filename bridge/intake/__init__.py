"""From a broker's message to the store: read `pipeline` first."""
