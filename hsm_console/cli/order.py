"""`hsm-console order …`: ask for an act that needs a quorum, decide about it, carry it out, stop it.

Each person uses her own credential; the decision is signed with it. `run` waits and shows how far it is.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from hsm_console.cli.terminal import Secrets, ask, logged_in, usage
from hsm_console.client import orders
from hsm_console.client.session import Session
from hsm_console.domain.errors import ExitCode
from hsm_console.domain.events import Decision
from hsm_console.domain.messages.orders import OrderKindView, OrderState, OrderView

POLL_SECONDS = 0.2
_WORDS = {
    "kinds": "what can be ordered here, and what has to be given",
    "list": "all orders, newest first",
    "show": "one order",
    "open": "ask for an act",
    "approve": "read the statement, sign it, approve",
    "decline": "read the statement, sign it, decline with a reason",
    "run": "carry it out, and wait for its end",
    "stop": "ask a run to end after what it is at",
    "withdraw": "take your own order back",
}


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("order", help="ask for, decide about and carry out what needs a quorum")
    verbs = parser.add_subparsers(dest="order_verb", metavar="VERB", required=True)
    for name, words in _WORDS.items():
        verb = verbs.add_parser(name, help=words)
        verb.add_argument("workspace", type=Path)
        if name == "open":
            verb.add_argument("action", help="a kind of order, as `order kinds` lists them")
            verb.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a value of the order")
        elif name not in ("kinds", "list"):
            verb.add_argument("order", help="the order's id")
        if name in ("approve", "decline"):
            verb.add_argument("--because", default="", help="the reason; a decline needs one")
            verb.add_argument("--yes", action="store_true", help="sign without being asked once more")
        verb.add_argument("--credential", required=True, metavar="FILE", help="your .p12 or short name")
        verb.add_argument("--secrets", choices=("-",), help="passphrase as JSON on standard input")
        verb.add_argument("--json", action="store_true")


def run(args: argparse.Namespace) -> int:
    """Run one of them. Raises ConsoleErrors."""
    with logged_in(args.workspace, args.credential, Secrets(from_stdin=args.secrets == "-")) as session:
        if args.order_verb == "kinds":
            kinds = orders.kinds(session)
            _tell(args, msgspec.json.encode(kinds), [_kind(kind) for kind in kinds])
            return ExitCode.OK
        if args.order_verb == "list":
            found = orders.listed(session)
            lines = [f"{o.id}  {o.state.value}  {o.summary}" for o in found]
            _tell(args, msgspec.json.encode(found), lines or ["There are no orders."])
            return ExitCode.OK
        view = _VERBS[args.order_verb](args, session)
        _tell(args, msgspec.json.encode(view), _lines(view))
        return ExitCode.ENVIRONMENT if view.state is OrderState.FAILED and args.order_verb == "run" else ExitCode.OK


def _tell(args: argparse.Namespace, data: bytes, lines: list[str]) -> None:
    sys.stdout.write(data.decode() + "\n" if args.json else "".join(f"{line}\n" for line in lines))


def _kind(kind: OrderKindView) -> str:
    """What may stay away stands in brackets."""
    given = [f"[{name}]" if name in kind.optional else name for name in kind.parameters]
    return f"{kind.action}  {kind.title}  ({', '.join(given)})"


def _lines(view: OrderView) -> list[str]:
    lines = [f"{view.id}: {view.state.value}", view.summary, f"Asked for by {view.opened_name}."]
    lines += [f"  {name}: {text}" for name, text in view.parameters.items()]
    if view.needed:
        approvals = sum(vote.decision is Decision.APPROVE for vote in view.votes)
        lines.append(f"Approvals: {approvals} of {view.needed} needed; {view.of} {view.role.value}s may decide.")
    lines += [f"  {v.name}: {v.decision.value}{f' ({v.because})' if v.because else ''}" for v in view.votes]
    if view.total:
        lines.append(f"Done: {view.done} of {view.total}.")
    lines += [f"{name}: {text}" for name, text in view.result.items()]
    return lines + (view.problem.in_words().splitlines() if view.problem else [])


def _open(args: argparse.Namespace, session: Session) -> OrderView:
    parameters = {}
    for item in args.set:
        name, equals, text = item.partition("=")
        if not equals:
            raise usage("set-unreadable", f"“{item}” is not NAME=VALUE.")
        parameters[name] = text
    return orders.open_order(session, args.action, parameters)


def _decide(args: argparse.Namespace, session: Session) -> OrderView:
    decision = Decision(args.order_verb)
    if decision is Decision.DECLINE and not args.because.strip():
        raise usage("reason-missing", "To decline needs a sentence that says why.", 'Add it: --because "…".')
    said = orders.statement(session, args.order, decision, args.because)
    for label, text in said.lines:
        sys.stderr.write(f"{label}: {text}\n")
    if not args.yes and ask("Sign this? Type yes").strip().lower() != "yes":
        raise usage("not-confirmed", "Nothing was signed.", "Type yes to sign it; `order show` shows it once more.")
    return orders.decide(session, args.order, decision, args.because, canonical=said.canonical)


def _run(args: argparse.Namespace, session: Session) -> OrderView:
    view = orders.run(session, args.order)
    told = -1
    while view.state is OrderState.RUNNING:
        time.sleep(POLL_SECONDS)
        view = orders.show(session, args.order)
        if view.total and view.done != told and not args.json:
            told = view.done
            sys.stderr.write(f"{view.done} of {view.total}\n")
    return view


_VERBS: dict[str, Callable[[argparse.Namespace, Session], OrderView]] = {
    "show": lambda args, session: orders.show(session, args.order),
    "open": _open,
    "approve": _decide,
    "decline": _decide,
    "run": _run,
    "stop": lambda args, session: orders.stop(session, args.order),
    "withdraw": lambda args, session: orders.withdraw(session, args.order),
}
