"""Writes ocsf-1.9.json anew from a clone of the OCSF schema: `python tests/golden/schema.py FOLDER-OF-CLONE`.

Kept are, of the classes that the log uses and of all objects that these lead to, the names of the attributes, which of
them are required, their object type, and the captions of their numbers.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

CLASSES = {
    1008: "events/system/event_log_activity.json",
    2004: "events/findings/detection_finding.json",
    3002: "events/iam/authentication.json",
    3004: "events/iam/entity_management.json",
    3007: "events/iam/user_management.json",
    6003: "events/application/api_activity.json",
}
PROFILES = ("host", "record_integrity")
SOURCE = "https://github.com/ocsf/ocsf-schema"


class Clone:
    """A clone of the schema at its newest commit. It needs no work tree."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        names = self.git("ls-tree", "-r", "--name-only", "HEAD").split()
        self.classes = {Path(name).stem: name for name in names if name.startswith("events/")}
        self.objects = {Path(name).stem: name for name in names if name.startswith("objects/")}
        self.dictionary = self.read("dictionary.json")["attributes"]

    def git(self, *arguments: str) -> str:
        command = ["git", "-C", str(self._folder), *arguments]
        return subprocess.run(command, capture_output=True, check=True, text=True).stdout

    def read(self, path: str) -> Any:
        return json.loads(self.git("show", f"HEAD:{path}"))

    def attributes(self, path: str) -> dict[str, dict[str, Any]]:
        """Of a class or object, what it inherits from first, then its own, with what the profiles add."""
        item = self.read(path)
        base = (self.classes if path.startswith("events/") else self.objects).get(item.get("extends", ""))
        found = self.attributes(base) if base else {}
        own = item["attributes"]
        for other in own.pop("$include", ()):
            if Path(other).stem in PROFILES:
                found |= self.read(other)["attributes"]
        for name, value in own.items():
            found[name] = {**found.get(name, {}), **{k: v for k, v in value.items() if v is not None}}
        return found

    def table(self, path: str) -> dict[str, Any]:
        rows = {}
        for name, value in sorted(self.attributes(path).items()):
            known = self.dictionary.get(name, {})
            kind = value.get("type", known.get("type", ""))
            row: dict[str, Any] = {}
            if value.get("requirement") == "required":
                row["required"] = True
            if kind in self.objects:
                row["object"] = kind
            captions = {n: e["caption"] for n, e in {**known.get("enum", {}), **value.get("enum", {})}.items()}
            if name.endswith("_id") and captions:
                row["enum"] = captions
            rows[name] = row
        return rows


def main(folder: str) -> int:
    clone = Clone(Path(folder))
    classes = {str(uid): clone.table(path) for uid, path in CLASSES.items()}
    objects: dict[str, Any] = {}
    wanted = {row["object"] for table in classes.values() for row in table.values() if "object" in row}
    wanted &= KEPT
    while wanted:
        name = wanted.pop()
        objects[name] = clone.table(clone.objects[name])
        wanted |= {row["object"] for row in objects[name].values() if "object" in row} & KEPT - objects.keys()
    commit = clone.git("rev-parse", "HEAD").strip()
    version = clone.read("version.json")["version"]
    whole = {"source": SOURCE, "commit": commit, "version": version, "classes": classes, "objects": objects}
    (Path(__file__).parent / "ocsf-1.9.json").write_text(json.dumps(whole, indent=1, sort_keys=True) + "\n")
    return 0


KEPT = {
    *("actor", "api", "attestation", "device", "device_hw_info", "finding_info", "fingerprint", "group"),
    *("managed_entity", "metadata", "network_endpoint", "prev_event", "product", "resource_details", "service"),
    *("session", "user", "analytic", "related_event", "certificate"),
}
"""Objects that entries of ours have."""

if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
