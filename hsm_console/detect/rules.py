"""Rule files: Sigma v2 in YAML, checked key by key and compiled when they are loaded.

A file may hold several documents: the searches and the correlation over them. What is not understood is refused with
the rule's name. Our own members stand under `hsm_console`, as Sigma's specification allows.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Mapping
from typing import Any, Literal, get_args

import msgspec
import yaml

from hsm_console.detect.conditions import compile_condition
from hsm_console.detect.matching import Search, compile_search
from hsm_console.detect.problems import refused

Level = Literal["low", "medium", "high", "critical"]
LARGEST = 64 * 1024
_UNITS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_TYPES = ("event_count", "value_count", "temporal", "temporal_ordered")
_KEYS = {
    "title", "id", "name", "related", "status", "description", "references", "author", "date", "modified", "license",
    "logsource", "detection", "correlation", "fields", "falsepositives", "level", "tags", "scope", "taxonomy",
    "hsm_console",
}  # fmt: skip
_OURS = {"text", "todo", "quiet", "per", "subject"}
_CORRELATION = {"type", "rules", "group-by", "timespan", "condition", "aliases", "generate"}
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\Z")
_SOURCE = {"product": "hsm-console"}
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml reads ten times as fast: every gateway reads them all


class Correlation(msgspec.Struct, frozen=True, kw_only=True):
    """span_ms: the window; count: how many are needed; field: whose different values are counted (value_count).

    aliases: alias → rule → field, for rules that name one thing by different fields. generate: its rules make alerts
    of their own as well.
    """

    type: str
    rules: tuple[str, ...]
    span_ms: int
    count: int
    group: tuple[str, ...] = ()
    field: str = ""
    aliases: dict[str, dict[str, str]] = {}
    generate: bool = False


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule, ready to run: `search` or `correlation`. name: short and unique; text: a sentence with {fields} in it.

    quiet_ms: for how long the same rule says nothing more about the same `per`; raises: it makes alerts of its own.
    subject: the field with the uid of the person whose act it is; sha256: of the file it stands in; false_alarms: what
    else it may have been.
    """

    name: str
    title: str
    level: Level
    meaning: str
    text: str
    todo: str
    sha256: str
    quiet_ms: int = 0
    per: tuple[str, ...] = ()
    subject: str = "actor.user.uid"
    raises: bool = True
    false_alarms: tuple[str, ...] = ()
    search: Search | None = None
    correlation: Correlation | None = None

    @property
    def kind(self) -> str:
        return self.correlation.type if self.correlation else "match"


class RuleSet(msgspec.Struct, frozen=True, kw_only=True):
    """All rules of a folder. files: name of each rule → SHA-256 of its file; sha256: over names and digests."""

    rules: tuple[Rule, ...]
    files: dict[str, str]
    sha256: str


def load(files: Mapping[str, bytes]) -> RuleSet:
    """The rules of these files (name → bytes). Raises InputError rule-refused that names the rule."""
    rules: dict[str, Rule] = {}
    for name, data in sorted(files.items()):
        for rule in read_file(name, data):
            if rule.name in rules:
                raise refused(rule.name, f"two rules have this name (the second in {name})")
            rules[rule.name] = rule
    return assemble(rules)


def assemble(rules: dict[str, Rule]) -> RuleSet:
    """Rules that were read, as one set. Raises InputError rule-refused when one speaks of another in vain."""
    _check_references(rules)
    digests = {name: rules[name].sha256 for name in sorted(rules)}
    whole = hashlib.sha256("".join(f"{name} {digest}\n" for name, digest in digests.items()).encode()).hexdigest()
    return RuleSet(rules=tuple(_settled(_quiet_parts(rules))), files=digests, sha256=whole)


def _quiet_parts(rules: dict[str, Rule]) -> dict[str, Rule]:
    """What is a part of a correlation makes no alert by itself, unless the correlation says `generate: true`."""
    users: dict[str, list[bool]] = {}
    for rule in rules.values():
        for part in rule.correlation.rules if rule.correlation else ():
            users.setdefault(part, []).append(bool(rule.correlation and rule.correlation.generate))
    return {
        name: msgspec.structs.replace(rule, raises=rule.raises and any(users.get(name, (True,))))
        for name, rule in rules.items()
    }


def read_file(name: str, data: bytes) -> list[Rule]:
    """The rules of one file. Raises InputError rule-refused."""
    if len(data) > LARGEST:
        raise refused(name, f"the file is longer than {LARGEST} bytes")
    try:
        documents = list(yaml.load_all(data.decode("utf-8"), Loader=_Loader))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as fault:
        raise refused(name, f"it is no YAML: {' '.join(str(fault).split())[:200]}") from None
    if not documents:
        raise refused(name, "the file is empty")
    digest = hashlib.sha256(data).hexdigest()
    return [_rule(name, document, digest) for document in documents]


def _rule(file: str, document: Any, digest: str) -> Rule:
    if not isinstance(document, dict):
        raise refused(file, "a rule is a map")
    name = document.get("name", "")
    if not isinstance(name, str) or not _NAME.match(name) or len(name) > 60:
        raise refused(file, "it needs a `name` of small letters, digits and hyphens")
    _only(name, "rule", document, _KEYS)
    ours = document.get("hsm_console") or {}
    _only(name, "hsm_console", ours, _OURS)
    search, correlation = None, None
    if ("detection" in document) == ("correlation" in document):
        raise refused(name, "it needs either `detection` or `correlation`")
    if "detection" in document:
        search = _search(name, document)
    else:
        correlation = _correlation(name, document["correlation"])
    return Rule(
        name=name,
        title=_line(name, document, "title"),
        level=_level(name, document),
        meaning=_line(name, document, "description"),
        text=_line(name, ours, "text", default=document["title"]),
        todo=_line(name, ours, "todo", default="Find out who did this and why; write down what you found."),
        sha256=digest,
        quiet_ms=_span(name, ours.get("quiet", "0s")),
        per=_fields(name, "per", ours.get("per", [])),
        subject=_line(name, ours, "subject", default="actor.user.uid"),
        raises=document.get("level") != "informational",
        false_alarms=_fields(name, "falsepositives", document.get("falsepositives", [])),
        search=search,
        correlation=correlation,
    )


