"""fsspec's caches (filecache, simplecache, blockcache) in front of another filesystem."""
