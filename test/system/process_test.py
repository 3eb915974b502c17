# SPDX-License-Identifier: Apache-2.0
"""Three processes under one parent: whoever dies comes back, each is sandboxed, all end together."""
import errno
import os
import pathlib
import signal
import socket
import subprocess
import time
import unittest

import injector
from harness import BIN, Hub, run, wait_for

PROGRAMS = {"fairlead-signer": 61401, "fairlead-control": 61402, "fairlead-front": 61403}
BACK_S = 20  # generous: sanitizers on a busy machine


def status(pid):
    lines = (pathlib.Path("/proc") / str(pid) / "status").read_text().splitlines()
    return {key: value.split() for key, _, value in (line.partition(":") for line in lines)}


def unix_sockets(pid):
    inodes = {line.split()[6] for line in pathlib.Path("/proc/net/unix").read_text().splitlines()[1:]}
    found = []
    for entry in (pathlib.Path("/proc") / str(pid) / "fd").iterdir():
        target = os.readlink(entry)
        if target.startswith("socket:[") and target[8:-1] in inodes:
            found.append(int(entry.name))
    return sorted(found)


def alive(pid):
    try:
        return status(pid)["State"][0] not in "ZX"
    except OSError:
        return False


def successor(hub, program, before):
    return wait_for(lambda: hub.children().get(program) not in (None, before) and hub.children()[program], BACK_S,
                    say=f"{program} comes back")


