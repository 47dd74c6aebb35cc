"""`hsm-console key …`: the keys of a workspace: look, and ask for what needs a quorum (make, destroy, wrap, unwrap).

What is asked for is an order: custodians approve it with `hsm-console order approve`, then `hsm-console order run`
carries it out. A key is named by its id or by its name.
"""

from __future__ import annotations

import argparse
import base64
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from hsm_console.cli.terminal import Secrets, logged_in, read_file, require_new, usage, write_file
from hsm_console.client import keys, orders, work
from hsm_console.client.session import Session
from hsm_console.domain.errors import ExitCode
from hsm_console.domain.messages import work as msg
from hsm_console.domain.messages.ceremony import KeyView
from hsm_console.domain.messages.orders import OrderView

WRAPPED_BYTES = 32 * 1024
_WORDS = {
    "list": "every key that the log knows, newest first",
    "show": "one key: where it lies, what it may do, and why not the rest",
    "offers": "what kinds of keys can be made now",
    "make": "ask for new keys, one or many",
    "destroy": "ask for a key to be destroyed for good",
    "wrap": "ask for a key to leave the module, encrypted under a wrapping key",
    "unwrap": "ask for a wrapped key to come into the module",
    "wrapped": "save a wrapped key that an order has let out",
}


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("key", help="look at keys; ask for new ones, destroy, wrap, unwrap")
    verbs = parser.add_subparsers(dest="key_verb", metavar="VERB", required=True)
    for name, words in _WORDS.items():
        verb = verbs.add_parser(name, help=words)
        verb.add_argument("workspace", type=Path)
        if name in ("show", "destroy", "wrap"):
            verb.add_argument("key", help="the key's id or name")
        if name in _MORE:
            _MORE[name](verb)
        verb.add_argument("--credential", required=True, metavar="FILE", help="your .p12 or short name")
        verb.add_argument("--secrets", choices=("-",), help="passphrase as JSON on standard input")
        verb.add_argument("--json", action="store_true")


