"""Direct uploads: the browser uploads to the storage, bypassing Django; the form gets a receipt.

A *ticket* in the page says what may be uploaded, where to, and by whom. `start()` takes it and
returns signed URLs and an *upload* token. `finish()` checks what arrived and returns a *receipt*,
for which a form field gets a ``FileObject``.
"""

from .abort import abort
from .finish import finish, status
from .identity import current_uploader
from .redeem import check_list, redeemed
from .refusals import UploadRefused
from .scans import scanned
from .start import start
from .tokens import Choice, Destination, ticket

__all__ = [
    "Choice",
    "Destination",
    "UploadRefused",
    "abort",
    "check_list",
    "current_uploader",
    "finish",
    "redeemed",
    "scanned",
    "start",
    "status",
    "ticket",
]
