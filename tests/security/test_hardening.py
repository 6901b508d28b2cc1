"""What is left of keys when the process dies, and where its memory may go: nothing, and nowhere."""

import asyncio
import base64
import io
import logging
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from tests.acceptance.terminal import call
from tests.grep import Secret, leaks
from tests.program import Program
from tests.talk import ADA
from vault import logs, wiring
from vault.config import Config

ROOT = Path(__file__).parents[2]

needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """The program with a person in it, told to explain its death, where a core dump would be allowed and found."""
    home = tmp_path_factory.mktemp("hardening")
    least, most = resource.getrlimit(resource.RLIMIT_CORE)
    files = resource.getrlimit(resource.RLIMIT_NOFILE)
    place = Path.cwd()
    resource.setrlimit(resource.RLIMIT_CORE, (most, most))
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, files[1]))
    os.chdir(home)
    try:
        environment = {"PYTHONFAULTHANDLER": "1", "PYTHONPATH": str(ROOT)}
        with Program(home / "data", home, environment=environment) as running:
            os.chdir(place)
            resource.setrlimit(resource.RLIMIT_NOFILE, files)
            yield running
    finally:
        os.chdir(place)
        resource.setrlimit(resource.RLIMIT_CORE, (least, most))
        resource.setrlimit(resource.RLIMIT_NOFILE, files)


def keys_of(data: Path) -> dict[str, Secret]:
    """Return the unlock key, and every key of the keyring."""
    unlock = base64.b64decode((data / "unlock.key").read_bytes())
    return {"the unlock key": unlock} | {
        f"key of line {key.line}": key.secret for key in wiring.keyring_of(data, Config()).read()
    }


def python(code: str) -> "subprocess.CompletedProcess[str]":
    """Run a program of these lines."""
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )


@needs_linux
def test_the_serving_process_may_not_leave_a_core(program: Program) -> None:
    """Its limit is 0, soft and hard, though it was started with more."""
    limits = Path(f"/proc/{program.pid}/limits").read_text()
    (line,) = (line for line in limits.splitlines() if line.startswith("Max core file size"))
    assert line.split()[4:6] == ["0", "0"]


@needs_linux
def test_the_serving_process_may_open_as_many_files_as_the_system_permits(program: Program) -> None:
    """However few it was started with: a hundred tenants take more than the usual 1,024."""
    limits = Path(f"/proc/{program.pid}/limits").read_text()
    (line,) = (line for line in limits.splitlines() if line.startswith("Max open files"))
    assert line.split()[3] == line.split()[4] != "512"


