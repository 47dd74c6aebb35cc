"""Several modules in words: how each one is, who serves, what comparing their keys found."""

from __future__ import annotations

from dataclasses import dataclass

from hsm_console.domain.messages.devices import CallMetric, ClusterKey, DeviceRow, FleetView
from ui import texts
from ui.texts import tr

SERVING = ("up", "degraded")


@dataclass(frozen=True)
class Said:
    """words with an icon and a colour token beside them; look: of a notice."""

    words: str
    icon: str
    colour: str
    look: str = "notice"


def title(row: DeviceRow) -> str:
    """What people call it: the first module has no name of its own but its label."""
    return (row.label or tr("the first module")) if row.primary else row.name


def names(fleet: FleetView) -> dict[str, str]:
    """Name on the wire → what people call it."""
    return {row.name: title(row) for row in fleet.devices}


def serves(row: DeviceRow) -> bool:
    return row.unlocked and row.state in SERVING


def state(row: DeviceRow) -> Said:
    """One sentence. A module that answers is still no help while it is locked."""
    if row.state == "latched":
        text = tr("Left alone after it failed again and again, until somebody asks it or unlocks it.")
        return Said(text, "cross", "bad", "problem")
    if row.state == "down":
        return Said(tr("It does not answer."), "off", "bad", "problem")
    if not row.unlocked:
        return Said(tr("Locked: no key in it can be used."), "lock", "warn")
    if row.state == "degraded":
        return Said(tr("It serves, but it is slow or a check failed."), "alert", "warn")
    return Said(tr("In order: it serves."), "check", "good", "done")


def line(row: DeviceRow) -> str:
    """Below its name, where modules stand one below the other."""
    parts = [state(row).words]
    if row.took_ms > 0 and row.state in SERVING:
        parts.append(tr("answers in {ms} ms", ms=f"{row.took_ms:.1f}"))
    if row.waiting:
        parts.append(tr("{n} calls wait", n=row.waiting))
    if row.region:
        parts.append(tr("region {region}", region=row.region))
    if row.primary:
        parts.append(tr("carries the log's key"))
    if row.problem is not None:
        parts.append(row.problem.what)
    return "  ·  ".join(parts)


def facts(row: DeviceRow) -> list[tuple[str, str]]:
    """Everything that is told of it, for its own page."""
    kind = " ".join(part for part in (row.vendor, row.model) if part) or row.adapter
    found = [
        (tr("Label"), row.label),
        (tr("Kind"), kind),
        (tr("Serial number"), row.serial or tr("not told")),
        (tr("Firmware"), row.firmware or tr("not told")),
        (tr("Last check"), _check(row)),
        (tr("In this state since"), texts.moment(row.last_change_ms) if row.last_change_ms else tr("not known")),
        (tr("Waiting calls"), str(row.waiting)),
        (tr("Calls at the same time"), str(row.lanes)),
        (tr("At work with"), row.busy_with or tr("nothing that holds it")),
        (tr("Keys at the last comparison"), str(row.keys) if row.keys >= 0 else tr("not compared yet")),
        (tr("Region"), row.region or tr("none")),
        (tr("Share of the work"), _share(row)),
    ]
    if row.primary:
        found.append((tr("What only it does"), tr("It carries the ceremony authority and the key that signs the log.")))
    return found


def _check(row: DeviceRow) -> str:
    if not row.checked_ms:
        return tr("none yet")
    if row.state not in SERVING:
        return tr("{when}, without an answer", when=texts.moment(row.checked_ms))
    return tr("{when}, answered in {ms} ms", when=texts.moment(row.checked_ms), ms=f"{row.took_ms:.1f}")


def _share(row: DeviceRow) -> str:
    if row.weight == 0:
        return tr("0: only when no other can")
    return tr("{n}, against the shares of the others", n=row.weight)


def failover(fleet: FleetView) -> Said:
    """Who does the work now, and who would if one failed."""
    able = [title(row) for row in fleet.devices if serves(row)]
    if not able:
        text = tr("No module serves now: keys cannot be used. Unlock one, or see why it does not answer.")
        return Said(text, "alert", "bad", "problem")
    if len(fleet.devices) == 1:
        return Said(tr("One module serves. If it fails, nothing takes its place."), "check", "good", "done")
    if len(able) == 1:
        text = tr("Only “{name}” serves now. If it fails, nothing takes its place.", name=able[0])
        return Said(text, "alert", "warn")
    every = texts.names([f"“{name}”" for name in able])
    text = tr("{names} serve. If one fails, another that holds the key goes on with what may be repeated; a key is "
              "never made, and nothing is destroyed, a second time.", names=every)  # fmt: skip
    return Said(text, "check", "good", "done")


def metrics(calls: tuple[CallMetric, ...]) -> str:
    """A table of fixed width, for the fold."""
    if not calls:
        return tr("No call yet since the gateway started.")
    head = (tr("call"), tr("count"), tr("failed"), tr("median ms"), tr("p99 ms"))
    rows = [(c.call, f"{c.count}", f"{c.failed}", f"{c.p50_ms:.2f}", f"{c.p99_ms:.2f}") for c in calls]
    widths = [max(len(line[n]) for line in (head, *rows)) for n in range(len(head))]
    lines = []
    for cells in (head, *rows):
        rest = "  ".join(cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True))
        lines.append(f"{cells[0].ljust(widths[0])}  {rest}")
    return "\n".join(lines)


# -- comparing ---------------------------------------------------------------------------------------------------


def is_right(key: ClusterKey) -> bool:
    return not (key.missing or key.different or key.foreign)


def verdict(key: ClusterKey, called: dict[str, str]) -> Said:
    """What was found of one key. called: name on the wire → what people call the module."""
    if key.different:
        text = tr("ANOTHER KEY lies under this id on {names}", names=_named(key.different, called))
        return Said(text, "alert", "bad")
    if key.foreign:
        return Said(tr("foreign: the log knows no such key"), "alert", "bad")
    if key.missing:
        return Said(tr("missing on {names}", names=_named(key.missing, called)), "ring", "warn")
    return Said(tr("everywhere where it should be"), "check", "good")


def where(key: ClusterKey, called: dict[str, str]) -> str:
    return _named(key.members, called) or tr("nowhere")


def found(keys: tuple[ClusterKey, ...]) -> Said:
    """The comparison in one sentence."""
    different, foreign = sum(bool(k.different) for k in keys), sum(k.foreign for k in keys)
    missing = sum(bool(k.missing) for k in keys)
    if different or foreign:
        text = tr("{different} with ANOTHER key under the same id, {foreign} foreign, {missing} missing somewhere. "
                  "Do not use what is different or foreign until it is explained.",
                  different=different, foreign=foreign, missing=missing)  # fmt: skip
        return Said(text, "alert", "bad", "problem")
    if missing:
        text = tr("{missing} of {n} keys are missing on a module: if the others fail, they cannot be used.",
                  missing=missing, n=len(keys))  # fmt: skip
        return Said(text, "alert", "warn")
    return Said(tr("All {n} keys lie where they should.", n=len(keys)), "check", "good", "done")


def _named(members: tuple[str, ...], called: dict[str, str]) -> str:
    return texts.names([f"“{called.get(name, name)}”" for name in members])