def _of_listing(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--find", default="", metavar="TEXT", help="part of a name, an id or a fingerprint")
    verb.add_argument("--limit", type=int, default=0, metavar="N", help="at most so many, 1 to 1000")
    verb.add_argument("--after", default="", metavar="ID", help="go on after this key: the last one of the page before")


def _of_making(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--algorithm", required=True, help="a kind of key, as `key offers` lists them")
    verb.add_argument("--label", required=True, help="the name; {n} becomes the number, {nn} with a zero before it")
    verb.add_argument("--count", type=int, default=1, help="how many, 1 to 1000")
    verb.add_argument("--usages", default="", help="of sign, encrypt, wrap, derive; with a comma between them")
    verb.add_argument("--extractable", action="store_true", help="may leave the module under a wrapping key")


def _of_destroying(verb: argparse.ArgumentParser) -> None:
    said = "a further device whose copy is left; may be given several times"
    verb.add_argument("--leave", action="append", default=[], metavar="DEVICE", help=said)


def _of_wrapping(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--under", required=True, metavar="KEY", help="the wrapping key's id or name")


def _of_unwrapping(verb: argparse.ArgumentParser) -> None:
    _of_wrapping(verb)
    source = verb.add_mutually_exclusive_group(required=True)
    source.add_argument("--sha256", default="", help="of a key that an order has let out here")
    source.add_argument("--file", type=Path, help="a wrapped key from elsewhere")
    verb.add_argument("--algorithm", required=True)
    verb.add_argument("--label", required=True, help="its name from now on")
    verb.add_argument("--usages", default="", help="of sign, encrypt, wrap, derive; with a comma between them")


def _of_saving(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("sha256", help="as the order told it")
    verb.add_argument("--out", type=Path, required=True, metavar="FILE")


_MORE: dict[str, Callable[[argparse.ArgumentParser], None]] = {
    "list": _of_listing,
    "make": _of_making,
    "destroy": _of_destroying,
    "wrap": _of_wrapping,
    "unwrap": _of_unwrapping,
    "wrapped": _of_saving,
}


def run(args: argparse.Namespace) -> int:
    """Run one of them. Raises ConsoleErrors."""
    with logged_in(args.workspace, args.credential, Secrets(from_stdin=args.secrets == "-")) as session:
        found, lines = _VERBS[args.key_verb](args, session)
    sys.stdout.write(msgspec.json.encode(found).decode() + "\n" if args.json else "".join(f"{x}\n" for x in lines))
    return ExitCode.OK


def find(session: Session, given: str) -> KeyView:
    """A key by its id or its name. Raises InputError `key-unknown`."""
    listed = keys.listed(session, given)
    for key in listed:
        if key.object_id == given.lower():
            return key
    named = [key for key in listed if key.label == given and key.state == "active"]
    if len(named) != 1:
        raise usage(
            "key-unknown",
            f"There is no key “{given[:80]}” here.",
            "`hsm-console key list` shows the keys. One that was asked for exists once its order was run.",
        )
    return named[0]


def _list(args: argparse.Namespace, session: Session) -> tuple[Any, list[str]]:
    if not (args.limit or args.find or args.after):
        found = keys.listed(session)
    else:
        limit = args.limit or keys.PAGE
        found = keys.page(session, text=args.find, after=args.after, limit=limit)
    lines = [f"{k.object_id}  {k.algorithm}  {k.state}  {k.custody.value}  {k.label}" for k in found]
    return found, lines or ["There are no keys."]


def _show(args: argparse.Namespace, session: Session) -> tuple[Any, list[str]]:
    detail = work.detail(session, find(session, args.key).object_id)
    lines = [f"{detail.label} ({detail.algorithm.value}, {detail.state})", f"id: {detail.key_id}", detail.custody_words]
    lines += [f"may {act}" for act in detail.acts]
    lines += [f"does not {act}: {reason}" for act, reason in detail.why_not.items()]
    return detail, lines + [f"signs with {name.value}" for name in detail.mechanisms]


def _offers(_args: argparse.Namespace, session: Session) -> tuple[Any, list[str]]:
    found = work.offers(session)
    return found, [
        f"{offer.algorithm.value}  to {', '.join(offer.usages)}  ({offer.title}, {offer.custody.value})"
        for offer in found
    ]


def _ask(session: Session, action: str, given: dict[str, str]) -> tuple[Any, list[str]]:
    view = orders.open_order(session, action, given)
    return view, _next(view)


def _next(view: OrderView) -> list[str]:
    who = f"{view.needed} of {view.of} {view.role.value}s approve it with “hsm-console order approve”"
    lines = [f"{view.id}: {view.state.value}", view.summary]
    return [*lines, f"{who}, then “hsm-console order run” carries it out."] if view.needed else lines


def _make(args: argparse.Namespace, session: Session) -> tuple[Any, list[str]]:
    given = {"algorithm": args.algorithm, "label": args.label, "count": str(args.count), "usages": args.usages}
    return _ask(session, msg.GENERATE_KEYS, given | {"extractable": "yes" if args.extractable else "no"})


def _destroy(args: argparse.Namespace, session: Session) -> tuple[Any, list[str]]:
    given = {"key": find(session, args.key).object_id}
    return _ask(session, msg.DESTROY_KEY, given | ({"leave": ",".join(args.leave)} if args.leave else {}))


def _wrap(args: argparse.Namespace, session: Session) -> tuple[Any, list[str]]:
    given = {"key": find(session, args.key).object_id, "under": find(session, args.under).object_id}
    return _ask(session, msg.WRAP_KEY, given)


def _unwrap(args: argparse.Namespace, session: Session) -> tuple[Any, list[str]]:
    given = {"under": find(session, args.under).object_id, "algorithm": args.algorithm, "label": args.label}
    given |= {"usages": args.usages} if args.usages else {}
    if args.file is not None:
        return _ask(
            session,
            msg.UNWRAP_KEY,
            given | {"wrapped": base64.b64encode(read_file(args.file, WRAPPED_BYTES)).decode()},
        )
    return _ask(session, msg.UNWRAP_KEY, given | {"sha256": args.sha256})


def _wrapped(args: argparse.Namespace, session: Session) -> tuple[Any, list[str]]:
    require_new(args.out)
    data = work.wrapped(session, args.sha256)
    write_file(args.out, data)
    return {"out": str(args.out), "octets": len(data)}, [f"{args.out}: {len(data)} octets"]


_VERBS: dict[str, Callable[[argparse.Namespace, Session], tuple[Any, list[str]]]] = {
    "list": _list,
    "show": _show,
    "offers": _offers,
    "make": _make,
    "destroy": _destroy,
    "wrap": _wrap,
    "unwrap": _unwrap,
    "wrapped": _wrapped,
}
