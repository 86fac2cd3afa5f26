"""A database backend for tests: see base.py."""
