"""System checks (no I/O), and the tests of check_storages, which uses each storage."""
