"""Stock: lots with expiry, losses that two people decide, and warnings before lots expire."""
