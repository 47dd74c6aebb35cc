"""A second verifier for people who trust nobody: Python's standard library and the command `openssl`, nothing else.
    python3 verify.py audit.db log.vkey [receipt.tlog-proof …]     exit: 0 verified, 1 found something, 2 unreadable
It shares no code with HSM Console. What is checked, and the words for it, are explained in docs/audit-format.md."""
import base64, fcntl, functools, hashlib, json, os, pathlib, re, sqlite3, subprocess, sys, tempfile
found, sha, unb64 = [], lambda data: hashlib.sha256(data).digest(), lambda text: base64.b64decode(text, validate=True)
say, node = lambda word, text: found.append((word, text)), lambda left, right: sha(b"\x01" + left + right)
def climb(h, m, n, path):  # RFC 6962 2.1.1: the root that the proof `path` for leaf m of n leads to
    if n == 1: return h if not path else b""
    k, rest = 1 << (n - 1).bit_length() - 1, path[:-1]
    return node(climb(h, m, k, rest), path[-1]) if m < k else node(path[-1], climb(h, m - k, n - k, rest))
def ed25519(message, signature):  # RFC 8032 by openssl, the key as SubjectPublicKeyInfo
    with tempfile.TemporaryDirectory() as d:
        spki = bytes.fromhex("302a300506032b6570032100") + key
        for file, data in ("k", spki), ("m", message), ("s", signature): pathlib.Path(d, file).write_bytes(data)
        command = "openssl pkeyutl -verify -pubin -keyform DER -inkey k -rawin -in m -sigfile s".split()
        return subprocess.run(command, cwd=d, capture_output=True).returncode == 0
def open_note(text, where):  # C2SP signed note, timed Ed25519 -> size, root, seconds, key ids of our lines; or None
    try:
        body, _, tail = text.partition("\n\n"); origin, size, root = body.split("\n")[:3]
        if not tail: return say("DOWNGRADE", f"{where} has no signature")
        lines = [(who, unb64(blob)) for who, blob in re.findall(r"^— (\S+) (\S+)$", tail, re.M)]
        if len(lines) != tail.count("\n") or len(unb64(root)) != 32: raise ValueError
        mine = [blob[4:] for who, blob in lines if (who, blob[:4]) == (name, key_id)]
        if origin != name or not mine: return say("FOREIGN", f"{where} is of another log or key")
        for blob in mine:
            seconds = int.from_bytes(blob[:8], "big")
            if not ed25519(f"cosignature/v1\ntime {seconds}\n{body}\n".encode(), blob[8:]): raise ValueError
        return int(size), unb64(root), seconds, {blob[:4] for who, blob in lines if who == name}
    except ValueError: say("BAD-SIGNATURE", f"{where} does not verify")
def open_receipt(path):  # C2SP tlog-proof -> size, root, index, leaf; or None
    try:
        top, _, note = pathlib.Path(path).read_text("utf-8").partition("\n\n"); top = top.split("\n")
        if not (head := open_note(note, path)): return None
        index, leaf = int(top[2].removeprefix("index ")), sha(b"\x00" + unb64(top[1].removeprefix("extra ")))
        if index >= head[0] or climb(leaf, index, head[0], [*map(unb64, top[3:])]) != head[1]: raise ValueError
        return head[0], head[1], index, leaf
    except (ValueError, IndexError): say("BAD-PROOF", f"{path}: the proof does not lead to the root")
