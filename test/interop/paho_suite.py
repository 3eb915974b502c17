#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""paho_suite.py CHECKOUT [--unamended] [TEST ...]: Eclipse Paho's own interoperability suites (client_test.py for MQTT 3.1.1,
client_test5.py for 5.0), or the named tests of them, against a hub. CHECKOUT is a clone of https://github.com/eclipse/paho.mqtt.testing; `make paho` makes one. Exit 0 when every test passed.

The suites speak plain TCP and know no certificates, so each connection goes through a bridge in this process that is a TLS client of
one device. Two devices: what `open` may do is everything; `fenced` may do all but subscribe test/nosubscribe, for the one test
that wants a subscription refused. Each test runs in a process of its own with a time limit, because the suites' client waits for ever."""
import os
import pathlib
import re
import select
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))
from harness import Hub  # noqa: E402  (its folder is named first)

LIMIT_S = 120
FENCED = ("test_subscribe_failure",)
PROFILES = {
    "open": 'publish "#"\nsubscribe "#"\nsubscribe $SYS/#',
    "fenced": 'publish "#"\nsubscribe TopicA/#\nsubscribe client_test5/#',
}
# Where the suites contradict MQTT 5.0, and what stands there instead: SUBACK has more failures than 0x80 (table 3-8; 0x87 is "not
# authorized"), and PUBACK may carry properties, a reason string for one (3.4.2.2). `--unamended` runs them as they are.
AMENDED = (
    ("mqtt/formats/MQTTV5/MQTTV5.py", "assert reasonCode.value in [0, 1, 2, 0x80],", "assert reasonCode.value in [0, 1, 2, 0x80, 0x87],"),
    ("client_test5.py", "[0][1][0].value == 0x80, \"return", "[0][1][0].value == 0x87, \"return"),
    ("mqtt/formats/MQTTV5/MQTTV5.py", "assert self.fh.remainingLength in [2, 3, 4], \\\n        \"%s packet is wrong length %d\" % (self.ackName",
     "assert self.fh.remainingLength >= 2, \\\n        \"%s packet is wrong length %d\" % (self.ackName"),
)
# What the suites' own main does, for one test.
RUN = """
import importlib, sys, unittest
suite, port, test = sys.argv[1], int(sys.argv[2]), sys.argv[3]
module = importlib.import_module(suite)
prefix = "client_test5/" if suite.endswith("5") else ""
module.host, module.port, module.topic_prefix = "127.0.0.1", port, prefix
module.topics = [prefix + t for t in ("TopicA", "TopicA/B", "Topic/C", "TopicA/C", "/TopicA")]
module.wildtopics = [prefix + t for t in ("TopicA/+", "+/C", "#", "/#", "/+", "+/+", "TopicA/#")]
module.nosubscribe_topics = ("test/nosubscribe",)
unittest.main(module=module, argv=[suite, "Test." + test])
"""


class Bridge:
    """Plain TCP on loopback to the hub's TLS, as one device."""

    def __init__(self, credential):
        self.credential = credential
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            plain, _ = self.listener.accept()
            threading.Thread(target=self.carry, args=(plain,), daemon=True).start()

    def carry(self, plain):
        raw = socket.create_connection(("127.0.0.1", self.credential.hub.mqtt_port))
        for s in (plain, raw):
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with plain, self.credential.context().wrap_socket(raw, server_hostname="localhost") as tls:
            try:
                self.pump(plain, tls)
            except OSError:
                pass

    @staticmethod
    def pump(plain, tls):
        """One thread for both ways: an SSL object must not be read and written at once. After the hub's end the client is read until
        its own, as the hub itself does, or its kernel might throw away a DISCONNECT that it has not read yet."""
        tls.setblocking(False)
        sinks = [plain, tls]
        while sinks:
            select.select(sinks, [], [])
            try:
                data = tls.recv(65536) if tls in sinks else b"none"
                if not data:
                    plain.shutdown(socket.SHUT_WR)
                    sinks = [plain]
                elif tls in sinks:
                    plain.sendall(data)
            except ssl.SSLWantReadError:
                pass
            if tls.pending() == 0 and select.select([plain], [], [], 0)[0]:
                data = plain.recv(65536)
                if not data:
                    return
                if tls in sinks:
                    tls.setblocking(True)
                    tls.sendall(data)
                    tls.setblocking(False)


def amend(checkout):
    """A copy of the suites in which AMENDED is mended. Each text must be there once, so that another version is noticed."""
    folder = tempfile.mkdtemp(prefix="fairlead-paho-")
    copy = pathlib.Path(folder, "interoperability")
    shutil.copytree(pathlib.Path(checkout, "interoperability"), copy)
    for name, old, new in AMENDED:
        text = (copy / name).read_text(encoding="utf-8")
        if text.count(old) != 1:
            sys.exit(f"{name}: {old!r} is there {text.count(old)} times; AMENDED is of another version of the suites")
        (copy / name).write_text(text.replace(old, new), encoding="utf-8")
    return folder


def run_test(folder, suite, port, test):
    """None when it passed, else what it printed."""
    try:
        done = subprocess.run([sys.executable, "-c", RUN, suite, str(port), test], cwd=folder, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=LIMIT_S, check=False)
        return None if done.returncode == 0 else done.stdout
    except subprocess.TimeoutExpired as error:
        return f"hung for {LIMIT_S} s\n{(error.stdout or b'').decode(errors='replace')}"


def run_suite(folder, suite, ports, only):
    """Texts of the tests that failed."""
    source = pathlib.Path(folder, f"{suite}.py").read_text(encoding="utf-8")
    tests = [test for test in re.findall(r"^    def (test\w+)", source, re.M) if not only or test in only]
    failed = []
    for test in tests:
        said = run_test(folder, suite, ports["fenced" if test in FENCED else "open"], test)
        print(f"{suite}.{test}: {'passed' if said is None else 'FAILED'}", flush=True)
        if said is not None:
            failed.append(f"{suite}.{test}\n{said}")
    print(f"{suite}: {len(tests) - len(failed)} of {len(tests)} passed", flush=True)
    return failed


def main():
    words = [w for w in sys.argv[1:] if w != "--unamended"]
    if not words or not os.path.isdir(os.path.join(words[0], "interoperability")):
        sys.exit(__doc__)
    checkout = amend(words[0]) if len(words) == len(sys.argv) - 1 else words[0]
    failed = []
    with Hub() as hub:
        ports = {}
        for name, rights in PROFILES.items():
            hub.add_profile(f"profile {name} {{\nversion 1\n{rights}\nrate messages 100000/s\n}}\n")
            ports[name] = Bridge(hub.enrol(f"paho-{name}", name)).port
        for suite in ("client_test", "client_test5"):
            failed += run_suite(os.path.join(checkout, "interoperability"), suite, ports, words[1:])
    if checkout != words[0]:
        shutil.rmtree(checkout)
    if failed:
        sys.exit("\n".join(failed))


if __name__ == "__main__":
    main()
