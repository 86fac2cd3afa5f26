"""WebDAV, through webdav4 (httpx)."""
