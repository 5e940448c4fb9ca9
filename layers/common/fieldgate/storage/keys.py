"""What may be a key of an object."""

MAX_KEY_BYTES = 1024


def checked(key: str) -> str:
    """Return the key if it may be one."""
    check_key(key)
    return key


def check_key(key: str) -> None:
    """Refuse keys that HTTP clients and proxies on the way would change, breaking the signature."""
    well_formed = 0 < len(key.encode()) <= MAX_KEY_BYTES and key.isprintable()
    if not well_formed or {"", ".", ".."} & set(key.split("/")):
        raise ValueError(f"not a storage key: {key!r}")
