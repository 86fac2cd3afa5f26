"""Filters of the demo."""
