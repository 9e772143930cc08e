"""Which core does what: the measured process has one to itself, everything else shares the others."""

import os

_CORES = sorted(os.sched_getaffinity(0))
MEASURED = {_CORES[-1]}
OTHERS = set(_CORES[:-1]) or MEASURED


def cpu_seconds(pid: int, *, with_ended: bool = False) -> float:
    """User and system time of a process so far, all threads; with that of its children that have ended where asked for."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return sum(map(int, fields[11 : 15 if with_ended else 13])) / os.sysconf("SC_CLK_TCK")


def resident_mib(pid: int) -> float:
    """Resident memory of a process."""
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def forget_peak(pid: int) -> None:
    """Have `peak_mib` begin again with what the process has now."""
    with open(f"/proc/{pid}/clear_refs", "w", encoding="ascii") as file:
        file.write("5")


def peak_mib(pid: int) -> float:
    """The most resident memory that a process has had since `forget_peak`."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM:")) / 2**10


def on_the_measured_core() -> None:
    """For a new process, before its program begins."""
    os.sched_setaffinity(0, MEASURED)
