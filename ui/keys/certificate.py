"""What a certificate says of itself. It is read, not verified: the ceremony authority is checked elsewhere."""

from __future__ import annotations

from ui import texts
from ui.texts import tr


def facts(pem: str) -> list[tuple[str, str]]:
    """Names and values for people. Imports a large library: through a background call."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    try:
        found = x509.load_pem_x509_certificate(pem.encode())
    except ValueError:
        return [(tr("Certificate"), tr("It cannot be read; save it and look at it with another tool."))]
    return [
        (tr("Issued to"), found.subject.rfc4514_string()),
        (tr("Issued by"), found.issuer.rfc4514_string()),
        (tr("Valid from"), texts.moment(int(found.not_valid_before_utc.timestamp() * 1000))),
        (tr("Valid until"), texts.moment(int(found.not_valid_after_utc.timestamp() * 1000))),
        (tr("Serial number"), texts.grouped(f"{found.serial_number:x}")),
        (tr("SHA-256"), texts.digest(found.fingerprint(hashes.SHA256()).hex())),
    ]
