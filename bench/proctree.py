"""What a tree of processes has used, read from `/proc` (proc(5)): CPU time and memory of a process and all that it started."""

import os
from pathlib import Path

PROC = Path("/proc")
TICKS_PER_S = os.sysconf("SC_CLK_TCK")

# Positions in /proc/PID/stat after the command's closing bracket; the numbers in proc(5) minus 3.
_PPID, _UTIME, _STIME, _CUTIME, _CSTIME = 1, 11, 12, 13, 14


def _stat_fields(pid: int) -> list[bytes]:
    # The command may itself hold blanks and brackets, so only what follows the last bracket is split.
    return (PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()


def tree(root: int) -> list[int]:
    """The process `root` and all its living descendants.

    Raises `ProcessLookupError` when `root` is gone.
    """
    children: dict[int, list[int]] = {}
    for entry in os.listdir(PROC):
        if not entry.isdigit():
            continue
        try:
            parent = int(_stat_fields(int(entry))[_PPID])
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended between the listing and the reading
        children.setdefault(parent, []).append(int(entry))
    if not (PROC / str(root)).exists():
        raise ProcessLookupError(root)
    found, waiting = [], [root]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        waiting += children.get(pid, [])
    return found


def cpu_s(root: int) -> float:
    """CPU seconds (user and system) that the tree of `root` has used until now, with its children that have ended and were waited for.

    The kernel counts in ticks of 1/`TICKS_PER_S` seconds. A living process that ended children counts them in cutime and cstime, so
    nothing is counted twice. Raises `ProcessLookupError` when `root` is gone.
    """
    ticks = 0
    for pid in tree(root):
        try:
            fields = _stat_fields(pid)
        except (FileNotFoundError, ProcessLookupError):
            continue
        ticks += int(fields[_UTIME]) + int(fields[_STIME]) + int(fields[_CUTIME]) + int(fields[_CSTIME])
    return ticks / TICKS_PER_S


def memory_bytes(root: int) -> tuple[int, int]:
    """(RSS, PSS) of the tree of `root` in bytes, from `smaps_rollup`; a page that several processes share counts once in the PSS.

    Raises `ProcessLookupError` when `root` is gone, `PermissionError` when its processes belong to somebody else.
    """
    rss = pss = 0
    for pid in tree(root):
        try:
            text = (PROC / str(pid) / "smaps_rollup").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        values = {key: rest for key, _, rest in (line.partition(":") for line in text.splitlines()[1:])}
        rss += int(values["Rss"].split()[0]) * 1024
        pss += int(values["Pss"].split()[0]) * 1024
    return rss, pss


def machine_busy_s() -> float:
    """CPU seconds that all processes of this machine have used since it started, with what the hypervisor took away (steal)."""
    fields = (PROC / "stat").read_text().splitlines()[0].split()[1:]
    user, nice, system, _idle, _iowait, irq, softirq, steal = (int(field) for field in fields[:8])
    return (user + nice + system + irq + softirq + steal) / TICKS_PER_S
