"""Quotas of push services; `hub.store.decide.quota` decides."""
