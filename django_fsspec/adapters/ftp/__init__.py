"""FTP and FTPS, through fsspec's own filesystem (ftplib)."""
