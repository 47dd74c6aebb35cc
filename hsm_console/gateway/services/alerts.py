"""Alerts over the wire: list, wait, look, acknowledge; the rules in force; the device's own log held to ours."""

from __future__ import annotations

import threading

from msgspec.structs import replace

from hsm_console.detect import rulebook
from hsm_console.detect.rules import Rule
from hsm_console.domain import events as ev
from hsm_console.domain.errors import ExitCode, InputError, PolicyRefusal, Problem
from hsm_console.domain.events import Draft
from hsm_console.domain.messages.alerts import Acknowledge, AlertPage, AlertView, RulesView, RuleView, UsualView
from hsm_console.gateway import alert_rows, projections
from hsm_console.gateway.app import Call, Route, refused
from hsm_console.gateway.core import Core
from hsm_console.gateway.sessions import Session
from hsm_console.gateway.watch import Watch
from hsm_console.policy.roles import Action

MAX_WAIT_MS = 30_000
MAX_WAITERS = 6
NOTE_LENGTH = 500
MOST_USUAL = 500


class Alerts:
    """Handlers under /v1/alerts."""

    def __init__(self, core: Core, watch: Watch) -> None:
        self._core = core
        self._watch = watch
        self._waiters = threading.BoundedSemaphore(MAX_WAITERS)

    def routes(self) -> tuple[Route, ...]:
        one = "/v1/alerts/{seq}"
        return (
            Route(
                "GET",
                "/v1/alerts",
                self.listed,
                AlertPage,
                action=Action.READ_ALERTS,
                query=("before", "limit", "open", "after", "wait_ms"),
            ),
            Route("GET", "/v1/alerts/rules", self.rules, RulesView, action=Action.READ_ALERTS),
            Route("GET", "/v1/alerts/usual", self.usual, UsualView, action=Action.READ_ALERTS),
            Route("GET", one, self.show, AlertView, action=Action.READ_ALERTS),
            Route(
                "POST",
                f"{one}/acknowledgement",
                self.acknowledge,
                AlertView,
                body=Acknowledge,
                action=Action.ACKNOWLEDGE_ALERT,
            ),
        )

    def listed(self, call: Call) -> AlertPage:
        """Alerts, newest first; waits for one whose entry is higher than `after`"""
        after = call.number("after", -1, least=-1)
        wait_ms = call.number("wait_ms", 0, most=MAX_WAIT_MS)
        before = call.number("before", 2**53 - 1, least=0)
        limit = call.number("limit", 100, least=1, most=1000)
        only_open = call.number("open", 0, most=1) == 1
        # A waiting request holds a thread of the pool; when many wait already, the answer comes at once.
        if wait_ms and self._waiters.acquire(blocking=False):
            try:
                self._wait(after, wait_ms)
            finally:
                self._waiters.release()
        with self._core.reading() as conn:
            rows, more = alert_rows.alerts(conn, before=before, after=after, limit=limit, only_open=only_open)
            open_count, newest = alert_rows.counts(conn)
        page = AlertPage(rows=rows, open_count=open_count, newest=newest, more=more)
        return self._core.opener(call.session).struct(page)

    def _wait(self, after: int, wait_ms: int) -> None:
        until = self._core.clock.now().boottime_ms + wait_ms
        while True:
            size = self._core.log.size
            with self._core.reading() as conn:
                if alert_rows.counts(conn)[1] > after:
                    return
            left = until - self._core.clock.now().boottime_ms
            if left <= 0 or self._core.log.wait(size, left / 1000) <= size:
                return

    def show(self, call: Call) -> AlertView:
        """One alert"""
        return self._core.opener(call.session).struct(self._alert(_seq(call)))

    def _alert(self, seq: int) -> AlertView:
        with self._core.reading() as conn:
            found = alert_rows.alert(conn, seq)
        if found is None:
            raise _no_alert(seq)
        return found

    def acknowledge(self, call: Call) -> AlertView:
        """Say that an alert was looked at, and what it was"""
        found = self._alert(_seq(call))
        body: Acknowledge = call.body
        note = body.note.strip()
        if not note or len(note) > NOTE_LENGTH:
            raise _note_missing()
        if found.subject == call.session.person.uid:
            error = _own(found, call.session)
            self._core.note_refusal(call.session, "acknowledge-alert", error)
            raise error
        if not found.acknowledged_ms:
            event = ev.AlertAcknowledged(alert=found.seq, rule=found.rule, note=note)
            self._core.append(call.session, [Draft(event=event, actor=call.session.actor)])
        return self._core.opener(call.session).struct(self._alert(found.seq))

    def rules(self, call: Call) -> RulesView:  # noqa: ARG002
        """The rules that watch the log"""
        watch, rules = self._watch, self._watch.rules
        with self._core.reading() as conn:
            fired = alert_rows.fired(conn)
        found = sorted((rule for rule in rules.rules if rule.raises), key=lambda rule: rule.name)
        return RulesView(
            sha256=rules.sha256,
            rules=tuple(
                _rule(rule, fired.get(rule.name, (0, 0, -1)), watch.faults.get(rule.name, "")) for rule in found
            ),
            evaluated=watch.evaluated,
            size=self._core.log.size,
            refused=tuple(watch.refused),
            begun_at=watch.begun_at,
        )

    def usual(self, call: Call) -> UsualView:
        """What is usual for each key and each person"""
        keys, people = self._watch.usual()
        with self._core.reading() as conn:
            labels = {row.object_id: row.label for row in projections.keys(conn)}
        roster = self._core.rosters.current
        named = {one.uid: entry.person.name for one in people if (entry := roster.by_uid(one.uid)) is not None}
        view = UsualView(
            keys=tuple(replace(one, name=labels.get(one.uid, "") or one.name) for one in keys[:MOST_USUAL]),
            people=tuple(replace(one, name=named.get(one.uid, "")) for one in people[:MOST_USUAL]),
            evaluated=self._watch.evaluated,
            size=self._core.log.size,
        )
        return self._core.opener(call.session).struct(view)


def _rule(rule: Rule, fired: tuple[int, int, int], fault: str) -> RuleView:
    return replace(
        rulebook.view_of(rule),
        fired=fired[0],
        last_ms=fired[1],
        last_seq=fired[2],
        own=rule.sha256 not in rulebook.digests(),
        fault=fault,
    )


def _no_alert(seq: int) -> InputError:
    return InputError(
        Problem(
            code="not-found",
            what=f"Entry {seq} is no alert.",
            todo="Look at the list of alerts: an alert is named by the number of its own entry.",
            contact="an auditor",
            exit_code=ExitCode.USAGE,
        )
    )


def _note_missing() -> InputError:
    return InputError(
        Problem(
            code="note-missing",
            what=f"An answer to an alert says in 1 to {NOTE_LENGTH} characters what it was.",
            todo="Write one sentence, also when it was nothing; then answer again.",
            contact="an auditor",
            exit_code=ExitCode.USAGE,
        )
    )


def _own(found: AlertView, session: Session) -> PolicyRefusal:
    return PolicyRefusal(
        Problem(
            code="own-alert",
            what=f"Alert {found.seq} tells of an act of {session.person.name} herself, who may not put it aside.",
            todo="Ask another administrator or an auditor to look at it.",
            exit_code=ExitCode.POLICY,
        )
    )


def _seq(call: Call) -> int:
    text = call.params["seq"]
    if not text.isascii() or not text.isdecimal() or len(text) > 15:
        raise refused("query-refused", "An alert is named by the number of its entry.")
    return int(text)
