"""Models of the tests: each a way to hold files."""