@needs_linux
def test_the_memory_of_the_serving_process_is_locked(program: Program) -> None:
    """All that it has touched is held back from the swap, where the system lets it."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{program.pid}/status").read_text().splitlines())
    finite = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] != resource.RLIM_INFINITY
    if finite and not int(status["CapEff"], 16) >> 14 & 1:
        assert status["VmLck"].split() == ["0", "kB"]
        pytest.skip("this user may not lock memory, and the program did not try")
    assert int(status["VmLck"].split()[0]) >= int(status["VmRSS"].split()[0]) // 2


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT])
def test_a_crash_leaves_no_core_and_no_key(program: Program, number: signal.Signals) -> None:
    """It says where it was, and neither there nor in a file are keys, access keys or what is in a profile."""
    if program._process is None or program._process.poll() is not None:
        program.start()
    home = program.data.parent
    assert call(program.url, "POST", "/api/v1/profiles", program.access_key, {"profile": ADA})[0] in (
        201,
        409,
    )
    secrets = keys_of(program.data) | {
        "access key": program.access_key, "email": ADA["email"], "login": ADA["login"]
    }  # fmt: skip
    assert program.stop(number) == -number
    report = program.errors.read_bytes()
    assert b"Fatal Python error" in report
    assert leaks({"the report": report}, secrets) == []
    assert {path.name for path in home.iterdir()} == {"data", "stderr.log", "stdout.log"}
    assert not list(ROOT.glob("core*"))


@needs_linux
def test_its_memory_is_closed_to_others_of_the_same_user() -> None:
    """The process says of itself that it is not dumpable (3 is PR_GET_DUMPABLE), so ptrace is refused as well."""
    done = python(
        "import ctypes; from vault import hardening; was = ctypes.CDLL(None).prctl(3)\n"
        "hardening.forbid_core_dumps(); print(was, ctypes.CDLL(None).prctl(3))"
    )
    assert done.stdout.split() == ["1", "0"], done.stderr


@needs_linux
def test_a_finite_limit_is_not_tried() -> None:
    """Without the right to lock without bound nothing is locked, and memory can be had as before."""
    done = python(
        "import ctypes, os, resource; from pathlib import Path; from vault import hardening\n"
        "resource.setrlimit(resource.RLIMIT_MEMLOCK, (65536, 65536))\n"
        "class Empty(ctypes.Structure): _fields_ = [('words', ctypes.c_uint32 * 6)]\n"
        "class Header(ctypes.Structure): _fields_ = [('version', ctypes.c_uint32), ('pid', ctypes.c_int)]\n"
        "ctypes.CDLL(None).capset(ctypes.byref(Header(0x20080522, 0)), ctypes.byref(Empty()))\n"
        "print(hardening.lock_memory(), len(bytearray(1 << 24)))\n"
        "print([line.split()[1] for line in open('/proc/self/status') if line.startswith('VmLck')])"
    )
    assert "not permitted" in done.stdout
    assert done.stdout.splitlines()[-2:] == ["False 16777216", "['0']"], done.stderr


CRASHES = {
    "an error nobody catches": "fail(key, profile)",
    "one that led to another": "try: fail(key, profile)\nexcept ValueError as error: raise KeyError(key) from error",
    "one in a thread": "import threading\none = threading.Thread(target=fail, args=(key, profile))\none.start()",
    "one where nobody can catch it": "class Last:\n    def __del__(self): fail(key, profile)\nLast()",
}


@pytest.mark.parametrize("crash", CRASHES.values(), ids=CRASHES)
def test_a_crash_report_has_kind_and_place_and_no_value(crash: str) -> None:
    """Though the value stands in the message, in the arguments and in the locals."""
    done = python(
        "import os; from vault import hardening; hardening.quote_nothing_when_crashing()\n"
        "def fail(key, profile): raise ValueError(key, key.hex(), profile)\n"
        "import os; key, profile = b'0123456789abcdef' * 2, {'email': 'ada@example.org'}\n" + crash
    )
    assert "builtins.ValueError" in done.stderr
    assert ", in fail\n" in done.stderr
    said = {"key": b"0123456789abcdef" * 2, "half of it": b"0123456789abcdef", "email": "ada@example.org"}
    assert (
        leaks({"standard error": done.stderr.encode(), "standard output": done.stdout.encode()}, said) == []
    )


def test_every_command_reports_its_crashes_so(tmp_path: Path) -> None:
    """What is raised after a command has begun is told by its kind."""
    done = python(
        "from vault.cli import main\n"
        f"try: main(['check', '--data', {str(tmp_path / 'none')!r}])\nexcept SystemExit: pass\n"
        "raise ValueError('ada@example.org')"
    )
    assert done.stderr.endswith("builtins.ValueError\n")
    assert "ada@example.org" not in done.stderr.replace("raise ValueError('ada@example.org')", "")


@pytest.mark.parametrize("style", ["json", "console"])
async def test_no_log_shows_what_an_exception_had_in_its_hands(style: str) -> None:
    """A careless line with the exception, a library's, and the event loop's own: kinds only, in both formats."""
    key, stream = os.urandom(32), io.StringIO()
    logs.configure("debug", style, stream)  # type: ignore[arg-type]  # parametrised

    def fail(secret: bytes, profile: dict[str, object]) -> None:
        held = {"key": secret, "text": secret.hex(), **profile}
        raise ValueError(f"{held}")

    try:
        fail(key, dict(ADA))
    except ValueError as error:
        structlog.get_logger().error("careless.line", exc_info=True, stack_info=True, error_text=str(error))
        structlog.get_logger().exception("another.line", key=key, locals=locals())
        logging.getLogger("some.package").exception("said %s", error)
        asyncio.get_running_loop().call_exception_handler({"message": str(error), "exception": error})
    printed = stream.getvalue()
    for event in ("careless.line", "another.line", "some.package", "asyncio", "ValueError"):
        assert event in printed
    secrets: dict[str, Secret] = {"key": key, "email": ADA["email"], "login": ADA["login"]}
    assert leaks({"the log": printed.encode()}, secrets) == []
