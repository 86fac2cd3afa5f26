"""Tests of django_fsspec.adapters.cache."""
