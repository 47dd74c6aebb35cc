"""The kinds of records in words that people use, and what the verifier's words mean."""

from __future__ import annotations

from ui.texts import tr


def kinds() -> dict[str, str]:
    """Tag of an event → its name on the screen, in the order of the filter."""
    return {
        "logged-on": tr("Logged in"),
        "logged-off": tr("Logged off"),
        "log-on-refused": tr("Log-in refused"),
        "action-refused": tr("Request refused"),
        "device-unlocked": tr("Module unlocked"),
        "device-unlock-refused": tr("Unlocking refused"),
        "device-down": tr("Module locked or lost"),
        "ceremony-opened": tr("Ceremony opened"),
        "step-done": tr("Step done"),
        "step-missed": tr("Step not passed"),
        "challenge-set": tr("Words chosen to compare"),
        "approval-given": tr("Decision signed"),
        "quorum-reached": tr("Quorum reached"),
        "quorum-declined": tr("Quorum declined"),
        "retry-needed": tr("New decision needed"),
        "deviation-recorded": tr("Deviation recorded"),
        "signed-off": tr("Signed off"),
        "ceremony-paused": tr("Ceremony paused"),
        "ceremony-resumed": tr("Ceremony resumed"),
        "minutes-written": tr("Minutes written"),
        "ceremony-closed": tr("Ceremony closed"),
        "operation-intended": tr("About to use the module"),
        "operation-succeeded": tr("Module did it"),
        "operation-failed": tr("Module refused"),
        "operation-interrupted": tr("Module interrupted"),
        "person-enrolled": tr("Person enrolled"),
        "person-revoked": tr("Person revoked"),
        "roster-issued": tr("Roster signed"),
        "crl-issued": tr("List of revoked signed"),
        "receipt-issued": tr("Receipt issued"),
        "log-viewed": tr("Log looked at"),
        "log-verified": tr("Log verified"),
        "log-exported": tr("Log exported"),
        "alert-raised": tr("Alert"),
        "alert-acknowledged": tr("Alert answered"),
        "rules-loaded": tr("Rules of detection loaded"),
        "heartbeat": tr("Sign of life"),
        "keys-read-back": tr("Keys held against the log"),
        "device-log-compared": tr("Log of the module compared"),
        "time-change-declared": tr("Clock set"),
        "gateway-started": tr("Workstation started"),
        "gateway-stopped": tr("Workstation stopped"),
        "policy-in-force": tr("Rules of the house"),
        "log-created": tr("Log created"),
    }


def kind(tag: str) -> str:
    """The tag itself for a kind that this program does not know yet."""
    return kinds().get(tag, tag)


def meaning(word: str) -> str:
    """What a finding's word says, for people who have not read the format; empty for a word that is new."""
    return {
        "REWRITTEN": tr("A record was changed after it was written."),
        "GAP": tr("A record is missing in the middle."),
        "CHAIN": tr("A record does not continue the one before it."),
        "TRUNCATED": tr("Records are missing at the end."),
        "ROLLED-BACK": tr("The log is older than what an anchor outside remembers."),
        "BAD-SIGNATURE": tr("A signature over the log does not hold."),
        "FOREIGN": tr("A record or signature belongs to another log."),
        "UNSIGNED": tr("The log should carry a signature and carries none."),
        "DOWNGRADE": tr("A weaker format is used than the log promises."),
        "CLOCK": tr("The workstation's clock jumped and nobody declared it."),
        "UNCLEAN": tr("The workstation stopped without a proper end."),
        "FORK": tr("Two histories exist that contradict each other."),
        "BAD-PROOF": tr("A proof does not lead to the signed head."),
        "INCOMPLETE": tr("Something that was begun has no end in the log."),
        "DISCLOSURE": tr("Something stands in the log that must not."),
        "SEALED": tr("A sealed part was touched."),
        "SEGMENT": tr("An archived part does not fit the rest."),
        "SHADOW-OP": tr("The module did something that nobody recorded."),
        "PHANTOM-OP": tr("The log records something that the module did not do."),
        "DEVICE-CHANGED": tr("Another module answered than before."),
        "INTERRUPTED": tr("An operation in the module was interrupted."),
        "WITNESS-CONFLICT": tr("A witness signed another history."),
    }.get(word, "")
