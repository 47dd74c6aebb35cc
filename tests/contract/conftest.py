"""One suite for every kind of token: fixtures give a fresh token behind a worker, by adapter.

`luna@shim` is the profile of that name over the module that plays the vendor (tests/vendors). A short form of the suite
runs over all of them each time, the whole of it with `-m soak`. What the vendor's documents say it does not offer must
come back as `Unsupported`; such a test ends there, and says so.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from types import ModuleType

import msgspec
import pytest

from hsm_console.domain.secret import Secret
from hsm_console.hsm.port import Binding, Unsupported
from hsm_console.hsm.worker import HsmClient

SO_PIN = "so-pin-2468"
USER_PIN = "user-pin-1357"
DEFAULT = "simulation,softhsm"
MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")


VENDORS = Path(__file__).parents[1] / "vendors"
SHIM = "@shim"
# Not asked of vendors: blank tokens and folders that are moved are the console's own kinds of token.
OWN = (
    "test_blank_token_says_so_and_is_initialised_once",
    "test_token_is_not_initialised_under_another_name",
    "test_moved_workspace_keeps_its_keys",
    "test_everything_described_is_a_promise",
)
# The short form: tests that share a token, with keys that are made quickly.
SHORT = (
    "test_pair_is_made_guarded_and_shown_with_its_public_half",
    "test_ecdsa_signature_is_der_and_verifies_elsewhere",
    "test_ed25519_signature_verifies_elsewhere",
    "test_hmac_is_deterministic_and_checked",
    "test_gcm_round_trip_with_fresh_ivs",
    "test_gcm_refuses_every_change",
    "test_key_does_only_what_it_was_made_for",
    "test_wrapped_secret_key_comes_back_the_same",
    "test_agreement_gives_what_the_other_side_gets",
    "test_unknown_key_is_missing_in_every_call",
    "test_label_no_token_keeps_faithfully_is_refused",
)
SLOW = ("rsa-", "ec-p384", "ec-p521")
# Where the module asks for no PIN, or takes any, wrong ones are none.
NO_PIN = ("nshield", "kmsp11")
PIN_CHANGED = "test_pin_is_changed_and_the_old_one_is_dead"
PIN_TESTS = (
    "test_wrong_pin_is_told_and_flagged_and_the_right_one_clears_it",
    "test_many_wrong_pins_leave_no_session_behind",
    "test_unusable_pin_costs_no_try",
)


def _rules() -> ModuleType:
    spec = importlib.util.spec_from_file_location("vendor_rules_of_contract", VENDORS / "rules.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


RULES = _rules().VENDORS
SHIMS = tuple(f"{name}{SHIM}" for name, vendor in RULES.items() if vendor.makes)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--adapters", default=DEFAULT, help="adapters that the contract suite runs over")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "adapter" in metafunc.fixturenames:
        chosen = metafunc.config.getoption("--adapters", DEFAULT)
        names = [*chosen.split(","), *(SHIMS if chosen == DEFAULT else ())]
        marks = {name: [pytest.mark.softhsm] for name in ("softhsm", *SHIMS)}
        metafunc.parametrize("adapter", [pytest.param(n, marks=marks.get(n, [])) for n in names], scope="session")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Over shims: what is the console's own is left out, and all but the short form is for `-m soak`."""
    kept = []
    for item in items:
        adapter = _shim_of(item)
        name = getattr(item, "originalname", "")
        if adapter and (name in OWN or (name in PIN_TESTS and adapter in NO_PIN)):
            continue
        if adapter and name == PIN_CHANGED and {"no-set-pin", "no-login"} & set(RULES[adapter].rules):
            continue
        if adapter and (name not in SHORT or any(word in item.name for word in SLOW)):
            item.add_marker(pytest.mark.soak)
        kept.append(item)
    items[:] = kept


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    return (yield from _typed(item))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    return (yield from _typed(item))


def _typed(item: pytest.Item) -> Generator[None, object, object]:
    """A vendor's device that does not offer something says so before anything is done: that is the contract too."""
    try:
        return (yield)
    except Unsupported as answer:
        if not _shim_of(item):
            raise
        problem = answer.problem
        assert all((problem.what, problem.key_state, problem.todo, problem.contact))
        pytest.skip(f"typed answer: {problem.what}")


def _shim_of(item: pytest.Item) -> str:
    """The vendor that a test is played over, or nothing."""
    call = getattr(item, "callspec", None)
    adapter = str(call.params.get("adapter", "")) if call else ""
    return adapter.removesuffix(SHIM) if adapter.endswith(SHIM) else ""


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("shim") / "shim.so"
    source = VENDORS / "shim.c"
    subprocess.run(["gcc", "-std=gnu17", "-shared", "-fPIC", "-O1", "-w", "-o", target, source, "-ldl"], check=True)
    return target


@pytest.fixture(scope="session")
def make_token(adapter: str, request: pytest.FixtureRequest) -> Callable[[Path], Binding]:
    """Initialises a token in a directory; answers the binding that means it, with its serial number."""
    if adapter != "simulation" and not MODULE.exists():
        pytest.skip("softhsm2 is not installed")

    def make(directory: Path, label: str = "contract") -> Binding:
        if adapter.endswith(SHIM):
            return _vendors(adapter.removesuffix(SHIM), request.getfixturevalue("shim"), directory, label)
        binding = Binding(adapter=adapter, token_label=label, directory=str(directory))
        with HsmClient(binding) as client:
            info = client.initialise_token(label, Secret(SO_PIN), Secret(USER_PIN))
        return msgspec.structs.replace(binding, serial=info.serial)

    return make


def _vendors(name: str, shim: Path, directory: Path, label: str) -> Binding:
    """A token of a vendor, as its own tool has initialised it."""
    vendor, store, configuration = RULES[name], directory / "store", directory / "softhsm2.conf"
    store.mkdir()
    configuration.write_text(f"directories.tokendir = {store}\nobjectstore.backend = file\nlog.level = ERROR\n")
    plain = Binding(adapter="pkcs11", token_label=label, options={"module": str(MODULE)})
    with HsmClient(plain, environment={"SOFTHSM2_CONF": str(configuration)}) as tool:
        info = tool.initialise_token(label, Secret(SO_PIN), Secret(vendor.pin))
    variables = {"SOFTHSM2_CONF": str(configuration), "SHIM_MODULE": str(MODULE), **vendor.environment()}
    options = {**vendor.options, "module": str(shim), **{f"env.{key}": value for key, value in variables.items()}}
    return Binding(adapter=name, token_label=label, serial=info.serial, options=options)


@pytest.fixture
def binding(make_token: Callable[[Path], Binding], tmp_path: Path) -> Binding:
    return make_token(tmp_path)


@pytest.fixture
def locked(binding: Binding) -> Iterator[HsmClient]:
    """A fresh token of its own, nobody logged in."""
    with HsmClient(binding) as client:
        yield client


@pytest.fixture
def token(locked: HsmClient) -> HsmClient:
    """A fresh token of its own, logged in."""
    locked.log_in(Secret(USER_PIN))
    return locked


@pytest.fixture(scope="module")
def shared(make_token: Callable[[Path], Binding], tmp_path_factory: pytest.TempPathFactory) -> Iterator[HsmClient]:
    """One logged-in token per module, for tests that only add keys."""
    with HsmClient(make_token(tmp_path_factory.mktemp("shared"))) as client:
        client.log_in(Secret(USER_PIN))
        yield client
