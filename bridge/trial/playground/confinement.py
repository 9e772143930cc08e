"""What a process may use that runs what people typed: bounds on time, memory and files, no network, no other program.

Bounds are those of POSIX (`setrlimit`). On Linux of x86-64 and AArch64 a filter of system calls (seccomp) refuses what
the work does not need; elsewhere `confine` says what nothing keeps the process from.
"""

import ctypes
import errno
import os
import platform
import resource
import signal
import struct
import sys
from collections.abc import Sequence
from typing import Final

CPU_SECONDS: Final = 8
MEMORY: Final = 640 * 1024 * 1024
"""Bytes of addresses, of which the libraries that are loaded take about a third."""

WALL_SECONDS: Final = 40
"""After so many seconds the process ends by itself; who started it waits for less."""

TOO_MUCH: Final = 3
"""The exit code of a process that had too little memory, or that something nested deeper than it can follow."""

NICE: Final = 5
"""How far the process stands behind the daemon where both want the processor."""

_OPEN_FILES = 64

NETWORK, PROGRAMS, WRITING = "network", "other programs", "writing files"

# Numbers of system calls, and of the architecture in the kernel's `seccomp_data` (linux/audit.h).
_X86, _ARM = 0xC000003E, 0xC00000B7
_REFUSED: Final = {
    "socket": (41, 198),
    "connect": (42, 203),
    "execve": (59, 221),
    "execveat": (322, 281),
    "fork": (57, None),
    "vfork": (58, None),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "kill": (62, 129),
    "tkill": (200, 130),
    "pidfd_open": (434, 434),
    "unlink": (87, None),
    "unlinkat": (263, 35),
    "rename": (82, None),
    "renameat": (264, 38),
    "renameat2": (316, 276),
    "mkdir": (83, None),
    "mkdirat": (258, 34),
    "link": (86, None),
    "linkat": (265, 37),
    "symlink": (88, None),
    "symlinkat": (266, 36),
    "truncate": (76, 45),
    "chmod": (90, None),
    "fchmodat": (268, 53),
    "creat": (85, None),
    "openat2": (437, 437),
    "io_uring_setup": (425, 425),
    "bpf": (321, 280),
    "mount": (165, 40),
    "unshare": (272, 97),
}
"""By name: the number on x86-64 and on AArch64, None where there is none."""

_OPEN = (2, None)
_OPENAT = (257, 56)
_CLONE = (56, 220)
_CLONE3 = (435, 435)
_X32 = 0x40000000
"""Numbers from here on are those of a third architecture, which an x86-64 kernel may serve too."""

_CLONE_THREAD = 0x00010000
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _FILTER = 38, 22, 2
_LOAD, _EQUAL, _AT_LEAST, _ANY_OF, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
"""Offsets in `seccomp_data`; an argument has eight bytes, of which the lower half comes first."""


def stand_back() -> None:
    """Leave the processor to the daemon where both want it; call it first."""
    os.nice(NICE)


def confine() -> Sequence[str]:
    """Bound this process for the rest of its life; returns what nothing keeps it from on this machine.

    Call it before anything is read that a person wrote, and after all is loaded: no file is opened for writing then.
    """
    for kind, most in (
        (resource.RLIMIT_CPU, CPU_SECONDS),
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
    ):
        _, hard = resource.getrlimit(kind)
        bound = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (bound, bound))
    signal.alarm(WALL_SECONDS)
    return () if _filter_calls() else (NETWORK, PROGRAMS)


def _filter_calls() -> bool:
    """Whether the kernel refuses from now on what the work does not need."""
    machine = {"x86_64": (_X86, 0), "aarch64": (_ARM, 1)}.get(platform.machine())
    if sys.platform != "linux" or machine is None:
        return False
    program = _program(*machine)
    libc = ctypes.CDLL(None, use_errno=True)
    code = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: the number of instructions, and where they stand.
    held = struct.pack("@HP", len(program) // 8, ctypes.addressof(code))
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return False
    return bool(libc.prctl(_PR_SET_SECCOMP, _FILTER, ctypes.c_char_p(held), 0, 0) == 0)


def _program(architecture: int, column: int) -> bytes:
    """The filter in the kernel's own instructions (linux/filter.h): operation, two jumps, a number."""
    steps = [
        _step(_LOAD, _ARCHITECTURE),
        _step(_EQUAL, architecture, 1, 0),
        _step(_RETURN, _KILL),
        _step(_LOAD, _NUMBER),
        _step(_AT_LEAST, _X32, 0, 1),
        _step(_RETURN, _KILL),
    ]
    for numbers in _REFUSED.values():
        steps += _when(numbers[column], _step(_RETURN, _ERRNO | errno.EPERM))
    # The C library makes threads by `clone` where `clone3` is not there, and the arguments of `clone` can be looked at.
    steps += _when(_CLONE3[column], _step(_RETURN, _ERRNO | errno.ENOSYS))
    steps += _when(_CLONE[column], *_unless_flags(0, _CLONE_THREAD, allowed=True))
    steps += _when(_OPEN[column], *_unless_flags(1, _WRITES, allowed=False))
    steps += _when(_OPENAT[column], *_unless_flags(2, _WRITES, allowed=False))
    steps.append(_step(_RETURN, _ALLOW))
    return b"".join(steps)


def _step(operation: int, number: int, if_so: int = 0, if_not: int = 0) -> bytes:
    return struct.pack("=HBBI", operation, if_so, if_not, number)


def _when(number: int | None, *steps: bytes) -> Sequence[bytes]:
    """What is done for one system call; the steps return."""
    return () if number is None else (_step(_EQUAL, number, 0, len(steps)), *steps)


def _unless_flags(argument: int, flags: int, *, allowed: bool) -> Sequence[bytes]:
    """Look whether an argument has any of the flags: with them the call is `allowed`, or else without them."""
    allow, refuse = _step(_RETURN, _ALLOW), _step(_RETURN, _ERRNO | errno.EPERM)
    with_them, without = (allow, refuse) if allowed else (refuse, allow)
    return (_step(_LOAD, _ARGUMENTS + 8 * argument), _step(_ANY_OF, flags, 0, 1), with_them, without)
