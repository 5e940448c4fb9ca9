"""`python -m tools.signing_keys`: make a key pair for access tokens.

The private key goes to a secret, the set of public keys to an SSM parameter; docs/operations.md
says how, and how to rotate them.
"""

import os
from pathlib import Path

from fieldgate.tokens import new_signing_key
from local.template import ROOT


def write_keys(folder: Path) -> tuple[Path, Path]:
    """Write `signing-key.json` (for its owner's eyes only) and `jwks.json`; returns their paths."""
    folder.mkdir(exist_ok=True)
    private, public = folder / "signing-key.json", folder / "jwks.json"
    signing_key, public_key = new_signing_key()
    with os.fdopen(os.open(private, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(signing_key)
    public.write_text(f'{{"keys": [{public_key}]}}\n')
    return private, public


if __name__ == "__main__":
    for path in write_keys(ROOT / ".build"):
        print(path.relative_to(ROOT))
