"""Moving live files between backends: plan, copy, verify, commit, report."""
