"""Web Push: browsers, and apps that UnifiedPush wakes."""
