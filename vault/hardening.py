"""What the process itself does so that keys stay in its memory: no core dump, no swap, no value in a crash report.

Linux does all of it; elsewhere a step that is missing is passed over. None of it stops the program.
"""

import ctypes
import os
import resource
import sys
import threading
import traceback
from pathlib import Path
from types import TracebackType

import structlog

#: linux/prctl.h, bits/mman-linux.h, linux/capability.h.
_PR_SET_DUMPABLE = 4
_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4
_CAP_IPC_LOCK = 14


def forbid_core_dumps() -> None:
    """Leave no image of the memory behind, nor let another process of this user read it (core(5), prctl(2))."""
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        # The limit does not hold for a core that goes to a program, as systemd-coredump; this does.
        if sys.platform == "linux":
            _call("prctl", _PR_SET_DUMPABLE, 0, 0, 0, 0)
    except (OSError, ValueError, AttributeError) as error:
        structlog.get_logger().warning("core_dumps.not_forbidden", error=type(error).__name__)


def lock_memory() -> bool:
    """Keep all memory, now and later, off the swap (mlockall(2)); return whether it is.

    It is not tried below a limit: then not this call but a later allocation would fail, amid a request.
    """
    if sys.platform != "linux" or not _may_lock():
        structlog.get_logger().info("memory.not_locked", reason="not permitted")
        return False
    try:
        # As pages are touched, so that what is reserved but never used costs nothing (Linux 4.4).
        _call("mlockall", _MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT)
    except (OSError, AttributeError) as error:
        structlog.get_logger().warning("memory.not_locked", error=type(error).__name__)
        return False
    return True


def open_many_files() -> None:
    """Allow as many open files as the system permits: each tenant takes some 16, and the usual 1,024 are soon gone."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    except (OSError, ValueError) as error:
        structlog.get_logger().warning("files.not_lifted", error=type(error).__name__)


def quote_nothing_when_crashing() -> None:
    """Report what nobody has caught by kind and place. A message may quote a value; no library promises not to.

    A program around this one that watches for crashes itself, such as a test runner, keeps its own way.
    """
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = _report
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = lambda crash: _report(crash.exc_type, crash.exc_value, crash.exc_traceback)
    if sys.unraisablehook is sys.__unraisablehook__:
        sys.unraisablehook = lambda crash: _report(crash.exc_type, crash.exc_value, crash.exc_traceback)


def _report(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    """Write one error and those that led to it, the first cause first, as Python does but without messages."""
    if isinstance(error, KeyboardInterrupt | SystemExit):
        return
    earlier = error and (error.__cause__ or (None if error.__suppress_context__ else error.__context__))
    if earlier is not None:
        _report(type(earlier), earlier, earlier.__traceback__)
    place = "".join(traceback.format_tb(trace))
    if sys.stderr is not None:
        sys.stderr.write(
            f"Traceback (most recent call last):\n{place}{kind.__module__}.{kind.__qualname__}\n"
        )


def _may_lock() -> bool:
    if resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] == resource.RLIM_INFINITY:
        return True
    try:
        status = Path("/proc/self/status").read_text("ascii", "replace")
    except OSError:
        return False
    (held,) = [int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapEff:")] or [0]
    return bool(held >> _CAP_IPC_LOCK & 1)


def _call(name: str, *arguments: int) -> None:
    """Call a function of the C library; raise ``OSError`` if it says no."""
    library = ctypes.CDLL(None, use_errno=True)
    if getattr(library, name)(*map(ctypes.c_ulong, arguments)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
