"""A second verifier for people who trust nobody: Python's standard library and the command `openssl`, nothing else.
    python3 verify.py audit.db log.vkey [receipt.tlog-proof | token-head.json …]     exit: 0 verified, 1 found something, 2 unreadable
It shares no code with HSM Console. What is checked, and the words for it, are explained in docs/audit-format.md."""
import base64, fcntl, functools, hashlib, json, os, pathlib, re, sqlite3, subprocess, sys, tempfile, unicodedata
unb64 = lambda text: base64.b64decode(text) if base64.b64encode(base64.b64decode(text)).decode() == text else int("no Base64"); found, sha = [], lambda data: hashlib.sha256(data).digest(); node = lambda left, right: sha(b"\x01" + left + right); say = lambda word, text: found.append((word, text)); tell = lambda text, **all: [say(w.replace("_", "-"), text) for w in all if all[w]]
plain = lambda b, no=re.compile(r'(?<!\\)(?:\\\\)*\\[^\\"]|[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufdd0-\ufdef\ufffe\uffff]'): json.dumps(json.loads(b, parse_float=int, parse_constant=int), sort_keys=True, ensure_ascii=False, separators=(",", ":")) == b.decode() and not no.search(b.decode()) and unicodedata.is_normalized("NFC", b.decode())
SEALED = {member: of for of, members in {  # what may be sealed, by the classes na-mes, fr-ee text, do-cument digests, fi-le names
    "na": "actor.name user.name person-enrolled.name person-enrolled.certificate seats Quorum approved_by log-on-refused.text device-down.text", "do": "input_sha256 document_sha256",
    "fr": "because statement alert-acknowledged.note expected happened decided time-change-declared.why ceremony-paused.why read-aloud", "fi": "input_name document log-exported.what",
    "nafr": "facts.why action-refused.text ceremony-closed.text presence"}.items() for member in members.split()}
def in_clear(e, x, ev, classes):  # those of these classes of which a value stands in clear in this entry
    held = [(f"{ev['kind']}.{m}", m, v) for m, v in ev.items() if m not in ("facts", "seats")] + [("seats", "", s["name"]) for s in ev.get("seats", ())]
    held += [("facts." + f, m, v) for f, v in ev.get("facts", {}).items() for m in (f.replace(" ", "_"), ev.get("step_kind"))]
    held += [("actor.name", "", e["actor"].get("user", {}).get("name")), ("user.name", "", e.get("user", {}).get("name"))]; ours = ["sealed:" + d for d in x.get("_sd", ())]
    return {c for full, m, v in held for c in classes if c in SEALED.get(full, SEALED.get(m, "")) and v and v not in ours}
def climb(h, m, n, p):  # RFC 6962 2.1.1: the root that the proof `p` for leaf m of n leads to
    k = 1 << (n - 1).bit_length() - 1 if n > 1 else 0; return (b"" if p else h) if n < 2 else node(climb(h, m, k, p[:-1]), p[-1]) if m < k else node(p[-1], climb(h, m - k, n - k, p[:-1]))
def good(message, signature, spki=bytes.fromhex("302a300506032b6570032100")):  # Ed25519 (RFC 8032, RFC 8410) by openssl
    with tempfile.TemporaryDirectory() as d:
        for file, data in ("k", spki + key), ("m", message), ("s", signature): pathlib.Path(d, file).write_bytes(data)
        return not subprocess.getstatusoutput(f"cd '{d}'; openssl pkeyutl -verify -pubin -keyform DER -inkey k -rawin -in m -sigfile s")[0]
def open_note(text, where):  # C2SP signed note, timed Ed25519 -> size, root, seconds, key ids of our lines; or None
    try:
        body, _, tail = text.partition("\n\n"); origin, size, root = body.split("\n")[:3]; lines = [(who, unb64(blob)) for who, blob in re.findall(r"^— (\S+) (\S+)$", tail, re.M)]
        if tail and (len(lines) != tail.count("\n") or tail[-1] != "\n" or len(unb64(root)) != 32) or not re.fullmatch("0|[1-9][0-9]{0,17}", size): raise ValueError
        mine = [(int.from_bytes(blob[4:12], "big"), blob[12:]) for who, blob in lines if (origin, who, blob[:4]) == (name, name, key_id)]
        if not mine: return say("FOREIGN" if tail else "DOWNGRADE", f"{where} is not signed by this log's key")
        if not all(seconds < 1 << 63 and good(f"cosignature/v1\ntime {seconds}\n{body}\n".encode(), blob) for seconds, blob in mine): raise ValueError
        return int(size), unb64(root), mine[-1][0], {blob[:4] for who, blob in lines if who == name}
    except ValueError: say("BAD-SIGNATURE", f"{where} does not verify")
