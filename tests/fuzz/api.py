"""Schemathesis over our own OpenAPI document, against the real program on a port of this machine."""

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.fuzz import refusals
from tests.fuzz.result import Result
from tests.program import Program

Json = dict[str, Any]
Say = Callable[[str], None]

ROOT = Path(__file__).parents[2]

#: Seconds that a run may take beyond what it was given: the last case, and the report.
GRACE = 60

#: Seconds between two lines of progress.
LINE_EVERY = 20

#: Refused keys, of which a check sends one with every case, are not held back: it would take nearly all of the time.
SETTINGS = {
    "VAULT_LOG__REQUESTS": "false", "VAULT_ACCESS__FAILURE_HOLD": "0", "VAULT_ACCESS__FAILURES_PER_MINUTE": "1000000",
}  # fmt: skip

#: Every phase of Schemathesis; those after the second repeat until the time is spent.
PHASES = "examples,coverage,fuzzing,stateful"


def run(seconds: int, seed: int, say: Say = lambda _: None) -> Result:
    """Start a vault, let Schemathesis at every operation with every check, and return what it found."""
    with tempfile.TemporaryDirectory(prefix="tokenvault-fuzz-") as name:
        folder = Path(name)
        with Program(folder / "data", folder, environment=SETTINGS) as program:
            (folder / "openapi.json").write_text(json.dumps(listed(linked(_served(program.url)))))
            began = time.monotonic()
            code, printed = _schemathesis(program, folder, seconds, seed, say)
            taken = time.monotonic() - began
            stopped = program.stop()
        logged = [
            json.loads(line) for line in program.errors.read_text().splitlines() if line.startswith("{")
        ]
        path = folder / "report.json"
        report: Json = json.loads(path.read_text()) if path.exists() else {}
    findings = [
        f"{one['title']}: {', '.join(map(str, one['operations']))}" for one in report.get("failures", ())
    ]
    # What the service itself has noted as unforeseen counts even if no check looked at that answer.
    findings += [f"the service logged: {line}" for line in logged if line["level"] == "error"]
    findings += [f"the service ended with {stopped}"] if stopped else []
    tested, known = (report.get("operations", {}).get(name, 0) for name in ("tested", "total"))
    findings += [f"{tested} of {known} operations were tested"] if tested != known or not known else []
    findings += [f"Schemathesis ended with {code}\n{printed[-20_000:]}"] if code or findings else []
    counts = {"operations": tested, "cases": report.get("test_cases", {}).get("generated", 0)}
    return Result("api", seed, taken, counts, f"scripts/fuzz api --seed {seed}", findings)


#: What a header takes from which member or header of another call's answer.
LINKS = {
    "Session-Id": ("session_id", {"header.Session-Id": "$response.body#/session_id"}),
    "If-Match": (
        "revision",
        {"header.If-Match": "$response.header.ETag", "path.token": "$response.body#/token"},
    ),
}


def linked(document: Json) -> Json:
    """Return the document with links to the calls that take in a header what other calls hand out.

    Without them a random id would never be a living one. What is in paths Schemathesis links itself.
    """
    operations = [each for methods in document["paths"].values() for each in methods.values()]
    for each in operations:
        for status, answer in each["responses"].items():
            for header, (member, parameters) in LINKS.items():
                if status < "300" and member in _members(document, answer):
                    answer.setdefault("links", {}).update(
                        {
                            f"{taker['operationId']}_{header}": {
                                "operationId": taker["operationId"], "parameters": parameters,
                            }
                            for taker in operations
                            if any((one["in"], one["name"]) == ("header", header) for one in taker["parameters"])
                        }
                    )  # fmt: skip
    return document


def listed(document: Json) -> Json:
    """Return the document with each answer of lines as the list of them, which is how ``refusals.py`` reads it.

    OpenAPI 3.1 gives the schema of one line, and has no word for there being many.
    """
    for methods in document["paths"].values():
        for each in methods.values():
            for answer in each["responses"].values():
                media = answer.get("content", {}).get(refusals.LINES)
                if media:
                    media["schema"] = {"type": "array", "items": media["schema"]}
    return document


def _members(document: Json, answer: Json) -> Json:
    schema = answer.get("content", {}).get("application/json", {}).get("schema", {})
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    members: Json = schema.get("properties", {})
    return members


def _served(url: str) -> Json:
    with urllib.request.urlopen(f"{url}/openapi.json", timeout=30) as response:  # noqa: S310 - our own, on 127.0.0.1
        document: Json = json.load(response)
    return document


def _schemathesis(program: Program, folder: Path, seconds: int, seed: int, say: Say) -> tuple[int, str]:
    """Run it; return its exit code and what it printed."""
    command = [
        str(Path(sys.executable).with_name("st")), "run", str(folder / "openapi.json"), "--url", program.url,
        "--header", f"Authorization: Bearer {program.access_key}",
        "--mode", "all", "--checks", "all", "--phases", PHASES, "--max-time", str(seconds), "--seed", str(seed),
        "--generation-database", "none", "--continue-on-failure", "--no-color", "--request-timeout", "20",
        "--output-sanitize", "false",  # of a vault that is gone a moment later: a finding must be repeatable
        "--report", "json", "--report-json-path", str(folder / "report.json"),
    ]  # fmt: skip
    environment = {
        **os.environ, "SCHEMATHESIS_HOOKS": str(Path(refusals.__file__)), "COLUMNS": "200", "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    printed = folder / "schemathesis.txt"
    began = time.monotonic()
    with printed.open("w") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            while (taken := time.monotonic() - began) < seconds + GRACE and process.poll() is None:
                say(f"api: {taken:.0f} of {seconds} s")
                with suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=min(LINE_EVERY, seconds + GRACE - taken))
        finally:
            if process.poll() is None:
                process.kill()
            code = process.wait()
    return code, printed.read_text(errors="replace")
