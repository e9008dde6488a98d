"""The request load: `wrk` with a Lua script written here, and what it reports."""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from bench.installing import command
from bench.sides import Running
from bench.traffic import PATH, Void, chat_body

CONNECTIONS = 32
_MARK = "bench-result:"


@dataclass(frozen=True)
class Load:
    """What one load did: calls that were answered with 2xx or 3xx, in `duration_s`, and the latency in milliseconds."""

    requests: int
    duration_s: float
    p50_ms: float
    p99_ms: float


def version() -> str:
    """The version of wrk, installing it where needed and possible."""
    # `wrk -v` prints its usage and ends with code 1.
    done = subprocess.run([command("wrk", "wrk"), "-v"], capture_output=True, text=True, check=False)
    return done.stdout.split("[")[0].removeprefix("wrk ").strip()


def _script(headers: Mapping[str, str]) -> str:
    lines = ['wrk.method = "POST"', f"wrk.body = [==[{chat_body(stream=False).decode()}]==]"]
    lines += [
        f'wrk.headers["{name}"] = "{value}"' for name, value in {"content-type": "application/json", **headers}.items()
    ]
    fields = {
        "requests": "s.requests",
        "duration_us": "s.duration",
        "p50_us": "l:percentile(50)",
        "p99_us": "l:percentile(99)",
        "status": "s.errors.status",
        "connect": "s.errors.connect",
        "read": "s.errors.read",
        "write": "s.errors.write",
        "timeout": "s.errors.timeout",
    }
    form = ",".join(f'"{name}":%d' for name in fields)
    lines.append(f"done = function(s, l) print(string.format('{_MARK}{{{form}}}', {', '.join(fields.values())})) end")
    return "\n".join(lines)


def start(side: Running, seconds: float, connections: int = CONNECTIONS) -> subprocess.Popen[str]:
    """Start wrk against `side` with one thread; SIGINT ends it early, with its report."""
    script = side.folder / "load.lua"
    script.write_text(_script(side.launch.headers))
    url = f"http://127.0.0.1:{side.launch.port}{PATH}"
    options = ["-t1", f"-c{connections}", f"-d{round(seconds)}s", "--timeout", "30s", "-s", str(script)]
    argv = [command("wrk", "wrk"), *options, url]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(child: subprocess.Popen[str], name: str) -> Load:
    """Wait for wrk and read its report. Raises `Void` when a call failed or none was made."""
    try:
        text = child.communicate()[0]
    except BaseException:
        child.kill()  # we are being ended: so is the load
        raise
    _, mark, report = text.partition(_MARK)
    if child.returncode or not mark:
        raise Void(f"wrk against {name} ended with code {child.returncode}: {text.strip()[-400:]}")
    result = json.loads(report.splitlines()[0])
    failed = {kind: result[kind] for kind in ("status", "connect", "read", "write", "timeout") if result[kind]}
    if failed or not result["requests"]:
        raise Void(f"{name}: of {result['requests']} requests some failed: {failed}")
    return Load(result["requests"], result["duration_us"] / 1e6, result["p50_us"] / 1e3, result["p99_us"] / 1e3)


def run(side: Running, seconds: float, connections: int = CONNECTIONS) -> Load:
    """Put the load on `side` for `seconds`. Raises `Void` when a call failed."""
    return finish(start(side, seconds, connections), side.name)
