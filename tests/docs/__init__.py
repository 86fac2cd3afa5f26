"""Tests of the guides: pages of backends and recipes of the cookbook, on real servers."""
