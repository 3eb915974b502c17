# SPDX-License-Identifier: Apache-2.0
"""Makes a running process call a system call, as somebody who has taken it over would: root stops it with ptrace,
points it at a syscall instruction of its own, and reads the result. x86_64 only."""
import ctypes
import os
import platform
import signal
import struct
import time

PTRACE_PEEKTEXT, PTRACE_POKETEXT, PTRACE_SINGLESTEP = 1, 4, 9
PTRACE_GETREGS, PTRACE_SETREGS, PTRACE_ATTACH, PTRACE_DETACH = 12, 13, 16, 17
REGISTERS = ("r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss fs_base gs_base "
             "ds es fs gs").split()
WRITE, CLOSE, SOCKET, UNLINK, SETUID, OPENAT = 1, 3, 41, 87, 105, 257
AT_FDCWD = -100 & 0xFFFFFFFFFFFFFFFF

possible = platform.machine() == "x86_64" and os.geteuid() == 0


class Injector:
    """`with Injector(pid) as i: i.call(OPENAT, AT_FDCWD, b"/path", 0)` gives what the kernel answered: >= 0 or -errno."""

    def __init__(self, pid):
        self.pid = pid
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.libc.ptrace.restype = ctypes.c_long
        self.libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]

    def ptrace(self, request, address=None, data=None):
        ctypes.set_errno(0)
        result = self.libc.ptrace(request, self.pid, address, data)
        if result == -1 and ctypes.get_errno():
            raise OSError(ctypes.get_errno(), f"ptrace {request}: {os.strerror(ctypes.get_errno())}")
        return result & 0xFFFFFFFFFFFFFFFF

    def wait_stop(self):
        _, status = os.waitpid(self.pid, 0)
        if not os.WIFSTOPPED(status):
            raise OSError(f"process {self.pid} is gone (status {status})")
        return os.WSTOPSIG(status)

    def registers(self):
        raw = ctypes.create_string_buffer(8 * len(REGISTERS))
        self.ptrace(PTRACE_GETREGS, None, ctypes.addressof(raw))
        return dict(zip(REGISTERS, struct.unpack(f"{len(REGISTERS)}Q", raw.raw)))

    def set_registers(self, values):
        raw = ctypes.create_string_buffer(struct.pack(f"{len(REGISTERS)}Q", *(values[r] for r in REGISTERS)))
        self.ptrace(PTRACE_SETREGS, None, ctypes.addressof(raw))

    def __enter__(self):
        # It waits in epoll_wait nearly always: just behind a syscall instruction (0f 05). Else try again.
        for _ in range(50):
            self.ptrace(PTRACE_ATTACH)
            self.wait_stop()
            self.saved = self.registers()
            if self.ptrace(PTRACE_PEEKTEXT, self.saved["rip"] - 2) & 0xFFFF == 0x050F:
                return self
            self.ptrace(PTRACE_DETACH)
            time.sleep(0.02)
        raise OSError(f"process {self.pid} is never in a system call")

    def __exit__(self, *_):
        try:
            # The interrupted call is made again.
            registers = dict(self.saved)
            if registers["orig_rax"] < 1 << 63:
                registers["rax"] = registers["orig_rax"]
                registers["rip"] -= 2
                registers["orig_rax"] = 0xFFFFFFFFFFFFFFFF
            self.set_registers(registers)
            self.ptrace(PTRACE_DETACH)
        except OSError:
            # Killed meanwhile, by its sandbox or its parent. The parent hears of it only after the tracer.
            try:
                os.waitpid(self.pid, 0)
            except ChildProcessError:
                pass

    def call(self, number, *arguments):
        registers = dict(self.saved)
        room = (self.saved["rsp"] - 4096) & ~0xF
        values = []
        for argument in arguments:
            if isinstance(argument, bytes):
                text = argument + b"\0" * (8 - len(argument) % 8)
                for at in range(0, len(text), 8):
                    self.ptrace(PTRACE_POKETEXT, room + at, struct.unpack("Q", text[at:at + 8])[0])
                argument, room = room, room - 1024
            values.append(argument)
        for name, value in zip(("rdi", "rsi", "rdx", "r10", "r8", "r9"), values):
            registers[name] = value
        registers.update(rax=number, orig_rax=0xFFFFFFFFFFFFFFFF, rip=self.saved["rip"] - 2)
        self.set_registers(registers)
        self.ptrace(PTRACE_SINGLESTEP)
        if self.wait_stop() != signal.SIGTRAP:
            raise OSError("stopped by something else")
        result = self.registers()["rax"]
        return result - (1 << 64) if result >= 1 << 63 else result
