"""Why a connection or a log-on is refused, as data: OpenSSL's codes → ours → the four things in plain words.

TLS alerts are too coarse for people: a stale CRL of the gateway and an expired certificate of the person give the
same alert (PLATFORM 1.1). The gateway knows the true reason; this table is what both sides say about it.
"""

from __future__ import annotations

import time

from hsm_console.domain.errors import ExitCode, Problem

_ADMIN = "the administrator of this workstation"
_ISSUER = "the administrator who issues credentials for this workspace"
_CLOCK = "An air-gapped clock that is wrong is the usual cause: compare it with a watch first. "

BY_VERIFY_CODE: dict[int, str] = {
    2: "certificate-other-authority",  # unable to get issuer certificate
    3: "gateway-crl-missing",  # unable to get certificate CRL
    7: "certificate-not-authentic",  # certificate signature failure
    8: "gateway-crl-wrong",  # CRL signature failure
    9: "certificate-not-yet-valid",
    10: "certificate-expired",
    11: "gateway-crl-not-yet-valid",
    12: "gateway-crl-stale",
    18: "certificate-other-authority",  # self-signed certificate
    19: "certificate-other-authority",  # self-signed certificate in certificate chain
    20: "certificate-other-authority",  # unable to get local issuer certificate
    21: "certificate-other-authority",  # unable to verify the first certificate
    23: "certificate-revoked",
    24: "certificate-other-authority",  # invalid CA certificate
    26: "certificate-wrong-purpose",
    33: "gateway-crl-wrong",  # unable to get CRL issuer certificate
    36: "gateway-crl-wrong",  # unhandled critical CRL extension
    66: "certificate-too-weak",  # EE certificate key too weak
    67: "certificate-too-weak",  # CA certificate key too weak
    68: "certificate-too-weak",  # CA signature digest algorithm too weak
} | dict.fromkeys(range(79, 95), "certificate-not-strict")  # X509_V_ERR_… of VERIFY_X509_STRICT
"""X509_V_ERR_… (openssl/x509_vfy.h) as the gateway sees it when it checks a person's certificate."""

BY_SSL_REASON: dict[str, str] = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "certificate-missing",
    "UNSUPPORTED_PROTOCOL": "tls-too-old",
    "UNSUPPORTED_SSL_PROTOCOL": "tls-too-old",
    "VERSION_TOO_LOW": "tls-too-old",
    "HTTP_REQUEST": "not-tls",
    "HTTPS_PROXY_REQUEST": "not-tls",
    "WRONG_VERSION_NUMBER": "not-tls",
    "BAD_SIGNATURE": "certificate-key-not-proven",
    "TLSV1_ALERT_UNKNOWN_CA": "client-distrusts-gateway",
    "SSLV3_ALERT_BAD_CERTIFICATE": "client-distrusts-gateway",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "client-distrusts-gateway",
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": "client-distrusts-gateway",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "client-distrusts-gateway",
}
"""`ssl.SSLError.reason` on the gateway's side."""

BY_ALERT: dict[str, str] = {
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "refused-as-expired",
    "SSLV3_ALERT_BAD_CERTIFICATE": "refused-as-bad",
    "SSLV3_ALERT_CERTIFICATE_REVOKED": "certificate-revoked",
    "TLSV1_ALERT_UNKNOWN_CA": "refused-as-unknown",
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": "certificate-wrong-purpose",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "certificate-not-strict",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "certificate-missing",
    "TLSV1_ALERT_PROTOCOL_VERSION": "tls-too-old",
}
"""Alerts that a person's side receives; used only where the gateway cannot be asked for its own reason."""

BY_GATEWAY_CHECK: dict[int, str] = {
    9: "gateway-certificate-not-yet-valid",
    10: "gateway-certificate-expired",
    26: "gateway-certificate-wrong-purpose",
    62: "gateway-name-wrong",
}
"""X509_V_ERR_… as the person's side sees it when it checks the gateway; everything else is an impostor."""