def main(database, receipts, live):
    wal = live or os.path.exists(database + "-wal") and os.path.getsize(database + "-wal")
    db = sqlite3.connect(f"file:{database}?" + ("mode=ro" if wal else "immutable=1"), uri=True)
    db.text_factory = lambda raw: raw.decode(errors="replace"); ours = "type='table' AND name IN ('entry','checkpoint')"
    if db.execute("SELECT count(*) FROM sqlite_master WHERE " + ours).fetchone() != (2,): raise ValueError("no log")
    whole = "CASE WHEN length(body) < 65536 AND typeof(body) = 'blob' THEN body END"
    notes = db.execute("SELECT size, CAST(note AS TEXT) FROM checkpoint ORDER BY size").fetchall()
    t, roots, n, prev, chain, shifted, old = [], {}, 0, "", None, False, None
    steps, told, intents, run, on, owed, signed, kinds, ms = [], [], {}, None, False, [], 0, set(), 0
    proofs = [p for p in map(open_receipt, receipts) if p]; sizes = {p[0] for p in proofs} | {size for size, _ in notes}
    for seq, body in db.execute("SELECT seq, " + whole + " FROM entry ORDER BY seq"):
        if seq != n: say("GAP", f"entry {n} is missing"); n, shifted = seq, True
        body, before, n = body or b"", prev, n + 1; leaf = sha(b"\x00" + body); prev = sha(body).hex()
        if any(p[2] == seq and p[3] != leaf for p in proofs): say("REWRITTEN", f"entry {seq} is not the receipt's")
        t.append((1, leaf))  # the tree: width and root of each perfect subtree, left to right (RFC 6962 2.1)
        while len(t) > 1 and t[-2][0] == t[-1][0]: t[-2:] = [(2 * t[-1][0], node(t[-2][1], t[-1][1]))]
        try:
            e = json.loads(body); a, x, boot = e["attestation"], e["hsm_console"], e["device"]["boot_uid"]
            ev, ms, up, same = x["event"], e["time"], x["boottime_ms"], old and old[1] == boot; kind = ev["kind"]
            up0, shift = old[2] if same else up, ms - old[0] - (up - old[2] if same else 0) if old else 0
            back, chain = a["prev_event"]["fingerprint"]["value"] if "prev_event" in a else "", chain or a["chain_uid"]
            wrong = {"CHAIN": back != before, "GAP": e["metadata"]["sequence"] != seq, "CLOCK": up < up0,
                     "FOREIGN": a["chain_uid"] != chain or not seq and ev["origin"] != name,
                     "UNCLEAN": run is not None and ev.get("previous_end", "unclean") != "unclean"}
            found.extend((word, f"entry {seq} does not follow what stands before it") for word in wrong if wrong[word])
            if shift < -5000 or same and abs(shift) > 5000 + abs(up - up0) // 1000: steps.append((seq, shift))
            if kind == "time-change-declared" and "user" in e["actor"]: told.append((seq, ev["shift_ms"]))
            run = {"gateway-started": seq, "gateway-stopped": None}.get(kind, run)
            if kind in ("gateway-started", "device-down"): on, owed = False, []
            on, old = on or kind == "device-unlocked", (ms, boot, up)
            owed += [(seq, up, x["critical"] or kind == "gateway-stopped")] * on; on = on and kind != "gateway-stopped"
            if kind == "operation-intended": intents[seq] = ev.get("count", 1)
            elif intents.get(ev.get("intent")): intents[ev["intent"]] -= 1 if "success" in kind else 1 << 53
        except (ValueError, KeyError, TypeError, RecursionError): say("REWRITTEN", f"entry {seq} has no entry's form")
        if n in sizes: roots[n] = functools.reduce(lambda a, b: node(b, a), [h for _, h in t[::-1]]), ms, shifted
    for seq, shift in steps:  # a person's declaration excuses one step of its size, near it
        near = next((t for t in told if abs(t[0] - seq) <= 16 and abs(t[1] - shift) <= 60000), None)
        told.remove(near) if near else say("CLOCK", f"the clock jumped by {shift} ms before entry {seq}")
    for size, text in [x for x in notes if x[0] <= n or say("TRUNCATED", f"a checkpoint knows {x[0]} of {n} entries")]:
        head, here = open_note(text, f"the checkpoint of size {size}"), roots.get(size, (b"", 0, True))
        if head and head[0] != size: say("ROLLED-BACK", f"the checkpoint kept for {size} speaks of {head[0]}")
        elif head and head[1] != here[0]: here[2] or say("REWRITTEN", f"below {size}: not as signed")
        elif head:
            if head[2] * 1000 + 5999 < here[1]: say("CLOCK", f"checkpoint {size} is older than its last entry")
            if not kinds <= head[3]: say("DOWNGRADE", f"the checkpoint of size {size} lacks a signature")
            signed, kinds = size, head[3]
    for size, root, index, _ in proofs:
        if size > n: say("ROLLED-BACK" if n == signed else "TRUNCATED", f"a receipt knows {size} entries, here are {n}")
        elif roots.get(size, [root])[0] != root: say("FORK" if signed >= size else "REWRITTEN", f"receipt of {index}")
    owed = [o for o in owed if o[0] >= signed and (o[2] and not live or old[2] - o[1] > 90000)]
    if owed or not signed or n - signed > (512 if live else 256):
        say("UNSIGNED" if n else "TRUNCATED", f"{n - signed} of {n} entries are not signed")
    if run is not None and not live: say("UNCLEAN", "the log ends without a proper stop")
    if not live and any(count > 0 for count in intents.values()): say("INTERRUPTED", "an operation has no ending")
    line = f"OK entries={n} signed={signed} unsigned_tail={n - signed} receipts={len(proofs)}; not checked: token"
    print("NOT " * bool(found) + line, *map(": ".join, found), sep="\n"); return int(bool(found))
try:
    name, key_hex, key = pathlib.Path(sys.argv[2]).read_text().strip().split("+", 2); key = unb64(key)[1:]
    if (key_id := sha(name.encode() + b"\n\x04" + key)[:4]).hex() != key_hex: raise ValueError("no verifier key")
    try: live = fcntl.flock(os.open(sys.argv[1] + ".lock", os.O_RDONLY), fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as fault: live = isinstance(fault, BlockingIOError)  # a process is writing this log now
    sys.exit(main(sys.argv[1], sys.argv[3:], live))
except (OSError, ValueError, IndexError, TypeError, sqlite3.Error) as fault: print(f"unreadable: {fault}"); sys.exit(2)
