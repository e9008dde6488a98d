"""What a tree of processes has used, read from `/proc` (proc(5)): CPU time and memory of a process and all that it started."""

import os
from collections import Counter
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Memory:
    """Memory of a tree of processes, in bytes.

    `pss`: resident, each page divided by the number of processes that share it. `pss_private` is the part of it that lies in no file
    (Pss_Anon and Pss_Shmem): only the tree itself changes that, while the rest also changes when anybody else on the machine
    starts or ends a program that maps the same files, the Python interpreter for one.
    """

    rss: int
    pss: int
    pss_private: int


def memory(root: int) -> Memory:
    """Memory of the tree of `root`, from `smaps_rollup` (Linux 5.5 or newer).

    Raises `ProcessLookupError` when `root` is gone, `PermissionError` when its processes belong to somebody else.
    """
    total: Counter[str] = Counter()
    for pid in tree(root):
        try:
            lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()[1:]
        except (FileNotFoundError, ProcessLookupError):
            continue
        for line in lines:
            name, _, amount = line.partition(":")
            total[name] += int(amount.split()[0]) * 1024
    return Memory(total["Rss"], total["Pss"], total["Pss_Anon"] + total["Pss_Shmem"])


def machine_busy_s() -> float:
    """CPU seconds that all processes of this machine have used since it started, with what the hypervisor took away (steal)."""
    fields = (PROC / "stat").read_text().splitlines()[0].split()[1:]
    user, nice, system, _idle, _iowait, irq, softirq, steal = (int(field) for field in fields[:8])
    return (user + nice + system + irq + softirq + steal) / TICKS_PER_S
