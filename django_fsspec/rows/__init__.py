"""References from rows to files, and what a transaction does to these files."""
