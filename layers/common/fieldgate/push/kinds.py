"""What a notification may be about. The kind is also the channel on Android, which apps make.

An app that has no such channel shows nothing, so there is a list, and it is short.
"""

from typing import Literal, get_args

type Kind = Literal["general", "stock_loss_approval", "stock_loss_decision", "stock_expiry"]

GENERAL: Kind = "general"
KINDS: tuple[Kind, ...] = get_args(Kind.__value__)
