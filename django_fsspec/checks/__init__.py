"""System checks (no I/O), and check_storages, which tries each storage."""
