"""Xiaomi Mi Push."""