def _only(name: str, where: str, table: Any, known: set[str]) -> None:
    if not isinstance(table, dict):
        raise refused(name, f"`{where}` must be a map")
    unknown = [str(key) for key in table if key not in known]
    if unknown:
        raise refused(name, f"`{where}` has a key that is not known here: {', '.join(unknown)}")


def _line(name: str, table: dict[str, Any], key: str, default: str = "") -> str:
    value = table.get(key, default)
    if not isinstance(value, str) or not value.strip() or len(value) > 2000:
        raise refused(name, f"`{key}` must be a text")
    text = unicodedata.normalize("NFC", " ".join(value.split()))
    if not text.isprintable():
        raise refused(name, f"`{key}` holds a character that cannot be shown")
    return text


def _level(name: str, document: dict[str, Any]) -> Level:
    """`informational`: a part of a correlation; it makes no alert by itself."""
    level = document.get("level")
    if level == "informational":
        return "low"
    found: Level | None = next((known for known in get_args(Level) if known == level), None)
    if found is None:
        raise refused(name, "`level` must be informational, low, medium, high or critical")
    return found


def _fields(name: str, key: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        raise refused(name, f"`{key}` must be a list of texts")
    return tuple(value)


def _span(name: str, value: Any) -> int:
    match = re.fullmatch(r"([0-9]{1,6})([smhd])", value) if isinstance(value, str) else None
    if match is None:
        raise refused(name, f"{value!r} is no time span (like 90s, 10m, 2h, 30d)")
    return int(match[1]) * _UNITS[match[2]]


def _search(name: str, document: dict[str, Any]) -> Search:
    source = document.get("logsource")
    if source != _SOURCE:
        raise refused(name, "`logsource` must be `product: hsm-console`")
    detection = document["detection"]
    if not isinstance(detection, dict) or "condition" not in detection or len(detection) < 2:
        raise refused(name, "`detection` needs searches and a condition")
    parts = {str(key): compile_search(name, str(key), value) for key, value in detection.items() if key != "condition"}
    return compile_condition(name, detection["condition"], parts)


def _correlation(name: str, table: Any) -> Correlation:
    _only(name, "correlation", table, _CORRELATION)
    kind = table.get("type")
    if kind not in _TYPES:
        raise refused(name, f"`type` must be one of {', '.join(_TYPES)}")
    rules = _fields(name, "rules", table.get("rules"))
    condition = table.get("condition")
    if kind.startswith("temporal"):
        if condition is not None:
            raise refused(name, "a temporal correlation has no condition here: it needs all of its rules")
        if len(rules) < 2:
            raise refused(name, "a temporal correlation needs two rules at least")
        count, field = len(rules), ""
    else:
        count, field = _condition(name, kind, condition)
    return Correlation(
        type=kind,
        rules=rules,
        span_ms=_span(name, table.get("timespan")),
        count=count,
        group=_fields(name, "group-by", table.get("group-by", [])),
        field=field,
        aliases=_aliases(name, table.get("aliases", {}), rules),
        generate=table.get("generate") is True,
    )


def _condition(name: str, kind: str, condition: Any) -> tuple[int, str]:
    _only(name, "condition", condition, {"gte", "gt", "field"})
    limits = [condition[key] + (key == "gt") for key in ("gte", "gt") if isinstance(condition.get(key), int)]
    if len(limits) != 1 or not 1 <= limits[0] <= 10_000:
        raise refused(name, "its condition needs `gte` or `gt` with a number; `lt` cannot be told from a stream")
    field = condition.get("field", "")
    if (kind == "value_count") != (isinstance(field, str) and bool(field)):
        raise refused(name, "`condition.field` belongs to value_count, and to it alone")
    return limits[0], field


def _aliases(name: str, table: Any, rules: tuple[str, ...]) -> dict[str, dict[str, str]]:
    try:
        found = msgspec.convert(table, dict[str, dict[str, str]])
    except msgspec.ValidationError:
        raise refused(name, "`aliases` must be alias → rule → field") from None
    strangers = [rule for alias in found.values() for rule in alias if rule not in rules]
    if strangers:
        raise refused(name, f"`aliases` speaks of {', '.join(strangers)}, which the correlation does not use")
    return found


def _check_references(rules: dict[str, Rule]) -> None:
    for rule in rules.values():
        for other in rule.correlation.rules if rule.correlation else ():
            if other not in rules:
                raise refused(rule.name, f"it speaks of the rule “{other}”, which does not exist")


def _settled(rules: dict[str, Rule]) -> list[Rule]:
    """Searches first, each correlation after the rules it speaks of. Raises when two wait for each other."""
    done: dict[str, Rule] = {name: rule for name, rule in rules.items() if rule.correlation is None}
    waiting = [rule for rule in rules.values() if rule.correlation is not None]
    while waiting:
        ready = [rule for rule in waiting if rule.correlation and all(name in done for name in rule.correlation.rules)]
        if not ready:
            raise refused(waiting[0].name, "it waits for itself by way of other correlations")
        done |= {rule.name: rule for rule in ready}
        waiting = [rule for rule in waiting if rule.name not in done]
    return list(done.values())
