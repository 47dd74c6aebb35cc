"""Finding the token and being logged in to it: one login session, and sessions without PIN for the work.

`close()` of a session that carried a PIN logs every session out, and a failed login leaves its session open; so the
login session is a raw one that does nothing else.
"""

from __future__ import annotations

import contextlib
from typing import Any

from pkcs11 import KeyType, TokenFlag
from pkcs11.exceptions import PKCS11Error, SessionReadOnly, TokenNotPresent, TokenNotRecognised, TokenWriteProtected

from adapters import problems
from adapters.pkcs11.errors import told
from adapters.pkcs11.module import Module
from adapters.pkcs11.names import Names
from adapters.pkcs11.profile import Profile
from adapters.pkcs11.raw import CKU_SO, CkrError
from adapters.pkcs11.roles import login_text, role_of, user_type
from adapters.pkcs11.templates import TolerantMapper
from hsm_console.domain.secret import Secret
from hsm_console.hsm.port import Binding

MOST_LANES = 64
_USER_STATES = (1, 3)  # CKS_RO_USER_FUNCTIONS, CKS_RW_USER_FUNCTIONS


class Login:
    """The one login of a token, shared by the views of all lanes. epoch: changes when handles lose their meaning.

    names: which ids and labels are taken in the token.
    """

    def __init__(self) -> None:
        self.session: int | None = None
        self.done = False
        self.epoch = 0
        self.names = Names()


