"""Direct uploads: the browser sends bytes past the form, which then submits a signed receipt.

A *ticket* in the page says what may be uploaded, to where and by whom. `start()` answers it with
a place to send the bytes to and an *upload* token; `finish()` looks at what arrived and gives a
*receipt*, of which a form field makes a ``FileObject``.
"""

from .finish import finish, status
from .identity import current_uploader
from .redeem import redeemed
from .start import start
from .tokens import Choice, Destination, Refused, ticket

__all__ = [
    "Choice",
    "Destination",
    "Refused",
    "current_uploader",
    "finish",
    "redeemed",
    "start",
    "status",
    "ticket",
]
