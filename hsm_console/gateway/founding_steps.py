"""The steps of a founding, each of which finds before it makes (see `founding`)."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from hsm_console import __version__
from hsm_console.audit import anchors
from hsm_console.audit.checkpoint import parse_note
from hsm_console.audit.log import AuditLog, create_log
from hsm_console.audit.seal import Recipient, Sealer
from hsm_console.credential import pkcs12
from hsm_console.crypto import software
from hsm_console.crypto.files import write_durably
from hsm_console.domain import events as ev
from hsm_console.domain.clock import SystemClock
from hsm_console.domain.errors import ConsoleError, DeviceError, ExitCode, InputError, Problem
from hsm_console.domain.events import Draft, FoundingKey
from hsm_console.domain.ids import object_id
from hsm_console.domain.keys import Algorithm, DeviceInfo, KeyInfo, KeySpec, Usage
from hsm_console.domain.messages.setup import Founder, FoundingSpec
from hsm_console.domain.people import Roster, RosterEntry
from hsm_console.domain.secret import Secret
from hsm_console.gateway import founding_rules as rules
from hsm_console.gateway import log_key as log_key_of
from hsm_console.gateway import projections, seal_keys
from hsm_console.gateway.founding_statement import OtherSecrets, Statement
from hsm_console.gateway.issuing import crl_days
from hsm_console.gateway.workspace import FORMAT, Home, TokenTable, WorkspaceFile
from hsm_console.hsm import vendors
from hsm_console.hsm.keys import private_key
from hsm_console.hsm.port import Binding, DataObject, Unsupported
from hsm_console.hsm.worker import HsmClient
from hsm_console.pki import authority as ca
from hsm_console.pki import csr, profiles
from hsm_console.pki import roster as rosters
from hsm_console.policy import environment as environments
from hsm_console.policy.environment import Environment, check_token

if TYPE_CHECKING:
    from hsm_console.pki.authority import Authority

Tell = Callable[[int, str], None]
BEGAN = "token.began"
COMMON_NAME_CHARACTERS = 64  # RFC 5280 A.1, ub-common-name
EXPORTS_AT_ONCE = os.cpu_count() or 2


class Founding:
    """One run over a staging folder. After `run` the folder is a whole workspace."""

    def __init__(
        self, staging: Path, spec: FoundingSpec, statement: Statement, environment: Environment, tell: Tell
    ) -> None:
        self._home = Home(staging)
        self._spec = spec
        self._statement = statement
        self._environment = environment
        self._tell = tell
        self._clock = SystemClock()
        self._recipient: Recipient | None = None
        self._binding = Binding(
            adapter=spec.adapter,
            token_label=spec.token_label,
            directory=str(self._home.token),
            options=dict(spec.options),
        )

    def run(self) -> None:
        """Raises what the device, the disk and the rules raise, and OtherSecrets (see `founding`)."""
        self._home.token.mkdir(mode=0o700, exist_ok=True)
        with HsmClient(self._binding) as hsm:
            self._tell(2, "Preparing the token.")
            device = self._token(hsm)
            self._tell(3, "Making the authority's key and the log's key inside the token.")
            made = self._key(hsm, 0, "authority", Algorithm.EC_P384)
            log_key = self._key(hsm, 1, "log", log_key_of.algorithm_for(device))
            seal_key = self._seal_key(hsm, device)
            self._tell(4, "Issuing the authority's certificate.")
            authority = self._authority(hsm, made)
            log = self._unfinished_log()
            if log is None:
                keys = {"authority": made, "log": log_key} | ({"seal": seal_key} if seal_key else {})
                log = self._people_and_log(authority, keys, device)
            try:
                self._seal(hsm, log, log_key)
            finally:
                log.close()
            self._home.save(self._file(device))

    # -- the token ----------------------------------------------------------------------------------------

    def _token(self, hsm: HsmClient) -> DeviceInfo:
        info = hsm.describe()
        check_token(self._environment, simulated=info.simulated)
        rules.check_device(info)
        if info.algorithms:
            seal_keys.check_device(self._environment, info)
        began = self._home.directory / BEGAN
        foreign = not vendors.initialises(self._spec.adapter) or not self._spec.so_pin
        if info.initialised and not began.exists() and foreign:
            with Secret(self._spec.pin) as pin:
                hsm.log_in(pin)  # the vendor's tool has initialised it; taken names are refused when keys are made
            write_durably(began, b"")
            return info
        if info.initialised and not began.exists():
            raise InputError(
                Problem(
                    code="label-taken",
                    what=f"The token “{info.label or self._spec.token_label}” is initialised already.",
                    todo="Choose an empty token or another label; the console never erases a token.",
                    contact="the owner of the token",
                    exit_code=ExitCode.USAGE,
                )
            )
        if not info.initialised:
            rules.check_blank(self._spec)
        with Secret(self._spec.so_pin) as so_pin, Secret(self._spec.pin) as pin:
            if not info.initialised:
                write_durably(began, b"")
                info = hsm.initialise_token(self._spec.token_label, so_pin, pin)
                hsm.log_in(pin)
                return info
            try:
                hsm.log_in(pin)
            except DeviceError as error:  # the PIN is another one, or the kill came before the PIN was set
                raise OtherSecrets from error
        return info

    def _seal_key(self, hsm: HsmClient, device: DeviceInfo) -> KeyInfo | None:
        """The key pair that data keys are wrapped for, where the rules seal anything; tried out before it is used."""
        if not self._environment.log.confidential:
            return None
        plan = seal_keys.plan_for(device)
        key = self._key(hsm, plan.number, "seal", plan.algorithm, plan.usage)
        self._recipient = seal_keys.recipient_of(hsm, key)
        return key

    def _key(
        self, hsm: HsmClient, index: int, purpose: str, algorithm: Algorithm, usage: Usage = Usage.SIGN
    ) -> KeyInfo:
        """The first keys' ids derive from the founding statement; what an interrupted founding made is found again."""
        wanted = object_id(hashlib.sha256(self._statement.encode()).digest(), index)
        found = hsm.find(object_id=wanted)
        if len(found) == 1 and found[0].spki and found[0].attributes.token:
            return found[0]
        if found:
            hsm.destroy(wanted)  # half a pair of this very founding: intended, never used
        label = f"{purpose} {self._statement.chain_uid[-12:]}"
        return hsm.generate(KeySpec(algorithm=algorithm, label=label, object_id=wanted, usages=(usage,)))

    def _authority(self, hsm: HsmClient, made: KeyInfo) -> Authority:
        key = private_key(hsm, made)
        if self._home.authority.exists():
            return ca.Authority(ca.load_certificate(self._home.authority.read_bytes()), key)
        suffix = " Ceremony Authority"
        name = self._spec.name[: COMMON_NAME_CHARACTERS - len(suffix)].strip() + suffix
        authority = ca.Authority.found(key, name, now_ms=self._now())
        write_durably(self._home.authority, ca.pem(authority.certificate).encode(), 0o644)
        return authority

    def _now(self) -> int:
        return self._clock.now().time_ms

    # -- people, transport identity, lists, log ---------------------------------------------------------------

    def _people_and_log(self, authority: Authority, keys: dict[str, KeyInfo], device: DeviceInfo) -> AuditLog:
        self._tell(5, f"Making credentials for {len(self._spec.people)} people.")
        certificates = self._credentials(authority)
        self._tell(6, "Issuing the gateway's identity, the roster and the list of revoked certificates.")
        self._gateway(authority)
        roster = self._roster(authority, certificates)
        crl = self._crl(authority)
        self._tell(7, "Writing the first entries of the log.")
        return self._log(keys, device, roster, crl, certificates)

    def _credentials(self, authority: Authority) -> list[x509.Certificate]:
        """Keys are made here, in memory; the files are encrypted in parallel, since that is slow on purpose."""
        self._home.credentials.mkdir(mode=0o700, exist_ok=True)
        days = self._environment.credential.certificate_days
        keys = [ec.generate_private_key(ec.SECP384R1()) for _ in self._spec.people]
        certificates = [
            authority.issue_person(f.person, csr.make(key, f.person.name), now_ms=self._now(), days=days)
            for f, key in zip(self._spec.people, keys, strict=True)
        ]

        def export(item: tuple[Founder, ec.EllipticCurvePrivateKey, x509.Certificate]) -> None:
            founder, key, certificate = item
            with Secret(founder.passphrase) as passphrase:
                pkcs12.create(
                    self._home.credentials / f"{founder.person.uid}.p12",
                    key,
                    certificate,
                    (authority.certificate,),
                    passphrase,
                    self._spec.kdf_iterations,
                    names=(founder.person.name, founder.person.uid),
                )

        with ThreadPoolExecutor(EXPORTS_AT_ONCE) as pool:
            list(pool.map(export, zip(self._spec.people, keys, certificates, strict=True)))
        return certificates

    def _gateway(self, authority: Authority) -> None:
        """The transport identity: a key that only this system user can read, and nothing more."""
        key = ec.generate_private_key(ec.SECP384R1())
        certificate = authority.issue_gateway(csr.make(key, profiles.GATEWAY_NAME), now_ms=self._now())
        self._home.gateway_key.parent.mkdir(mode=0o700, exist_ok=True)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        write_durably(self._home.gateway_key, pem, 0o600)
        write_durably(self._home.gateway_certificate, ca.pem(certificate).encode(), 0o644)

    def _roster(self, authority: Authority, certificates: list[x509.Certificate]) -> Roster:
        entries: tuple[RosterEntry, ...] = tuple(
            ca.roster_entry(f.person, f.roles, certificate)
            for f, certificate in zip(self._spec.people, certificates, strict=True)
        )
        roster = Roster(chain_uid=self._statement.chain_uid, version=1, issued_ms=self._now(), entries=entries)
        data, signature = rosters.sign(authority, roster)
        write_durably(self._home.roster, data, 0o644)
        write_durably(self._home.roster_signature, signature, 0o644)
        return roster

    def _crl(self, authority: Authority) -> ev.CrlIssued:
        crl = authority.issue_crl(1, (), now_ms=self._now(), days=crl_days(self._environment))
        data = ca.pem(crl).encode()
        write_durably(self._home.crl, data, 0o644)
        assert crl.next_update_utc is not None  # noqa: S101 - just set
        return ev.CrlIssued(
            number=1, sha256=hashlib.sha256(data).hexdigest(), next_update_ms=profiles.time_ms(crl.next_update_utc)
        )

    def _log(
        self,
        keys: dict[str, KeyInfo],
        device: DeviceInfo,
        roster: Roster,
        crl: ev.CrlIssued,
        certificates: list[x509.Certificate],
    ) -> AuditLog:
        created = ev.LogCreated(
            origin=self._statement.origin,
            chain_uid=self._statement.chain_uid,
            software="HSM Console",
            software_version=__version__,
            software_sha256=software.sha256(),
            founding=self._statement.encode().decode(),
            keys=tuple(_founding_key(purpose, key) for purpose, key in keys.items()),
            device=device,
        )
        policy = ev.PolicyInForce(
            environment=self._environment.id,
            production=self._environment.production,
            policy_sha256=environments.digest(environments.texts()[self._environment.id]),
            settings=self._environment.settings(),
        )
        log = create_log(
            self._home.log,
            chain_uid=self._statement.chain_uid,
            clock=self._clock,
            genesis=(created, policy),
            projections=projections.projections(),
        )
        if self._recipient is not None:
            self._begin_sealing(log, self._recipient)
        enrolled = [
            Draft(event=enrolment(entry, certificate))
            for entry, certificate in zip(roster.entries, certificates, strict=True)
        ]
        issued = ev.RosterIssued(version=roster.version, sha256=hashlib.sha256(rosters.encode(roster)).hexdigest())
        log.append([*enrolled, Draft(event=issued), Draft(event=crl, critical=True)])
        return log

    def _begin_sealing(self, log: AuditLog, recipient: Recipient) -> None:
        """The key in force and a first data key, before the first entry that names a person."""
        data_key, made = seal_keys.data_key(log.chain_uid, recipient, "the workspace was founded")
        log.append([Draft(event=seal_keys.in_force(recipient)), Draft(event=made)])
        log.sealer = Sealer(log.chain_uid, self._environment.log.confidential)
        log.sealer.use(data_key)

    def _unfinished_log(self) -> AuditLog | None:
        """A log that an interrupted run wrote whole, with credentials that these passphrases open.

        One that holds its genesis only was never signed and is thrown away.
        """
        if not self._home.log.exists():
            return None
        log = AuditLog.open(
            self._home.log,
            chain_uid=self._statement.chain_uid,
            clock=self._clock,
            projections=projections.projections(),
        )
        sealing = 2 if self._environment.log.confidential else 0
        if log.size < 2 + sealing + len(self._spec.people) + 2:
            log.close()
            for path in self._home.directory.glob(f"{self._home.log.name}*"):
                path.unlink()
            return None
        try:
            for founder in self._spec.people:
                with Secret(founder.passphrase) as passphrase:
                    pkcs12.load(self._home.credentials / f"{founder.person.uid}.p12", passphrase)
        except ConsoleError as error:
            log.close()
            raise OtherSecrets from error
        return log

    def _seal(self, hsm: HsmClient, log: AuditLog, log_key: KeyInfo) -> None:
        """The verifier key, the first checkpoint, the head in the token."""
        self._tell(8, "Signing the first head of the log.")
        vkey = log_key_of.vkey_of(self._statement.origin, log_key.spki)
        write_durably(self._home.vkey, (vkey.text + "\n").encode(), 0o644)
        log.set_signer(log_key_of.LogSigner(hsm, log_key.object_id, log_key.spki))
        note = log.checkpoint()
        head = DataObject(
            application=anchors.APPLICATION,
            label=anchors.head_label(self._statement.chain_uid),
            value=anchors.encode_head(parse_note(note).checkpoint, self._now()),
        )
        with contextlib.suppress(Unsupported):  # not every device holds data; which anchors there must be is policy
            hsm.write_data(head)

    def _file(self, device: DeviceInfo) -> WorkspaceFile:
        return WorkspaceFile(
            format=FORMAT,
            name=self._statement.name,
            chain_uid=self._statement.chain_uid,
            origin=self._statement.origin,
            environment=self._environment.id,
            created_ms=self._statement.created_ms,
            token=TokenTable(
                adapter=self._spec.adapter,
                label=self._spec.token_label,
                serial=device.serial,
                simulated=device.simulated,
                options=dict(self._spec.options),
            ),
        )


def _founding_key(purpose: str, key: KeyInfo) -> FoundingKey:
    return FoundingKey(
        purpose=purpose,
        object_id=key.object_id.hex(),
        label=key.label,
        algorithm=key.algorithm,
        spki=base64.b64encode(key.spki).decode(),
        attributes=key.attributes,
    )


def enrolment(entry: RosterEntry, certificate: x509.Certificate) -> ev.PersonEnrolled:
    """The log's word that a person was enrolled, with her certificate."""
    return ev.PersonEnrolled(
        uid=entry.person.uid,
        name=entry.person.name,
        roles=entry.roles,
        spki_sha256=entry.spki_sha256,
        certificate_sha256=entry.certificate_sha256,
        serial=entry.serial,
        certificate=base64.b64encode(certificate.public_bytes(Encoding.DER)).decode(),
    )
