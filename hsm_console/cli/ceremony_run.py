"""`hsm-console ceremony run|status|rehearse`: hold a ceremony at the terminal, look at one, rehearse one.

The terminal is a second client of the same gateway: each person steps up with her own credential, everything is
decided and recorded there. What is asked for at a step comes from the ceremony's view, as it does for the screen.
"""

from __future__ import annotations

import argparse
import base64
import calendar
import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from hsm_console.cli.terminal import Secrets, ask, credential_of, gateway_of, logged_in, usage
from hsm_console.client import ceremonies, device, people
from hsm_console.client.rendezvous import GatewayAddress
from hsm_console.client.session import Session, log_in
from hsm_console.domain.errors import ConsoleError, ExitCode
from hsm_console.domain.events import Decision, Seat
from hsm_console.domain.messages import ceremony as msg
from hsm_console.domain.messages.ceremony import CeremonyView, StepKind, StepView
from hsm_console.domain.people import Role


def register(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `run`, `status` and `rehearse` to the verb `ceremony`."""
    running = verbs.add_parser("run", help="hold a ceremony at the terminal, or go on with one")
    running.add_argument("workspace", type=Path)
    running.add_argument("ceremony", help="the script's id to begin, or the ceremony's id to go on")
    running.add_argument("--credential", required=True, metavar="FILE", help="the administrator's .p12 or short name")
    running.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a value of the script")

    status = verbs.add_parser("status", help="where the ceremonies of a workspace are")
    status.add_argument("workspace", type=Path)
    status.add_argument("ceremony", nargs="?", default="", help="one ceremony's id")
    status.add_argument("--credential", required=True, metavar="FILE", help="your .p12 or short name")
    status.add_argument("--secrets", choices=("-",), help="passphrase as JSON on standard input")
    status.add_argument("--json", action="store_true")

    rehearsing = verbs.add_parser("rehearse", help="play a script on the simulation with scripted participants")
    rehearsing.add_argument("ceremony", help="a TOML file, or the id of a script that ships")
    rehearsing.add_argument("--out", type=Path, required=True, metavar="DIR")
    rehearsing.add_argument("--algorithm", default="")
    rehearsing.add_argument("--label", default="")
    rehearsing.add_argument("--json", action="store_true")


def run(args: argparse.Namespace) -> int:
    """Run one of them. Raises ConsoleErrors."""
    return {"run": _run, "status": _status, "rehearse": _rehearse}[args.ceremony_verb](args)


def _rehearse(args: argparse.Namespace) -> int:
    """A script that cannot be held, or that nobody knows, is refused before anything is founded for it."""
    from hsm_console.ceremony import lint, script
    from hsm_console.cli import ceremony, demo

    text = ceremony.load(args.ceremony)
    parsed = script.parse(text)
    lint.check(parsed)
    args.headless, args.adapter = True, "simulation"
    if parsed.id in script.library() and text == script.library()[parsed.id]:
        return demo.run(args)
    if parsed.id in script.library():
        raise usage(
            "script-id-taken",
            f"The id “{parsed.id}” is that of a script that ships, and this file says something else.",
            "Give the script an id of its own.",
        )
    if "label" in parsed.parameters:
        args.label = args.label or parsed.parameters["label"].example
    args.ceremony = parsed.id
    return demo.run(args, own=text)


# -- status ------------------------------------------------------------------------------------------------------


def _status(args: argparse.Namespace) -> int:
    secrets = Secrets(from_stdin=args.secrets == "-")
    with logged_in(args.workspace, args.credential, secrets) as session:
        found: Any
        if args.ceremony:
            found = ceremonies.view(session, args.ceremony)
            lines = _lines(found)
        else:
            found = ceremonies.listed(session)
            lines = [f"{c.id}  {c.status}, {c.position} of {c.of}  {c.title}: {c.current_title}" for c in found]
    if args.json:
        print(json.dumps(msgspec.to_builtins(found), ensure_ascii=False, indent=1))
    else:
        print("\n".join(lines or ["There are no ceremonies yet."]))
    return ExitCode.OK


def _lines(view: CeremonyView) -> list[str]:
    marks = {"done": "x", "current": ">", "working": "*", "decide": "?"}
    lines = [f"{view.title} ({view.id}): {view.status}"]
    lines += [f" [{marks.get(s.status, ' ')}] {s.title}" + (f" — {s.done_by}" if s.done_by else "") for s in view.steps]
    if view.problem:
        lines += ["", view.problem.in_words()]
    return lines


# -- run ---------------------------------------------------------------------------------------------------------


def _run(args: argparse.Namespace) -> int:
    secrets = Secrets(from_stdin=False)
    with gateway_of(args.workspace) as address, _step_up(address, args.workspace, args.credential, secrets) as admin:
        if not device.state(admin).unlocked:
            with secrets.get("pin", "PIN of the token") as pin:
                device.unlock(admin, pin)
        table = _Table(args.workspace, address, secrets, admin)
        view = table.play(_begin(admin, args.ceremony, dict(_pair(text) for text in args.set)))
    print("\n".join(_lines(view)))
    return ExitCode.OK if view.status == "completed" else ExitCode.POLICY


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise usage("value-unreadable", f"“{text}” is not of the form NAME=VALUE.")
    return name, value


def _begin(admin: Session, wanted: str, given: dict[str, str]) -> CeremonyView:
    script = next((item for item in ceremonies.scripts(admin) if item.id == wanted), None)
    if script is None:
        return ceremonies.view(admin, wanted)
    _say(f"{script.title}. {script.purpose}", f"Digest {script.sha256}", f"Words  {script.words}")
    chosen = {}
    for name, choices in script.parameters.items():
        question = script.questions.get(name, name) + (f" ({', '.join(choices)})" if choices else "")
        default = choices[0] if choices else script.examples.get(name, "")
        chosen[name] = given.get(name) or ask(question, default)
    return ceremonies.open_ceremony(
        admin, msg.OpenCeremony(script_id=script.id, sha256=script.sha256, parameters=chosen)
    )


@contextlib.contextmanager
def _step_up(address: GatewayAddress, workspace: Path, credential: str, secrets: Secrets) -> Iterator[Session]:
    path = credential_of(workspace, credential)
    with secrets.get("passphrase", f"Passphrase of {path.name}") as passphrase:
        session = log_in(address, path, passphrase)
    with session:
        yield session


class _Table:
    """The people around one terminal."""

    def __init__(self, workspace: Path, address: GatewayAddress, secrets: Secrets, admin: Session) -> None:
        self._workspace = workspace
        self._address = address
        self._secrets = secrets
        self._admin = admin

    def play(self, view: CeremonyView) -> CeremonyView:
        """Step after step until it is closed. A refused answer is told, and asked for again."""
        while view.status not in ("completed", "abandoned"):
            try:
                view = self._turn(view)
            except ConsoleError as error:
                if error.problem.code in ("input-ended", "session-ended", "secret-missing"):
                    raise
                _say(error.problem.in_words())
                view = ceremonies.view(self._admin, view.id)
        return view

    def _turn(self, view: CeremonyView) -> CeremonyView:
        if view.status == "paused":
            ask("The ceremony is paused. Press Enter to resume it")
            return self._answer(self._admin, view, msg.Resume(step=view.current, revision=view.revision))
        step = next(item for item in view.steps if item.id == view.current)
        _say("", f"== {step.phase}: {step.title} ==", f"Read aloud: {step.say}", f"Expected: {step.expect}")
        if view.problem:
            _say(view.problem.in_words())
        if view.deciding or step.kind is StepKind.SIGN_OFF:
            who = ", ".join(f"{s.name} ({s.uid})" for s in (view.sign_off_due or view.next_actors))
            with self._person(f"Who signs? {who}") as session:
                return self._signed(session, view, step)
        with self._actor(view, step) as session:
            word = ask(f"{step.button}? Enter: yes; pause, deviation, end", "yes")
            return self._answer(session, view, self._what(word, view, step))

    @contextlib.contextmanager
    def _actor(self, view: CeremonyView, step: StepView) -> Iterator[Session]:
        if step.actor is Role.ADMINISTRATOR:
            yield self._admin
            return
        names = ", ".join(f"{s.name} ({s.uid})" for s in view.next_actors if s.uid) or step.actor.value
        with self._person(f"The {step.actor.value} steps up: {names}") as session:
            yield session

    @contextlib.contextmanager
    def _person(self, question: str) -> Iterator[Session]:
        credential = ask(f"{question} — credential file or short name")
        with _step_up(self._address, self._workspace, credential, self._secrets) as session:
            yield session

    @staticmethod
    def _answer(session: Session, view: CeremonyView, answer: msg.AnyAnswer) -> CeremonyView:
        return ceremonies.answer(session, view.id, answer)

    def _signed(self, session: Session, view: CeremonyView, step: StepView) -> CeremonyView:
        """Show the statement, ask for the decision, sign exactly what was shown."""
        yes, no = (Decision.APPROVE.value, Decision.DECLINE.value) if view.deciding else ("agree", "disagree")
        decision = no if ask(f"{yes} or {no}?", yes) == no else yes
        because = ask("Because") if decision == no else ""
        statement = ceremonies.statement(session, view.id, step.id, decision, because)
        _say(*(f"  {label}: {value}" for label, value in statement.lines))
        if ask("Sign this statement with your certificate? yes or no", "yes") != "yes":
            return ceremonies.view(session, view.id)
        common: dict[str, Any] = {"step": step.id, "revision": view.revision, "because": because}
        common |= {"statement": statement.canonical, "cms": session.sign_statement(statement.canonical)}
        if view.deciding:
            return self._answer(session, view, msg.Approve(decision=Decision(decision), **common))
        return self._answer(session, view, msg.SignOffAnswer(agrees=decision == "agree", **common))

    def _what(self, word: str, view: CeremonyView, step: StepView) -> msg.AnyAnswer:
        common: dict[str, Any] = {"step": step.id, "revision": view.revision}
        if word == "pause":
            return msg.Pause(why=ask("Why"), **common)
        if word == "end":
            return msg.Abandon(why=ask("Why does it end"), **common)
        if word == "deviation":
            expected, happened, decided = (ask(word) for word in ("Expected", "Happened", "Decided"))
            return msg.DeviationAnswer(expected=expected, happened=happened, decided=decided, **common)
        if step.kind is StepKind.PRESENCE:
            return msg.PresenceAnswer(seats=self._seats(), place=ask("Place"), **common)
        return _ANSWERS.get(step.kind, _confirmed)(view, step, common)

    def _seats(self) -> tuple[Seat, ...]:
        known = {row.person.uid: row for row in people.listed(self._admin) if not row.revoked}
        _say(*(f"  {uid}: {row.person.name} — {', '.join(row.roles)}" for uid, row in known.items()))
        found = []
        for role in Role:
            for uid in ask(f"Seated as {role.value} (short names, or nothing)").replace(",", " ").split():
                name = known[uid].person.name if uid in known else uid
                found.append(Seat(role=role, uid=uid, name=name))
        return tuple(found)


def _confirmed(view: CeremonyView, step: StepView, common: dict[str, Any]) -> msg.AnyAnswer:  # noqa: ARG001
    return msg.Confirmed(facts={name: ask(question) for name, question in step.asks.items()}, **common)


def _software(view: CeremonyView, step: StepView, common: dict[str, Any]) -> msg.AnyAnswer:  # noqa: ARG001
    questions = step.asks or {"read": "The first sixteen digits, or eight words, from the release sheet"}
    return msg.Confirmed(facts={name: ask(question) for name, question in questions.items()}, **common)


def _time(view: CeremonyView, step: StepView, common: dict[str, Any]) -> msg.AnyAnswer:  # noqa: ARG001
    """The person reads another clock at the moment she presses Enter; the workstation's clock is only the default."""
    source, zone = ask("Time source"), ask("Its time zone", "UTC")
    shown = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
    text = ask("What the source reads now, in UTC", shown)
    try:
        reads = time.strptime(text.rstrip("Z"), "%Y-%m-%dT%H:%M:%S")
    except ValueError:
        raise usage("time-unreadable", f"“{text}” is not of the form {shown}.") from None
    return msg.TimeSourceAnswer(source=source, zone=zone, reads_ms=calendar.timegm(reads) * 1000, **common)


def _checks(view: CeremonyView, step: StepView, common: dict[str, Any]) -> msg.AnyAnswer:  # noqa: ARG001
    return msg.RunChecks(**common)


def _perform(view: CeremonyView, step: StepView, common: dict[str, Any]) -> msg.AnyAnswer:  # noqa: ARG001
    word = ask(f"This cannot be undone. Type “{step.confirm}” to do it") if step.confirm else ""
    return msg.Perform(confirmed=word, **common)


def _words(view: CeremonyView, step: StepView, common: dict[str, Any]) -> msg.AnyAnswer:  # noqa: ARG001
    if view.key is not None:
        _say(f"Fingerprint: {view.key.fingerprint}")
    typed = {str(n): ask(f"Word {n} of your printed sheet (or: differ)") for n in view.challenge}
    return msg.WordsAnswer(words=typed, differ="differ" in typed.values(), **common)


def _document(view: CeremonyView, step: StepView, common: dict[str, Any]) -> msg.AnyAnswer:  # noqa: ARG001
    path = Path(ask("The document's file"))
    try:
        data = path.read_bytes()
    except OSError as error:
        raise usage("document-unreadable", f"{path} cannot be read: {error.strerror}.") from None
    return msg.DocumentAnswer(name=path.name, content=base64.b64encode(data).decode(), **common)


def _receipt(view: CeremonyView, step: StepView, common: dict[str, Any]) -> msg.AnyAnswer:  # noqa: ARG001
    _say(*(f"  {receipt.title}: {receipt.text}" for receipt in view.receipts))
    return msg.ScannedReceipt(text=ask("Scan the receipt (or nothing, where the house allows it)"), **common)


_ANSWERS: dict[StepKind, Callable[[CeremonyView, StepView, dict[str, Any]], msg.AnyAnswer]] = {
    StepKind.SOFTWARE_HASH: _software,
    StepKind.TIME_SOURCE: _time,
    StepKind.PREFLIGHT: _checks,
    StepKind.GENERATE: _perform,
    StepKind.CERTIFY: _perform,
    StepKind.READ_BACK: _perform,
    StepKind.COMPARE: _words,
    StepKind.SIGN_DOCUMENT: _document,
    StepKind.RECEIPT: _receipt,
}


def _say(*lines: str) -> None:
    sys.stderr.write("\n".join(lines) + "\n")
    sys.stderr.flush()
