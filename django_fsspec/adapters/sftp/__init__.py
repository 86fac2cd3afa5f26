"""SFTP, through sshfs (asyncssh) or fsspec's own filesystem (paramiko)."""