class Processes(unittest.TestCase):
    def healthy(self, hub):
        """Every process is needed for this: an API call over HTTPS, and a new device with a certificate."""
        wait_for(lambda: run("curl", "-sf", "--cacert", hub.dir / "ca.pem", "--max-time", "5",
                             f"https://localhost:{hub.https_port}/api/v1/health", check=False).returncode == 0, BACK_S,
                 say="the hub answers")

    def enrols(self, hub, device):
        def attempt():
            try:
                return hub.enrol(f"{device}-{time.monotonic_ns()}")
            except AssertionError:
                return None
        wait_for(attempt, BACK_S, every_s=0.5, say="a device enrols")

    def test_killed_process_comes_back_and_the_hub_goes_on(self):
        with Hub() as hub:
            parent = hub.process.pid
            self.enrols(hub, "before")
            for program in PROGRAMS:
                with self.subTest(program=program):
                    before = hub.children()
                    os.kill(before[program], signal.SIGKILL)
                    successor(hub, program, before[program])
                    self.healthy(hub)
                    self.enrols(hub, f"after-{program}")
                    for other in PROGRAMS:
                        if other != program:
                            self.assertEqual(hub.children()[other], before[other], "only the killed one is replaced")
            self.assertEqual(hub.process.pid, parent)
            self.assertIn("died of signal 9", hub.log())
            hub.process.send_signal(signal.SIGTERM)
            self.assertEqual(hub.process.stdout.read(), b"", "ready is said once")
            self.assertEqual(hub.process.wait(20), 0)

    def test_nothing_is_refused_while_the_front_is_down(self):
        with Hub() as hub:
            for _ in range(3):
                before = hub.children()["fairlead-front"]
                os.kill(before, signal.SIGKILL)
                for port in (hub.mqtt_port, hub.https_port):
                    socket.create_connection(("127.0.0.1", port), 5).close()
                done = run("curl", "-sS", "--cacert", hub.dir / "ca.pem", "--max-time", BACK_S,
                           f"https://localhost:{hub.https_port}/api/v1/health")
                self.assertIn("ok", done.stdout)
                successor(hub, "fairlead-front", before)

    def test_every_process_is_sandboxed(self):
        with Hub() as hub:
            children = hub.children()
            self.assertEqual(set(children), set(PROGRAMS))
            for program, pid in children.items():
                with self.subTest(program=program):
                    facts = status(pid)
                    self.assertEqual(facts["Seccomp"], ["2"])
                    self.assertEqual(facts["NoNewPrivs"], ["1"])
                    if os.geteuid() == 0:
                        own = str(PROGRAMS[program])
                        self.assertEqual(facts["Uid"], [own] * 4)
                        self.assertEqual(facts["Gid"], [own] * 4)
                        self.assertEqual(facts["Groups"], [])
                        self.assertEqual(int(facts["CapEff"][0], 16) | int(facts["CapPrm"][0], 16), 0)

    @unittest.skipUnless(injector.possible, "needs root and x86_64")
    def test_front_that_is_taken_over_opens_neither_key_nor_database(self):
        with Hub() as hub:
            refused = (-errno.EPERM, -errno.EACCES)
            paths = {name: [name.encode(), str(hub.dir).encode() + name.encode()]
                     for name in ("/keys/issuing.key", "/state/hub.db", "/hub.conf")}
            front = hub.children()["fairlead-front"]
            with injector.Injector(front) as taken:
                for path in sum(paths.values(), []):
                    for flags in (os.O_RDONLY, os.O_RDWR):
                        # By the whole path there is nothing: the hub directory is its root.
                        self.assertIn(taken.call(injector.OPENAT, injector.AT_FDCWD, path, flags),
                                      refused + (-errno.ENOENT,), path)
                for path in (paths[name][0] for name in paths):
                    self.assertIn(taken.call(injector.OPENAT, injector.AT_FDCWD, path, os.O_RDONLY), refused, path)
                fd = taken.call(injector.OPENAT, injector.AT_FDCWD, b"/broker", os.O_RDONLY)
                self.assertGreaterEqual(fd, 0, "the folder of its log is its own")
                self.assertEqual(taken.call(injector.CLOSE, fd), 0)
                self.assertIn(taken.call(injector.SOCKET, socket.AF_INET, socket.SOCK_STREAM, 0), refused)
                self.assertIn(taken.call(injector.SETUID, 0), refused)
                self.assertIn(taken.call(injector.UNLINK, b"/state/hub.db"), refused)
            # The method works: the signer may read its certificate, and no more.
            with injector.Injector(hub.children()["fairlead-signer"]) as taken:
                fd = taken.call(injector.OPENAT, injector.AT_FDCWD, b"/keys/issuing.pem", os.O_RDONLY)
                self.assertGreaterEqual(fd, 0)
                self.assertEqual(taken.call(injector.CLOSE, fd), 0)
                self.assertIn(taken.call(injector.OPENAT, injector.AT_FDCWD, b"/state/hub.db", os.O_RDONLY), refused)
                self.assertIn(taken.call(injector.OPENAT, injector.AT_FDCWD, b"/keys/root.key", os.O_RDONLY),
                              refused + (-errno.ENOENT,))
            with injector.Injector(hub.children()["fairlead-control"]) as taken:
                self.assertIn(taken.call(injector.OPENAT, injector.AT_FDCWD, b"/keys/issuing.key", os.O_RDONLY), refused)
                self.assertIn(taken.call(injector.SOCKET, socket.AF_INET, socket.SOCK_STREAM, 0), refused)
            self.healthy(hub)
            self.assertEqual(hub.children()["fairlead-front"], front, "it lives on as if nothing had happened")

    @unittest.skipUnless(injector.possible, "needs root and x86_64")
    def test_front_that_talks_nonsense_is_replaced_and_nobody_else(self):
        nonsense = b"\x05\0\0\0\xff\xff\0\0\0"
        with Hub() as hub:
            for target in ("control", "the parent"):
                with self.subTest(to=target):
                    self.healthy(hub)
                    before = hub.children()
                    front = before["fairlead-front"]
                    unix = [fd for fd in unix_sockets(front) if fd != 3]
                    self.assertEqual(len(unix), 1)
                    with injector.Injector(front) as taken:
                        fd = unix[0] if target == "control" else 3
                        try:
                            taken.call(injector.WRITE, fd, nonsense, len(nonsense))
                        except OSError:
                            pass  # killed for it before it could tell
                    successor(hub, "fairlead-front", front)
                    self.healthy(hub)
                    self.assertEqual(hub.children()["fairlead-control"], before["fairlead-control"])
                    self.assertEqual(hub.children()["fairlead-signer"], before["fairlead-signer"])
            self.assertIn("control error channel: front: msg: unknown type 65535; the channel is ended", hub.log())
            self.assertIn("hub error channel: front: msg: unknown type 65535; the channel is ended", hub.log())

    def test_children_do_not_outlive_their_parent(self):
        with Hub() as hub:
            children = list(hub.children().values())
            self.assertEqual(len(children), 3)
            hub.kill()
            wait_for(lambda: not any(alive(pid) for pid in children), 10, say="the children end")
            hub.process.stdout.close()
            hub.start()  # at once, over the stale lock and socket
            self.healthy(hub)

    def test_interrupt_ends_all_in_order_and_leaves_no_socket(self):
        with Hub() as hub:
            children = list(hub.children().values())
            hub.process.send_signal(signal.SIGINT)
            self.assertEqual(hub.process.wait(20), 0)
            self.assertFalse(any(alive(pid) for pid in children))
            self.assertFalse((hub.dir / "run/hub.sock").exists())
            log = hub.log()
            ends = [log.index(f"{name} (process {pid}) ended with status 0") for name, pid in
                    zip(("front", "control", "signer"),
                        (next(p for p in children if f"{n} started (process {p})" in log)
                         for n in ("front", "control", "signer")))]
            self.assertEqual(ends, sorted(ends))