def open_proof(path):  # C2SP tlog-proof, or the token's head as JSON -> size, root; or None
    try:
        top, _, note = pathlib.Path(path).read_text("utf-8").partition("\n\n"); lines = top.split("\n")
        j = json.loads(top) if top[:1] == "{" else {}; head = (j["size"], unb64(j["root"])) if j else open_note(note, path)
        if j or not head: return head if not j or j["origin"] == name else say("FOREIGN", f"{path} is of another log")
        index, leaf = int(lines[2][6:]), sha(b"\x00" + unb64(lines[1].removeprefix("extra ")))
        return head[:2] if index < head[0] and climb(leaf, index, head[0], [*map(unb64, lines[3:])]) == head[1] else say("BAD-PROOF", path)
    except (ValueError, IndexError, KeyError): say("BAD-PROOF", f"{path}: the proof does not lead to the root")
def main(file, receipts, live):
    if not os.path.isfile(file): raise ValueError(f"{file} is no file")
    wal = live or os.path.exists(file + "-wal") and os.path.getsize(file + "-wal"); folder = pathlib.Path(file).parent / "segments"
    db = sqlite3.connect(f"file:{file}?" + "mode=ro" + "&immutable=1" * (not wal), uri=True); db.text_factory = bytes; one = lambda what, *keys: db.execute("SELECT " + what, keys).fetchone() or (None, None); tile, row = lambda n: one("data FROM tile WHERE level=0 AND n=?", n)[0], lambda d: one("seq,sealed FROM disclosure WHERE digest=?", d)
    if one("count(*) FROM sqlite_master WHERE type='table' AND name IN ('entry','checkpoint')") != (2,): raise ValueError("no log")
    notes = db.execute("SELECT size, substr(CAST(note AS BLOB), 1, 65536) FROM checkpoint ORDER BY size").fetchall()
    heads = [head for head in map(open_proof, receipts) if head]; sizes = {size for size, _ in heads + notes}
    t, roots, n, prev, chain, shifted, old, below, claim, cut, files, leaves = [], {}, 0, "", None, False, None, 0, "", {}, {}, []
    steps, told, intents, run, on, owed, signed, kinds, ms, gone, held, policy, keyed, opened, hidden = [], [], {}, None, False, [], 0, set(), 0, {}, 0, set(), False, 0, set()
    for seq, body in db.execute("SELECT seq, iif(typeof(body)='blob' AND length(body)<65536,body,x'') FROM entry NOT INDEXED ORDER BY seq"):
        if seq > n == 2 and seq % 256 == 0 and all(len(tile(k) or b"") == 8192 for k in range(seq // 256)):
            leaves = [tile(k // 256)[k % 256 * 32:][:32] for k in range(2, seq)]  # their bodies were pruned
            below, prev, old, run, on, intents, policy, keyed, opened = seq, None, None, None, False, {}, None, True, 0
        elif seq != n: say("GAP", f"entry {n} is missing"); n, shifted = seq, True
        before, prev = prev, sha(body).hex()
        try:
            e = json.loads(body) if n < max(sizes, default=0) or plain(body) else int("no canonical form"); a, x, ms, boot = e["attestation"], e["hsm_console"], e["time"], e["device"]["boot_uid"]; ev, up = x["event"], x["boottime_ms"]; kind = ev["kind"]
            same = old and old[1] == boot; up0, shift = old[2] if same else up, ms - old[0] - (up - old[2] if same else 0) if old else 0; fresh = kind in ("gateway-started", "device-down")
            back, chain = a["prev_event"]["fingerprint"]["value"] if "prev_event" in a else "", chain or a["chain_uid"]; claim, before = (back, back) if before is None else (claim, before)
            rows = [(d, h, *row(d)) for d, h in zip(x.get("_sd", ()), x.get("_sealed", ()), strict=True)]
            gone |= {d: seq for d, _, _, blob in rows if blob is None}; held += sum(blob is not None for *_, blob in rows)
            if kind == "policy-in-force": policy, keyed, opened = {w[:2] for w in ev.get("settings", {}).get("log.confidential", "").split(", ") if w}, keyed and policy is not None, 0
            keyed, opened = (True, 0) if kind == "data-key-made" else (keyed, opened or seq * bool(kind == "device-unlocked" and policy and not keyed))
            bare = in_clear(e, x, ev, {"na", "fr", "do", "fi"} if policy is None else policy) if keyed else set(); hidden |= bare if policy is None else set()
            tell(f"entry {seq}", FOREIGN=a["chain_uid"] != chain or not seq and ev["origin"] != name, GAP=e["metadata"]["sequence"] != seq, CHAIN=back != before, CLOCK=up < up0,
                 UNCLEAN=run is not None and ev.get("previous_end", "unclean") != "unclean", SEALED=policy and bare or any(blob is not None and (s, sha(blob).hex()) != (seq, h) for _, h, s, blob in rows))
            steps += [(seq, shift)] * (shift < -5000 or bool(same) and abs(shift) > 5000 + abs(up - up0) // 1000)
            told += [(seq, ev["shift_ms"])] if kind == "time-change-declared" and "user" in e["actor"] else []
            on, owed, old = on and not fresh or kind == "device-unlocked", [] if fresh else owed, (ms, boot, up)
            owed += [(seq, up, x["critical"] or kind == "gateway-stopped")] * on; on = on and kind != "gateway-stopped"
            run, cut = {"gateway-started": seq, "gateway-stopped": None}.get(kind, run), ev if kind == "log-pruned" else cut
            if kind == "operation-intended": intents[seq] = ev.get("count", 1)
            elif intents.get(i := ev.get("intent")): intents[i] = intents[i] - 1 if "success" in kind else 0
            files |= {folder / pathlib.Path(s["file"]).name: s for s in [ev] * (kind == "log-rotated") + ev.get("segments", [])}; [say(*text.split(": ", 1)) for text in (ev.get("findings", ()) if kind == "device-log-compared" else ())]
            for d in [item["digest"] for item in ev.get("erased", ())]: gone.pop(d, 0) or tell(f"{d} was erased", SEALED=row(d)[1])
        except (ValueError, KeyError, TypeError, RecursionError): say("REWRITTEN", f"entry {seq} has no entry's form")
        for leaf in [*leaves, sha(b"\x00" + body)]:  # the tree: width and root of each perfect subtree, left to right (RFC 6962 2.1)
            n, leaves = n + 1, []; t.append((1, leaf))
            while len(t) > 1 and t[-2][0] == t[-1][0]: t[-2:] = [(2 * t[-1][0], node(t[-2][1], t[-1][1]))]
            if n in sizes: roots[n] = functools.reduce(lambda a, b: node(b, a), [h for _, h in t[::-1]]), ms * (n > seq), shifted
    for seq, shift in steps:  # a person's declaration excuses one step of its size, near it
        near = next((d for d in told if abs(d[0] - seq) <= 16 and abs(d[1] - shift) <= 60000), None); told.remove(near) if near else say("CLOCK", f"the clock jumped by {shift} ms before entry {seq}")
    for size, text in notes:
        head = size <= n and open_note(text.decode(errors="replace"), f"the checkpoint of size {size}") or (size, b"", -1, kinds); root, last, off = roots.get(size, (b"", 0, True))
        tell(f"checkpoint of {size}, {n} entries", TRUNCATED=size > n, ROLLED_BACK=head[0] != size, DOWNGRADE=not kinds <= head[3],
             REWRITTEN=head[1] not in (b"", root) and not off, CLOCK=0 <= head[2] * 1000 < last - 5999)
        if root and head[:2] == (size, root): signed, kinds = size, head[3]
    for size in [size for size, root in heads if size > n or roots.get(size, [root])[0] != root]:
        say("FORK" if size <= signed else "REWRITTEN" if size <= n else "TRUNCATED" if n > signed else "ROLLED-BACK", f"head {size}")
    [tell(p.name, SEGMENT=sha(p.read_bytes()).hex() != s["sha256"] if p.is_file() else s["first"] < below) for p, s in files.items()]
    owed = [o for o in owed if o[0] >= signed and (o[2] and not live or old[2] - o[1] > 90000)]
    tell(f"the log as a whole: {n - signed} of {n} entries are not signed, {below} pruned, {len(gone)} values gone", GAP=below and cut.get("below") != below, TRUNCATED=not n,
         CHAIN=below and cut and cut.get("fingerprint") != claim, UNCLEAN=run is not None and not live, UNSIGNED=n and (owed or not signed or n - signed > 256 << live),
         SEALED=gone or opened and not live or {w[:2] for w in cut.get("sealing", ())} & hidden or one("count(*) FROM disclosure WHERE seq >= ? OR seq < 0", below)[0] > held, INTERRUPTED=not live and any(intents.values()))
    line = f"OK entries={n} signed={signed} unsigned_tail={n - signed} receipts={len(heads)}; not checked: tiles, policy"; print("NOT " * bool(found) + line, *map(": ".join, found), sep="\n"); return bool(found)
try:
    name, key_hex, key = pathlib.Path((sys.argv[2:] or sys.exit(print(__doc__) or 2))[0]).read_text().strip().split("+", 2); key = unb64(key)[1:]
    if (key_id := sha(name.encode() + b"\n\x04" + key)[:4]).hex() != key_hex: raise ValueError("no verifier key")
    try: live = fcntl.flock(os.open(sys.argv[1] + ".lock", os.O_RDONLY), fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as fault: live = isinstance(fault, BlockingIOError)  # a process is writing this log now
    sys.exit(main(sys.argv[1], sys.argv[3:], bool(live)))
except (OSError, ValueError, IndexError, TypeError, sqlite3.Error) as fault: print(f"unreadable: {fault}; the files are, in this order: audit.db log.vkey [receipts]"); sys.exit(2)