_TEXTS: dict[str, tuple[str, str, str]] = {
    "certificate-expired": (
        "Your certificate has expired. {clock}",
        _CLOCK + "If the clock is right, ask for a new credential.",
        _ISSUER,
    ),
    "certificate-not-yet-valid": (
        "Your certificate is not valid yet. {clock}",
        _CLOCK + "If the clock is right, wait until the certificate's first day.",
        _ISSUER,
    ),
    "certificate-revoked": (
        "Your certificate has been revoked.",
        "Do not try again. Ask why; if you go on holding your office, you need a new credential.",
        _ISSUER,
    ),
    "certificate-other-authority": (
        "Your certificate was issued by an authority that this workspace does not know.",
        "Choose the credential that was made for this workspace.",
        _ISSUER,
    ),
    "certificate-not-authentic": (
        "Your certificate's signature is wrong: the certificate was altered.",
        "Do not use this credential any more; bring it to the administrator.",
        _ISSUER,
    ),
    "certificate-wrong-purpose": (
        "Your certificate is not meant for logging in (it lacks the purpose clientAuth).",
        "Choose another credential, or ask for one that is made for people.",
        _ISSUER,
    ),
    "certificate-too-weak": (
        "Your certificate's key or signature is too weak.",
        "Ask for a new credential with a P-384 key.",
        _ISSUER,
    ),
    "certificate-not-strict": (
        "Your certificate breaks a rule of X.509 that this gateway enforces ({message}).",
        "Ask for a new credential; show these details to whoever issues it.",
        _ISSUER,
    ),
    "certificate-not-accepted": (
        "Your certificate was not accepted ({message}).",
        "Show these details to the administrator.",
        _ISSUER,
    ),
    "certificate-missing": (
        "No certificate was presented.",
        "Log in with your credential file or card; a browser without a certificate cannot enter.",
        _ADMIN,
    ),
    "certificate-key-not-proven": (
        "The private key does not fit the certificate that was presented.",
        "Do not use this credential any more; ask for a new one.",
        _ISSUER,
    ),
    "certificate-not-ours": (
        "Your certificate does not name exactly one person of this product (one URI urn:hsm-console:user:…).",
        "Ask for a credential that was made for this workspace.",
        _ISSUER,
    ),
    "not-on-roster": (
        "Your certificate is genuine, but nobody with this key is on the workspace's roster.",
        "Ask the administrator whether you were enrolled, and with which credential.",
        _ISSUER,
    ),
    "revoked-in-roster": (
        "You were struck off the workspace's roster.",
        "Do not try again. Ask why; if you go on holding your office, you need a new credential.",
        _ISSUER,
    ),
    "role-not-granted": (
        "The roster does not grant you the role you asked for.",
        "Log in with a role that you hold, or ask for the roster to be changed.",
        _ISSUER,
    ),
    "gateway-crl-stale": (
        (
            "The gateway's list of revoked certificates (CRL) is out of date, so it lets nobody in. "
            "Your certificate is not the cause. {clock}"
        ),
        _CLOCK + "If the clock is right, an administrator must issue a new CRL: stop the gateway, then run "
        "`hsm-console workspace renew` there.",
        _ADMIN,
    ),
    "gateway-crl-missing": (
        (
            "The gateway has no list of revoked certificates (CRL), so it lets nobody in. "
            "Your certificate is not the cause."
        ),
        "An administrator must bring crl.pem back into the workspace; the gateway reads it without a restart.",
        _ADMIN,
    ),
    "gateway-crl-wrong": (
        (
            "The gateway's list of revoked certificates (CRL) is not one of this workspace's authority, so it lets "
            "nobody in. Your certificate is not the cause."
        ),
        "An administrator must bring the right crl.pem back, or issue a new one.",
        _ADMIN,
    ),
    "gateway-crl-not-yet-valid": (
        (
            "The gateway's list of revoked certificates (CRL) begins in the future, so it lets nobody in. "
            "Your certificate is not the cause. {clock}"
        ),
        _CLOCK + "If the clock is right, an administrator must issue a new CRL.",
        _ADMIN,
    ),
    "gateway-crl-older": (
        (
            "Somebody put an older list of revoked certificates (CRL) in place of number {message}; the gateway keeps "
            "the newer one in force while it runs."
        ),
        "Find out who did it; bring the newest crl.pem back before the gateway is started again.",
        "the administrator and the security officer",
    ),
    "gateway-crl-soon-stale": (
        "The gateway's list of revoked certificates (CRL) runs out soon ({message}); nobody could log in then.",
        "An administrator should issue a new CRL now.",
        _ADMIN,
    ),
    "tls-too-old": (
        "The program that connected offers only outdated encryption; TLS 1.3 is required.",
        "Use this version of HSM Console on both sides.",
        _ADMIN,
    ),
    "tls-incompatible": (
        "The two sides could not agree on how to encrypt ({message}).",
        "Use this version of HSM Console on both sides.",
        _ADMIN,
    ),
    "not-tls": (
        "Something connected to the gateway without encryption.",
        "Use https:// with a client certificate, or HSM Console itself.",
        _ADMIN,
    ),
    "handshake-too-slow": (
        "The other side did not finish its greeting in time.",
        "Try again. If it happens often, look for a busy workstation or a bad cable.",
        _ADMIN,
    ),
    "client-went-away": (
        "The other side closed the connection before it said who it is.",
        "Nothing, if it happens once; a program that probes the gateway looks like this.",
        _ADMIN,
    ),
    "client-distrusts-gateway": (
        "The person's side did not accept the gateway's certificate ({message}).",
        "Compare the gateway's certificate with the one that the workspace was founded with.",
        _ADMIN,
    ),
    "gateway-busy": (
        "Too many connections are waiting to log in.",
        "Wait a minute and try again; if nobody else is logging in, look for a program that probes the gateway.",
        _ADMIN,
    ),
    "gateway-impostor": (
        "What answered is not your gateway: it could not prove to be this workspace's. No secret was sent to it.",
        "Do not try again. Note the time and the address, and tell the security officer: somebody may be listening.",
        "the security officer",
    ),
    "gateway-name-wrong": (
        "What answered has a certificate of this workspace's authority, but not a gateway's. No secret was sent to it.",
        "Do not try again. Note the time and the address, and tell the security officer.",
        "the security officer",
    ),
    "gateway-certificate-wrong-purpose": (
        "What answered has a certificate that is not meant for a gateway. No secret was sent to it.",
        "Do not try again. Note the time and the address, and tell the security officer.",
        "the security officer",
    ),
    "gateway-certificate-expired": (
        "The gateway's certificate has expired. {clock}",
        _CLOCK + "If the clock is right, an administrator must issue a new identity for the gateway: stop it, then run "
        "`hsm-console workspace renew` there.",
        _ADMIN,
    ),
    "gateway-certificate-not-yet-valid": (
        "The gateway's certificate is not valid yet. {clock}",
        _CLOCK + "If the clock is right, wait until the certificate's first day.",
        _ADMIN,
    ),
    "gateway-unreachable": (
        "No gateway answers at {message}.",
        "Start the gateway; check the address, and for another machine the cable.",
        _ADMIN,
    ),
    "gateway-wrong-protocol": (
        "What answers at {message} is no gateway of this product.",
        "Check the address; something else listens there.",
        _ADMIN,
    ),
    "gateway-went-away": (
        "The gateway closed the connection without saying why.",
        "Try once more; then look into the gateway's own messages.",
        _ADMIN,
    ),
    "refused-as-expired": (
        (
            "The gateway says that a certificate or its list of revoked certificates has expired, yet yours is valid "
            "by this workstation. {clock}"
        ),
        "Compare both clocks with a watch; then ask for the gateway's CRL to be renewed.",
        _ADMIN,
    ),
    "refused-as-bad": (
        "The gateway does not accept your certificate, yet it is valid by this workstation. {clock}",
        "Compare both clocks with a watch; the gateway's own log tells the exact reason.",
        _ADMIN,
    ),
    "refused-as-unknown": (
        "The gateway does not know your certificate's authority, or it has no list of revoked certificates (CRL).",
        "Ask for the gateway's log: it tells which of the two it is.",
        _ADMIN,
    ),
}
CODES = frozenset(_TEXTS)
_POLICY = frozenset(
    {"certificate-revoked", "certificate-not-ours", "not-on-roster", "revoked-in-roster", "role-not-granted"}
)


def problem(code: str, *, clock_ms: int, message: str = "", **details: str) -> Problem:
    """The four things for `code`. clock_ms: the clock of the machine that noticed; message: OpenSSL's own words."""
    what, todo, contact = _TEXTS[code]
    clock = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(clock_ms // 1000)) + " UTC"
    facts = {"clock": clock} if "{clock}" in what else {}
    return Problem(
        code=code,
        what=what.format(clock=f"This workstation's clock says {clock}.", message=message or "no further word"),
        todo=todo,
        contact=contact,
        details=facts | ({"message": message} if message else {}) | details,
        exit_code=ExitCode.POLICY if code in _POLICY else ExitCode.ENVIRONMENT,
    )


def code_for(verify_code: int, ssl_reason: str) -> str:
    """Our code for what the gateway's handshake reported."""
    if verify_code:
        return BY_VERIFY_CODE.get(verify_code, "certificate-not-accepted")
    return BY_SSL_REASON.get(ssl_reason, "tls-incompatible")
