"""Bodies and errors as the wire contract writes them."""
