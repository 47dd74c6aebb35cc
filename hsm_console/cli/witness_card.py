"""A witness whose key lies in a smart card: any PKCS#11 module, an Ed25519 or ML-DSA-44 key that signs heads only."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from hsm_console.audit.checkpoint import cosign
from hsm_console.audit.vkey import ML_DSA_44, TIMED_ED25519, Vkey
from hsm_console.cli.terminal import Secrets, usage
from hsm_console.crypto.pq import spki as post_quantum
from hsm_console.domain.keys import Algorithm, KeyInfo, SignMechanism
from hsm_console.hsm.port import Binding
from hsm_console.hsm.worker import HsmClient

_KINDS = {
    Algorithm.ED25519: (TIMED_ED25519, SignMechanism.ED25519),
    Algorithm.ML_DSA_44: (ML_DSA_44, SignMechanism.ML_DSA),
}


def signer(args: argparse.Namespace, secrets: Secrets) -> tuple[Vkey, Callable[[str, int], str]]:
    """The witness's key, and what signs a head with it. The card is given back after one signature.

    Raises InputError card-key-missing; what the card raises (pin-incorrect is never tried again).
    """
    if not args.card_token:
        raise usage("card-token-missing", "Say which token the card is: --card-token LABEL.")
    binding = Binding(adapter="pkcs11", token_label=args.card_token, options={"module": args.card})
    client = HsmClient(binding)
    try:
        with secrets.get("pin", f"PIN of {args.card_token}") as pin:
            client.log_in(pin)
        key = _key(client, args.card_key)
        kind, mechanism = _KINDS[key.algorithm]
        vkey = Vkey(args.name, _public(key), kind)
    except BaseException:
        client.close()
        raise

    def line(note: str, seconds: int) -> str:
        try:
            return cosign(note, seconds, vkey, lambda message: client.sign(key.object_id, mechanism, message))
        finally:
            client.close()

    return vkey, line


def _key(client: HsmClient, label: str) -> KeyInfo:
    found = [key for key in client.find(label=label) if key.algorithm in _KINDS and key.spki]
    if len(found) != 1:
        names = ", ".join(sorted(key.label for key in found)) or "none"
        raise usage(
            "card-key-missing",
            f"The card must hold one such Ed25519 or ML-DSA-44 key; it holds: {names}. Use --card-key.",
        )
    return found[0]


def _public(key: KeyInfo) -> bytes:
    if key.algorithm is Algorithm.ML_DSA_44:
        return post_quantum.decode(key.spki)[1]
    public = load_der_public_key(key.spki)
    assert isinstance(public, Ed25519PublicKey)  # noqa: S101 - the algorithm says so
    return public.public_bytes_raw()
