"""Baidu Cloud Push, which is deprecated."""
