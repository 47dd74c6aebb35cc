"""Lives of a workspace in which nobody did anything wrong: both verifiers must say OK to each of them.

Runs that end cleanly and in a crash, backups that are put back, changes of time that a person declared, operations that
succeed, fail and are interrupted, sealed values, data keys that change, redaction, segments, pruning, a second
signature that joins on the way. Five hundred of them in the long run, some in every one.
"""

import random
import shutil

import pytest

from hsm_console.audit.log import AuditLog

HOUR = 3_600_000


class Life:
    """One log and the clock it lives by; the same seed leads the same life (but for salts and file keys)."""

    def __init__(self, case, forge, kept, seed):
        self.case, self.forge, self.kept = case, forge, kept
        self.rng = random.Random(seed)
        self.clock = forge.FixedClock()
        self.log = forge.new_log(case.folder, self.clock)
        self.previous = "none"
        self.sealer, self.wanted = None, False  # wanted: rules that seal are in force, and no key yet
        self.beside = self.rng.random() < 0.3
        self.segments, self.pruned = [], 2
        self.backup = None
        self.shifted, self.owes = (
            0,
            0,
        )  # by how much the clock was set; and how much of it the log does not say any more
        self.did = set()

    def live(self):
        for _ in range(self.rng.randint(1, 4)):
            self.run()
            if self.backup and self.rng.random() < 0.4:
                self.restore()
            elif self.rng.random() < 0.3:
                self.back_up()
            self.reopen()
        self.begin(unlocked=True)
        self.end()
        self.log.close()

    # -- runs -------------------------------------------------------------------------------------------

    def run(self):
        unlocked = self.rng.random() < 0.8
        self.begin(unlocked=unlocked)
        for _ in range(self.rng.randint(0, 7)):
            act = self.rng.choice([*self.ALWAYS, *(self.UNLOCKED if unlocked else ())])
            self.did.add(act.__name__)
            act(self)
        if self.rng.random() < 0.3:
            self.previous = "unclean"
            self.did.add("crash")
        else:
            self.end(unlocked=unlocked)
        self.log.close()

    def begin(self, *, unlocked):
        self.log.append([self.forge.start(self.previous)])
        self.log.sealer = self.sealer
        if self.owes:
            self.declare(self.owes)
            self.owes = 0
        if unlocked:
            self.log.set_signer(self.forge.Signer())
            if self.beside:
                self.kept.sign_beside(self.log)
            self.log.append([self.forge.unlocked()])
            if self.wanted:
                self.begin_sealing()

    def end(self, *, unlocked=True):
        self.log.append([self.forge.stop()])
        if unlocked:
            self.log.checkpoint()
        self.previous = "clean"

    def reopen(self):
        self.clock.pass_ms(self.rng.randint(0, 10**9))
        if self.rng.random() < 0.3:
            self.clock.reboot()
        self.log = AuditLog.open(self.case.database, chain_uid=self.forge.CHAIN_UID, clock=self.clock)

    def back_up(self):
        self.backup = self.case.folder.with_name(self.case.folder.name + "-backup")
        shutil.rmtree(self.backup, ignore_errors=True)
        shutil.copytree(self.case.folder, self.backup)
        self.kept_then = self.previous, list(self.segments), self.pruned, self.shifted
        self.sealed_then = self.sealer, self.wanted

    def restore(self):
        """The disk broke, and nobody holds a receipt from the lost days. What was declared in them is declared anew."""
        shutil.rmtree(self.case.folder)
        shutil.copytree(self.backup, self.case.folder)
        self.previous, self.segments, self.pruned = self.kept_then[0], list(self.kept_then[1]), self.kept_then[2]
        self.owes = self.shifted - self.kept_then[3]
        self.sealer, self.wanted = self.sealed_then
        self.did.add("restore")

    # -- what happens in a run ----------------------------------------------------------------------------

    def view(self):
        self.log.append([self.forge.view(number) for number in range(self.rng.randint(1, 5))])

    def operate(self):
        begun = self.log.append([self.forge.intent()])[0].seq
        self.log.append([self.forge.success(begun)])

    def fail(self):
        begun = self.log.append([self.forge.intent()])[0].seq
        found = self.forge.e.OperationInterrupted(
            intent=begun, operation=self.forge.e.Operation.GENERATE, found="not-done", text="Nothing was made"
        )
        self.log.append([self.forge.draft(found)])

    def change_the_time(self):
        shift = self.rng.choice([-1, 1]) * self.rng.randint(60_000, HOUR)
        self.declare(shift)
        self.set_clock(shift)

    def declare(self, shift):
        event = self.forge.e.TimeChangeDeclared(shift_ms=shift, source="radio clock", why="wrong zone")
        self.log.append([self.forge.draft(event, self.forge.GRACE, critical=True)])

    def set_clock(self, shift):
        self.clock.step(shift)
        self.shifted += shift
        self.log.append([self.forge.view()])

    def be_quiet(self):
        self.log.tick()
        self.clock.pass_ms(61_000)
        self.log.tick()

    def slew(self):
        self.set_clock(self.rng.randint(-1500, 1500))

    def begin_sealing(self):
        self.kept.begin_sealing(self.forge, self.log)
        self.sealer, self.wanted = self.log.sealer, False

    def rules_seal_from_now_on(self):
        """The house's rules come to seal; the key is made when the device is unlocked the next time."""
        if self.sealer is None:
            self.log.append([self.kept.rules_that_seal(self.forge)])
            self.wanted = True

    def seal(self):
        if self.sealer is None and not self.wanted:
            self.begin_sealing()
        self.log.append([self.kept.pause(self.forge, "lunch")])

    def change_keys(self):
        if self.sealer is not None:
            self.kept.change_data_key(self.forge, self.log, self.sealer)
            self.seal()
        self.beside = True
        self.kept.sign_beside(self.log)

    def redact(self):
        rows = [row for row in self.kept.rows(self.log.path) if row[1] >= self.pruned]
        if rows:
            self.kept.redact(self.forge, self.log, self.rng.sample(rows, self.rng.randint(1, min(3, len(rows)))))
            self.did.add("redact-some")

    def rotate(self):
        self.log.append([self.forge.view(number) for number in range(self.rng.randint(100, 300))])
        self.log.checkpoint()
        while (len(self.segments) + 1) * self.kept.SEGMENT <= self.log.signed_size:
            self.segments.append(self.kept.rotate(self.forge, self.log, len(self.segments)))

    def prune(self):
        self.rotate()
        written = self.segments[: self.rng.randint(0, len(self.segments))]
        if written and written[-1].last + 1 > self.pruned:
            self.kept.prune(self.forge, self.log, written, first=self.pruned)
            self.pruned = written[-1].last + 1
            self.did.add("prune-some")

    ALWAYS = (view, view, operate, fail, change_the_time, be_quiet, slew, seal, redact, rules_seal_from_now_on)
    UNLOCKED = (change_keys, rotate, prune, prune)


@pytest.fixture
def life(memory_path, forge, kept, new_case):
    def lead(seed):
        folder = memory_path / seed.replace("/", "-")
        folder.mkdir()
        case = new_case(folder)
        one = Life(case, forge, kept, seed)
        one.live()
        report = case.product()
        assert report.findings == (), (seed, report)
        assert case.script() == (0, set()), (seed, case.said)
        for path in memory_path.glob(f"{folder.name}*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        return one.did

    return lead


def test_some_legal_histories_are_ok(life):
    done = set().union(*(life(f"some/{number}") for number in range(25)))
    assert {"crash", "restore", "prune-some", "redact-some", "change_keys", "change_the_time"} <= done
    assert "rules_seal_from_now_on" in done


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("block", range(10))
def test_five_hundred_legal_histories_are_ok(life, block):
    for number in range(50):
        life(f"{block}/{number}")
