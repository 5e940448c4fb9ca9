"""`python -m tools.expanded_template`: write the CloudFormation template that AWS would deploy.

Linters read this one, not template.yaml: what SAM adds (roles, permissions, routes) and what only
shows after expansion is hidden from them there.
"""

import json

from local import template as sam
from local.template import ROOT, Template

TARGET = ROOT / ".build/template.json"
# Any values will do; what the linters judge doesn't depend on them.
PARAMETERS = {
    "DatabaseSecretArn": "arn:aws:secretsmanager:af-south-1:111122223333:secret:database-a1b2c3",
    "SigningKeySecretArn": "arn:aws:secretsmanager:af-south-1:111122223333:secret:key-a1b2c3",
    "PublicKeysParameter": "/fieldgate/staging/jwks",
    "TokenIssuer": "https://api.example.org",
    "ReleaseId": "0123456789",
}


def expanded() -> Template:
    """Return the expanded template, as staging would get it."""
    source = sam.read_template()
    keys = {name: f"{name}.zip" for name, _ in sam.resources(source, sam.LAYER)}
    packaged = sam.with_artifacts(source, {"functions": "functions.zip", **keys})
    return sam.expand(packaged, sam.read_parameters("staging") | PARAMETERS)


if __name__ == "__main__":
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(json.dumps(expanded(), indent=1))
