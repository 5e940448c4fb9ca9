"""Files on their way from a phone to storage, and what becomes of them."""
