"""Becomes `python -m partnerbus …`, with the system calls that reach the disk to be answered by a test.

    python launch_filtered.py SOCKET ARGUMENT…

A seccomp filter (which needs no privilege, and stays when the program is replaced) hands over each call that
writes to a file at a place or syncs one. The descriptor over which they come goes through SOCKET.
"""

import ctypes
import os
import platform
import socket
import sys

NUMBERS = {  # pwrite64, fsync, fdatasync
    "x86_64": (18, 74, 75),
    "aarch64": (68, 82, 83),
}
SECCOMP = {"x86_64": 317, "aarch64": 277}

_NO_NEW_PRIVILEGES = 38
_SET_FILTER, _NEW_LISTENER = 1, 8
_LOAD_NUMBER, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ASK, _ALLOW = 0x7FC00000, 0x7FFF0000


class _Instruction(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_ushort),
        ("if_true", ctypes.c_ubyte),
        ("if_false", ctypes.c_ubyte),
        ("value", ctypes.c_uint),
    )


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.POINTER(_Instruction)))


def install_filter() -> int:
    """The descriptor over which the calls come."""
    numbers = NUMBERS[platform.machine()]
    instructions = [_Instruction(_LOAD_NUMBER, 0, 0, 0)]
    for left, number in zip(range(len(numbers), 0, -1), numbers, strict=True):
        instructions.append(_Instruction(_JUMP_IF_EQUAL, left, 0, number))
    instructions += [_Instruction(_RETURN, 0, 0, _ALLOW), _Instruction(_RETURN, 0, 0, _ASK)]
    array = (_Instruction * len(instructions))(*instructions)
    program = _Program(len(instructions), array)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
    listener = libc.syscall(SECCOMP[platform.machine()], _SET_FILTER, _NEW_LISTENER, ctypes.byref(program))
    if listener < 0:
        raise OSError(ctypes.get_errno(), "seccomp")
    return int(listener)


def main(address: str, *arguments: str) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        socket.send_fds(connection, [b"x"], [install_filter()])
    os.execv(sys.executable, [sys.executable, "-m", "partnerbus", *arguments])


if __name__ == "__main__":
    main(*sys.argv[1:])
