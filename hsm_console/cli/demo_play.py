"""The play: what each participant does at each kind of step, through the same client as the screen's."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Callable

from hsm_console.cli import demo_cast as cast
from hsm_console.cli.demo_stage import Say, Stage
from hsm_console.client import ceremonies
from hsm_console.client.session import Session
from hsm_console.crypto import software
from hsm_console.domain.errors import EnvironmentFault, Problem
from hsm_console.domain.events import Decision, Seat
from hsm_console.domain.messages import ceremony as msg
from hsm_console.domain.messages.ceremony import CeremonyView, StepKind, StepView
from hsm_console.domain.people import Role

HASH_DIGITS = 16
CLOSED = ("completed", "abandoned")
MAX_MISSES = 3


class Play:
    """One ceremony from wherever it is to its end."""

    def __init__(self, stage: Stage, script_id: str, parameters: dict[str, str], say: Say) -> None:
        self._stage = stage
        self._script_id = script_id
        self._parameters = parameters
        self._say = say
        self._turns: dict[str, int] = {}
        self.made_something = False

    def run(self) -> CeremonyView:
        """Open or find the ceremony and play it to its end."""
        view = self._stage.persist(self._find)
        while view.status not in CLOSED:
            self.made_something = True
            view = self._stage.persist(self._turn)
        return view

    def _find(self) -> CeremonyView:
        """The newest ceremony of this script, or a new one."""
        session = self._stage.administrator()
        scripts = {item.id: item for item in ceremonies.scripts(session)}
        script = scripts.get(self._script_id)
        if script is None:
            raise EnvironmentFault(
                Problem(
                    code="script-unknown",
                    what=f"There is no ceremony “{self._script_id}”.",
                    todo=f"Choose one of: {', '.join(sorted(scripts))}.",
                )
            )
        for item in ceremonies.listed(session):
            view = ceremonies.view(session, item.id)
            if view.script_id == script.id:
                if item.position:
                    self._say(f"Going on with {view.id} at step {item.position} of {item.of}.")
                return view
        chosen = {name: self._parameters.get(name) or _default(script, name) for name in script.parameters}
        self._say(f"Ada Lovelace opens the ceremony “{script.title}”.")
        wish = msg.OpenCeremony(script_id=script.id, sha256=script.sha256, parameters=chosen)
        return ceremonies.open_ceremony(session, wish)

    def _turn(self) -> CeremonyView:
        """Look where the ceremony is, and let whose turn it is act once."""
        session = self._stage.administrator()
        found = next(
            i for i in ceremonies.listed(session) if ceremonies.view(session, i.id).script_id == self._script_id
        )
        view = ceremonies.view(session, found.id)
        if view.status in CLOSED:  # a kill came between the last signature and the answer; unlocking finished it
            return view
        if view.status == "paused":
            return ceremonies.answer(session, view.id, msg.Resume(step=view.current, revision=view.revision))
        step = next((item for item in view.steps if item.id == view.current), None)
        if step is None:
            return self._stuck(view, "the end")
        self._count(view, step)
        if view.deciding:
            return self._decide(view)
        if step.kind is StepKind.SIGN_OFF:
            return self._sign_off(view)
        return self._act(view, step)

    def _count(self, view: CeremonyView, step: StepView) -> None:
        """A step that does not pass again and again is not put up with; votes and signatures are one turn each."""
        taken = len(view.sign_offs) + (len(view.quorum.approvals) if view.quorum else 0)
        mark = f"{step.id} {taken} {self._stage.interruptions}"
        self._turns[mark] = self._turns.get(mark, 0) + 1
        if self._turns[mark] > MAX_MISSES:
            self._stuck(view, step.title)

    @staticmethod
    def _stuck(view: CeremonyView, where: str) -> CeremonyView:
        why = view.problem.what if view.problem else "It does not move."
        raise EnvironmentFault(
            Problem(
                code="demo-stuck",
                what=f"The demonstration cannot go on at “{where}”. {why}",
                todo=view.problem.todo if view.problem else "Look at the ceremony with `hsm-console ceremony status`.",
            )
        )

    def _act(self, view: CeremonyView, step: StepView) -> CeremonyView:
        player = cast.of_role(step.actor)[0]
        with self._stage.on_stage(player) as session:
            self._say(f"{player.name}: {step.button}.")
            return ceremonies.answer(session, view.id, _ANSWERS[step.kind](view, step))

    def _decide(self, view: CeremonyView) -> CeremonyView:
        """The next custodian who has not voted decides with a signature of her own."""
        assert view.quorum is not None  # noqa: S101 - something is being decided
        voted = {vote.uid for vote in view.quorum.approvals}
        player = next(p for p in cast.of_role(Role.CUSTODIAN) if p.uid not in voted)
        with self._stage.on_stage(player) as session:
            self._say(f"{player.name} reads the statement, signs it and approves.")
            subject = ceremonies.statement(session, view.id, view.current, Decision.APPROVE.value)
            answer = msg.Approve(
                step=view.current,
                revision=view.revision,
                decision=Decision.APPROVE,
                statement=subject.canonical,
                cms=session.sign_statement(subject.canonical),
            )
            return ceremonies.answer(session, view.id, answer)

    def _sign_off(self, view: CeremonyView) -> CeremonyView:
        if not view.sign_off_due:
            return self._stuck(view, "the sign-off")
        player = cast.player(view.sign_off_due[0].uid)
        with self._stage.on_stage(player) as session:
            self._say(f"{player.name} signs off: the script was followed.")
            return ceremonies.answer(session, view.id, _signed_off(session, view))


def _signed_off(session: Session, view: CeremonyView) -> msg.SignOffAnswer:
    statement = ceremonies.statement(session, view.id, view.current, "agree")
    return msg.SignOffAnswer(
        step=view.current,
        revision=view.revision,
        agrees=True,
        statement=statement.canonical,
        cms=session.sign_statement(statement.canonical),
    )


def _default(script: msg.ScriptSummary, name: str) -> str:
    choices = script.parameters[name]
    return choices[0] if choices else cast.LABEL if name == "label" else script.examples.get(name, "")


# -- one function for each kind of step ------------------------------------------------------------------------


def _confirmed(view: CeremonyView, step: StepView) -> msg.Confirmed:
    facts = dict.fromkeys(step.asks, "as on the sheet")
    return msg.Confirmed(step=step.id, revision=view.revision, facts=facts)


def _presence(view: CeremonyView, step: StepView) -> msg.PresenceAnswer:
    seats = tuple(Seat(role=p.role, uid=p.uid, name=p.name) for p in cast.CAST)
    return msg.PresenceAnswer(step=step.id, revision=view.revision, seats=seats, place=cast.PLACE)


def _time(view: CeremonyView, step: StepView) -> msg.TimeSourceAnswer:
    now = time.time_ns() // 1_000_000
    return msg.TimeSourceAnswer(
        step=step.id,
        revision=view.revision,
        source="this machine's own clock (demonstration)",
        zone="UTC",
        reads_ms=now,
    )


def _software(view: CeremonyView, step: StepView) -> msg.Confirmed:
    """The witness reads the digest of the files of this installation, not what the gateway says of itself."""
    return msg.Confirmed(step=step.id, revision=view.revision, facts={"read": software.sha256()[:HASH_DIGITS]})


def _checks(view: CeremonyView, step: StepView) -> msg.RunChecks:
    return msg.RunChecks(step=step.id, revision=view.revision)


def _perform(view: CeremonyView, step: StepView) -> msg.Perform:
    return msg.Perform(step=step.id, revision=view.revision, confirmed=step.confirm)


def _words(view: CeremonyView, step: StepView) -> msg.WordsAnswer:
    assert view.key is not None  # noqa: S101 - it was made before it is compared
    typed = {str(n): view.key.words[n - 1] for n in view.challenge}
    return msg.WordsAnswer(step=step.id, revision=view.revision, words=typed)


def _document(view: CeremonyView, step: StepView) -> msg.DocumentAnswer:
    content = base64.b64encode(cast.DOCUMENT).decode()
    return msg.DocumentAnswer(step=step.id, revision=view.revision, name=cast.DOCUMENT_NAME, content=content)


def _receipt(view: CeremonyView, step: StepView) -> msg.ScannedReceipt:
    """The code is read back from the picture, as a scanner would."""
    from PIL import Image

    from hsm_console.paper import qr

    text = ""
    if view.receipts:
        with Image.open(io.BytesIO(base64.b64decode(view.receipts[0].png))) as picture:
            text = qr.read(picture)[0]
    return msg.ScannedReceipt(step=step.id, revision=view.revision, text=text)


_ANSWERS: dict[StepKind, Callable[[CeremonyView, StepView], msg.AnyAnswer]] = {
    StepKind.READ_ALOUD: _confirmed,
    StepKind.PRESENCE: _presence,
    StepKind.TIME_SOURCE: _time,
    StepKind.SOFTWARE_HASH: _software,
    StepKind.PREFLIGHT: _checks,
    StepKind.GENERATE: _perform,
    StepKind.READ_BACK: _perform,
    StepKind.COMPARE: _words,
    StepKind.CERTIFY: _perform,
    StepKind.SIGN_DOCUMENT: _document,
    StepKind.RECEIPT: _receipt,
}