class Sessions:
    """The token that a binding means, and the sessions on it. login: another view's, to share it."""

    def __init__(self, module: Module, profile: Profile, binding: Binding, login: Login | None = None) -> None:
        self.role = role_of(binding, profile)
        self.mapper = TolerantMapper({number: KeyType[name] for name, number in profile.key_types.items()})
        self.login = login or Login()
        self._module = module
        self._profile = profile
        self._binding = binding
        self._work: Any = None
        self._epoch = 0

    @property
    def label(self) -> str:
        """The label the binding names."""
        return self._binding.token_label

    @property
    def logged_in(self) -> bool:
        return self.login.done

    @property
    def binding(self) -> Binding:
        return self._binding

    def token(self) -> Any:
        """The token, read anew: its flags are a snapshot. Raises token-missing, -ambiguous, -wrong-serial."""
        label, serial = self._binding.token_label, self._binding.serial
        tokens = [token for token in self._tokens() if _initialised(token)]
        named = [token for token in tokens if token.label == label]
        if not named:
            raise problems.token_absent(label, serial, tuple(token.label for token in tokens))
        serials = tuple(_serial(token) for token in named)
        if serial:
            named = [token for token in named if _serial(token) == serial]
            if not named:
                raise problems.wrong_serial(label, serial, serials)
        if len(named) > 1:
            raise problems.duplicate_label(label, serials)
        return named[0]

    def blank(self) -> Any | None:
        """An uninitialised token. None when there is none, or when the binding names a serial number already."""
        if self._binding.serial:
            return None
        return next((token for token in self._tokens() if not token.flags & TokenFlag.TOKEN_INITIALIZED), None)

    def initialise(self, label: str, so_pin: Secret, user_pin: Secret) -> None:
        """C_InitToken on a blank token and C_InitPIN by the security officer. A token that was left without a user
        PIN in between is finished, not initialised again."""
        named = [token for token in self._tokens() if token.label == label and _initialised(token)]
        if any(token.flags & TokenFlag.USER_PIN_INITIALIZED for token in named):
            raise problems.token_initialised(label)
        token = named[0] if named else self.blank()
        if token is None:
            raise problems.no_blank_token(label)
        raw, slot = self._module.raw, token.slot.slot_id
        with told("initialise_token", self._profile):
            if not named:
                raw.init_token(slot, so_pin, label)
            with raw.session(slot) as session:
                raw.login(session, so_pin, user=CKU_SO)
                try:
                    raw.init_pin(session, user_pin)
                finally:
                    raw.logout(session)
        self.log_out()
        self._module.restart()

    def log_in(self, pin: Secret) -> None:
        if self.login.done:
            raise problems.already_logged_in()
        token = self.token()
        if not self.role.format:
            self.login.done = True
            return
        own_pad = bool(token.flags & TokenFlag.PROTECTED_AUTHENTICATION_PATH)
        given = None if own_pad and not pin else login_text(self._binding, self.role, pin)
        raw, slot = self._module.raw, token.slot.slot_id
        with told("log_in", self._profile):
            session = raw.open_session(slot)
            try:
                self._end_forgotten_login(session)
                raw.login(session, given, user=user_type(self._binding, self.role))
            except CkrError:
                with contextlib.suppress(CkrError):
                    raw.close_session(session)
                raise
            finally:
                if given is not None and given is not pin:
                    given.wipe()
        self.login.session, self.login.done = session, True

    def log_out(self) -> None:
        login, self.login.session, self.login.done = self.login.session, None, False
        self.login.epoch += 1
        self._drop_work()
        if login is not None:
            with contextlib.suppress(CkrError):
                self._module.raw.logout(login)
            with contextlib.suppress(CkrError):
                self._module.raw.close_session(login)

    def change_pin(self, old: Secret, new: Secret) -> None:
        raw, slot = self._module.raw, self.token().slot.slot_id
        with told("change_pin", self._profile), raw.session(slot) as session:
            raw.set_pin(session, old, new)

    def work(self) -> Any:
        """A session without PIN that shares the login, if there is one. Read-write where the token allows it."""
        if self._epoch != self.login.epoch:
            self._epoch = self.login.epoch
            self._drop_work()
        if self._work is None:
            token = self.token()
            with told("open", self._profile):
                try:
                    self._work = token.open(rw=True, attribute_mapper=self.mapper)
                except (TokenWriteProtected, SessionReadOnly):
                    if not self._profile.read_only_sessions:
                        raise
                    self._work = token.open(rw=False, attribute_mapper=self.mapper)
        return self._work

    def require_login(self) -> Any:
        """The work session. Raises not-logged-in: without a login a search returns no private object, silently."""
        if not self.login.done:
            raise problems.not_logged_in()
        return self.work()

    def renew(self) -> bool:
        """After a session was closed underneath: whether the login still holds, so that a new session takes it up."""
        login = self.login.session
        if not self.login.done or login is None:
            return False
        try:
            self._module.raw.session_info(login)
        except CkrError:
            return False
        self._drop_work()
        return True

    def forget(self) -> None:
        """The device closed its side: the handles mean nothing any more, and nobody is logged in. What it may have kept
        of the login is ended too; a driver that only said so would refuse the next PIN as “logged in already”."""
        self.log_out()

    def _end_forgotten_login(self, session: int) -> None:
        """A login of this process that nobody remembers: without an end to it, a PIN would not be checked."""
        with contextlib.suppress(CkrError):
            if self._module.raw.session_info(session) in _USER_STATES:
                self._module.raw.logout(session)

    def _drop_work(self) -> None:
        work, self._work = self._work, None
        if work is not None:
            with contextlib.suppress(PKCS11Error):
                work.close()

    def _tokens(self) -> list[Any]:
        tokens = []
        for slot in self._module.slots():
            with told("describe", self._profile), contextlib.suppress(TokenNotPresent, TokenNotRecognised):
                tokens.append(slot.get_token())
        return tokens


def lanes_of(binding: Binding, profile: Profile) -> int:
    """How many calls at once: the option `lanes`, else the profile's word."""
    chosen = binding.options.get("lanes", "") or str(profile.lanes)
    if not chosen.isdecimal() or not 1 <= int(chosen) <= MOST_LANES:
        words = f"The option “lanes” is a number from 1 to {MOST_LANES}."
        raise problems.refused("option-unusable", words, "Correct it.")
    if profile.max_sessions:  # one more for the login
        return max(1, min(int(chosen), profile.max_sessions - 1))
    return int(chosen)


def _initialised(token: Any) -> bool:
    return bool(token.flags & TokenFlag.TOKEN_INITIALIZED)


def _serial(token: Any) -> str:
    return bytes(token.serial).rstrip(b"\x00 ").decode("utf-8", errors="replace")
