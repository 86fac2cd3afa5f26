"""sweep_files and refresh_files: rows compared with the listings of storages."""
