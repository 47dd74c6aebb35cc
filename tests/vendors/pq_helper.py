"""The arithmetic of the post-quantum shim, one line in and one line out: the shim keeps the objects, this the sums.

keygen ALGORITHM → PUBLIC PRIVATE      sign ALGORITHM PRIVATE MESSAGE → SIGNATURE
verify ALGORITHM PUBLIC MESSAGE SIGNATURE → ok or no      open ALGORITHM PRIVATE CIPHERTEXT → SECRET
"""

from __future__ import annotations

import sys

from hsm_console.crypto.pq import providers
from hsm_console.domain.keys import Algorithm


def answer(act: str, name: str, *given: str) -> str:
    algorithm, data = Algorithm(name), [bytes.fromhex(each) for each in given]
    provider = providers.maker(algorithm)
    if act == "keygen":
        public, private = provider.generate(algorithm)
        return f"{public.hex()} {private.hex()}"
    if act == "sign":
        return provider.sign(algorithm, bytearray(data[0]), data[1] if len(data) > 1 else b"").hex()
    if act == "open":
        return provider.decapsulate(algorithm, bytearray(data[0]), data[1]).hex()
    try:
        provider.verify(algorithm, *data)
    except ValueError:
        return "no"
    return "ok"


for line in sys.stdin:
    try:
        sys.stdout.write(answer(*line.split()) + "\n")
    except Exception as error:  # noqa: BLE001 - the shim answers CKR_GENERAL_ERROR
        sys.stdout.write(f"! {error}\n".replace("\n", " ").rstrip() + "\n")
    sys.stdout.flush()
