"""Microsoft Push Notification Service for Windows Phone 7 and 8, which is retired."""
