"""Who a notification reaches, found by brute force. It knows the wire contract's words and nothing of the hub's code."""
