"""Ratios against peers, and wire requests counted."""
