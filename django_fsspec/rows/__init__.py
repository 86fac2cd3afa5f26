"""Which files rows reference, and what a transaction does to these files."""
