"""Real servers for tests, benchmarks, soak runs and the demo.

Nothing here knows pytest, Django or django_fsspec. A client or server library is
imported when it is used, so that this package is quick to import everywhere.
"""

from .azure import Azurite
from .base import MissingServer, Server, ServerFailed, stop_all
from .dropbox import DropboxServer
from .ftp import (
    FTPS,
    AheadFTP,
    BehindFTP,
    DecomposingFTP,
    DeletingFTP,
    FoldingFTP,
    ImplicitFTPS,
    LinkTellingFTP,
    OldFTP,
    PyFTP,
    TwoUsersFTP,
)
from .gcs import FakeGCS
from .github import GitHubServer
from .http import NginxHTTP
from .ports import closed_port
from .proxy import BlackHole, Connections, CountingProxy, Request
from .redis import RedisServer
from .s3 import AheadS3, BehindS3, LocalBucketS3, MotoS3, RcloneS3, S3Server, SeaweedS3
from .site import NginxFront, Site
from .ssh import FoldingSFTP, OpenSSH, RcloneSFTP
from .webdav import FoldingWebDAV, RcloneWebDAV

__all__ = [
    "FTPS",
    "AheadFTP",
    "AheadS3",
    "Azurite",
    "BehindFTP",
    "BehindS3",
    "BlackHole",
    "Connections",
    "CountingProxy",
    "DecomposingFTP",
    "DeletingFTP",
    "DropboxServer",
    "FakeGCS",
    "FoldingFTP",
    "FoldingSFTP",
    "FoldingWebDAV",
    "GitHubServer",
    "ImplicitFTPS",
    "LinkTellingFTP",
    "LocalBucketS3",
    "MissingServer",
    "MotoS3",
    "NginxFront",
    "NginxHTTP",
    "OldFTP",
    "OpenSSH",
    "PyFTP",
    "RcloneS3",
    "RcloneSFTP",
    "RcloneWebDAV",
    "RedisServer",
    "Request",
    "S3Server",
    "SeaweedS3",
    "Server",
    "ServerFailed",
    "Site",
    "TwoUsersFTP",
    "closed_port",
    "stop_all",
]