class Refusals(unittest.TestCase):
    def refused(self, *argv):
        done = subprocess.run([BIN / "fairlead-hub", *argv], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertEqual(done.stdout, "")
        return done.stderr

    def test_second_hub_on_a_directory(self):
        with Hub() as hub:
            self.assertIn(f"another hub runs on this directory (process {hub.process.pid})", self.refused(hub.dir))
            self.assertEqual(run(BIN / "fairlead-hub", "--check", hub.dir).stdout, f"{hub.dir}: ok\n")

    def test_port_in_use(self):
        hub = Hub()
        with socket.create_server(("127.0.0.1", hub.mqtt_port)):
            for argv in ((hub.dir,), ("--check", hub.dir)):
                self.assertIn(f"mqtt: port {hub.mqtt_port} (127.0.0.1) is in use", self.refused(*argv))
        self.assertEqual(run(BIN / "fairlead-hub", "--check", hub.dir).returncode, 0)
        hub.__exit__()

    def test_broken_directories(self):
        hub = Hub()
        self.assertIn("No such file", self.refused(hub.work / "nowhere"))
        self.assertIn("hub.conf: not there", self.refused(hub.work))
        key = hub.dir / "keys/issuing.key"
        os.chmod(key, 0o644)
        self.assertIn("issuing.key: open to others (mode 644)", self.refused(hub.dir))
        os.chmod(key, 0o600)
        conf = hub.dir / "hub.conf"
        text = conf.read_text()
        conf.write_text(text + "colour blue\n")
        self.assertIn(f"hub.conf:{len(text.splitlines()) + 1}:1: unknown statement 'colour'", self.refused(hub.dir))
        conf.write_text(text)
        hub.__exit__()

    def test_a_directory_without_a_data_key_gets_one_when_asked(self):
        hub = Hub()
        (hub.dir / "keys/data.key").unlink()
        self.assertIn("fairlead init --add-data-key DIR", self.refused(hub.dir))
        run(BIN / "fairlead", "init", "--add-data-key", hub.dir)
        hub.start()
        hub.__exit__()

    def test_key_that_is_none_ends_the_hub_with_the_reason(self):
        hub = Hub()
        (hub.dir / "keys/issuing.key").write_text("no key\n")
        started = time.monotonic()
        stderr = self.refused(hub.dir)
        self.assertLess(time.monotonic() - started, BACK_S)
        self.assertIn("signer cannot start", stderr)
        self.assertIn("issuing.key", stderr)
        hub.__exit__()

    def test_usage(self):
        for argv in ((), ("--nonsense",), ("a", "b"), ("--check",)):
            done = subprocess.run([BIN / "fairlead-hub", *argv], capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, 2)
            self.assertIn("usage: fairlead-hub DIR", done.stderr)
        self.assertIn("usage: fairlead-hub DIR", run(BIN / "fairlead-hub", "--help").stdout)
        self.assertIn("fairlead-hub ", run(BIN / "fairlead-hub", "--version").stdout)
        for program in PROGRAMS:
            done = subprocess.run([BIN / program], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
            self.assertEqual(done.returncode, 2)
            self.assertIn("is started by fairlead-hub", done.stderr)


if __name__ == "__main__":
    unittest.main()
