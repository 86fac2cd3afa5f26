"""A project whose types test_types.py has mypy and pyright tell. Nothing of it is run."""
