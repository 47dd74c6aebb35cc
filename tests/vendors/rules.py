"""What each vendor refuses, as the shim plays it, and what the console must make of it; from the vendors' documents."""

from __future__ import annotations

from dataclasses import dataclass, field

from hsm_console.domain.keys import Algorithm

A = Algorithm

TYPED = "user-pin-1357"  # what a person types
RSA = (A.RSA_2048, A.RSA_3072, A.RSA_4096)
CURVES = (A.EC_P256, A.EC_P384, A.EC_P521)
SECRETS = (A.AES_256, A.HMAC_SHA256)
EDWARDS = ("0x1055", "0x1057")
GCM, KWP, KW, ECDH = "0x1087", "0x210a", "0x2109", "0x1050"


@dataclass(frozen=True)
class Vendor:
    """One vendor's module. pin: what SoftHSM holds; options: the binding's; makes: kinds of keys that are offered."""

    rules: tuple[str, ...]
    makes: tuple[A, ...]
    pin: str = TYPED
    options: dict[str, str] = field(default_factory=dict)
    deny: tuple[str, ...] = ()
    named: tuple[str, ...] = ()
    key_types: tuple[str, ...] = ()
    most_sessions: int = 0
    typed: str = TYPED

    def environment(self) -> dict[str, str]:
        def listed(items: tuple[str, ...]) -> str:
            return f",{','.join(items)}," if items else ""

        return {
            "SHIM_RULES": listed(self.rules),
            "SHIM_DENY": listed(self.deny),
            "SHIM_MAP": listed(self.named),
            "SHIM_KEY_TYPES": listed(self.key_types),
            "SHIM_PIN": self.pin,
            "SHIM_MOST": str(self.most_sessions),
        }


MARVELL = ("ro-refused", "iv-readback", "iv-prepend", "attribute-unknown", "no-set", "no-copy", "no-init", "no-set-pin",
           "no-seed", "no-data")  # fmt: skip
LUNA = {"named": ("0x80000c01=0x1055", "0x80000c03=0x1057"), "key_types": ("0x80000012=0x40",)}

VENDORS: dict[str, Vendor] = {
    "cloudhsm": Vendor(
        (*MARVELL, "private-true", "id-unique", "pin-colon"),
        (*RSA, *CURVES, *SECRETS),
        pin=f"alice:{TYPED}",
        options={"user": "alice"},
        deny=EDWARDS,
        most_sessions=6,
    ),
    "azure-cloud-hsm": Vendor(
        (*MARVELL, "sensitive-private", "private-true", "pin-colon-expired"),
        (*RSA, A.EC_P256, A.EC_P384, *SECRETS),
        pin=f"alice:{TYPED}",
        options={"user": "alice", "iv": "prepend"},
        deny=("0x1057",),
    ),
    "luna": Vendor(("sensitive", "user-limited"), (*RSA, *CURVES, A.ED25519, *SECRETS), **LUNA),  # type: ignore[arg-type]
    "azure-dedicated-hsm": Vendor(
        ("sensitive", "user-limited", "iv-append16"),
        (*RSA, *CURVES, A.ED25519, *SECRETS),
        options={"iv": "append16"},
        **LUNA,  # type: ignore[arg-type]
    ),
    "nshield": Vendor(
        ("one-purpose", "no-login", "no-seed"), (*RSA, *CURVES, A.ED25519, *SECRETS), options={"role": "module"}
    ),
    "kmsp11": Vendor(
        (
            "kms-template",
            "iv-late",
            "any-pin",
            "random-8-1024",
            "no-create",
            "no-set",
            "no-copy",
            "no-digest",
            "no-wrap",
            "no-derive",
            "no-init",
            "no-set-pin",
        ),
        (),
        deny=(*EDWARDS, KWP, KW, ECDH),
        named=(f"0x8001e101={GCM}",),
        typed="whatever is typed",
    ),
    "yubihsm": Vendor(
        ("modifiable-refused", "token-only", "pin-key-id", "no-set-pin", "no-init"),
        (*RSA, *CURVES, A.ED25519, A.HMAC_SHA256),
        pin=f"0001{TYPED}",
        deny=(GCM,),
    ),
    "nethsm": Vendor(
        ("so-generates", "no-verify", "no-digest", "no-wrap", "no-derive", "id-short", "no-data", "no-set-pin"),
        (*RSA, *CURVES, A.ED25519, A.HMAC_SHA256),
        options={"role": "administrator"},
        deny=(GCM, KWP, KW, ECDH),
    ),
    "utimaco": Vendor(
        ("user-named",),
        (*RSA, *CURVES, A.ED25519, *SECRETS),
        options={"role": "cryptoserver-user", "user": "alice"},
    ),
    "securosys": Vendor(("no-finalize",), (*RSA, *CURVES, A.ED25519, *SECRETS)),
    "opencryptoki": Vendor(("pin-lock", "no-seed"), (*RSA, *CURVES, A.ED25519, *SECRETS)),
}
