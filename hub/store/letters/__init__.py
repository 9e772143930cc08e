"""Dead letters: what could not become a notification."""
