"""Installations and the registrations derived from them."""
