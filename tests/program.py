"""The real program as a process on a real port, bounded in time and ended by its own process id."""

import os
import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType

#: Seconds for a start or a stop; both take well under one.
PATIENCE = 30


class Program:
    """``tokenvault serve`` on a free port of 127.0.0.1. Use as a context manager; may be started again.

    ``output`` and ``errors`` are the files that collect standard output and standard error of all its lives.
    """

    def __init__(
        self, data: Path, logs: Path, *arguments: str, environment: dict[str, str] | None = None
    ) -> None:
        self.data = data
        self.output, self.errors = logs / "stdout.log", logs / "stderr.log"
        self._arguments = arguments
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[str] | None = None
        self.url = ""
        self.access_key = ""

    def start(self) -> None:
        """Start, and return when it listens."""
        command = [
            sys.executable,
            "-m",
            "vault",
            "serve",
            "--data",
            str(self.data),
            "--port",
            "0",
            *self._arguments,
        ]
        with self.errors.open("a") as errors:
            self._process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=errors, text=True, env=self._environment
            )
        lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._collect, args=(self._process, lines), daemon=True).start()
        while True:
            line = lines.get(timeout=PATIENCE)
            if line == "":
                raise AssertionError(
                    f"the program ended with {self._process.wait()}: {self.errors.read_text()}"
                )
            if "tvk_" in line:
                self.access_key = line.split()[-1]
            if line.startswith("listening on "):
                self.url = line.split()[-1]
                return

    def _collect(self, process: "subprocess.Popen[str]", lines: "queue.Queue[str]") -> None:
        assert process.stdout is not None
        with process.stdout, self.output.open("a") as output:
            for line in process.stdout:
                output.write(line)
                output.flush()
                lines.put(line)
        lines.put("")

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process is not None
        return self._process.pid

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal, wait for the end, and return the exit code."""
        assert self._process is not None
        self._process.send_signal(number)
        return self._process.wait(timeout=PATIENCE)

    def __enter__(self) -> "Program":
        self.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(timeout=PATIENCE)
