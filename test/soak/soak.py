#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Soak: churn, kills, floods and slow readers against one real hub, for as long as is asked.

    test/soak/soak.py [SECONDS]        FAIRLEAD_BIN names the programs; FAIRLEAD_SEED repeats the kills

Writers say numbers with QoS 1 until each is acknowledged; readers have sessions that outlive their connections and come and go.
Meanwhile processes are killed with kill -9, strangers leave TLS half open, send garbage, drop and resume, break the protocol, bomb
with subscriptions, and read nothing. In the last quarter nobody is killed. In the end every number that was acknowledged
was read, the front holds no descriptor more than when nobody was connected, and its memory has not grown."""
import os
import pathlib
import random
import resource
import signal
import socket
import ssl
import struct
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))
from harness import Hub, Mqtt, Refused, wait_for  # noqa: E402

WRITERS, READERS, CHURNERS, WINDOW, PER_SECOND = 4, 3, 6, 30, 150
GROWTH = 1.25  # of the front's memory in the quiet quarter: allocators settle, leaks do not
LOG_FILES = 12  # that a busy log keeps open
PROFILE = """profile soak {
    title "A node under load"
    vendor "Example Ltd"
    model S-1
    version 1
    publish x/#
    subscribe x/#
}
"""
TROUBLE = (Refused, EOFError, OSError, ssl.SSLError, struct.error, IndexError)


class Soak:
    def __init__(self, seconds):
        self.seconds, self.stop, self.quiet = seconds, threading.Event(), threading.Event()
        self.finish_writing = threading.Event()
        self.seed = int(os.environ.get("FAIRLEAD_SEED", random.randrange(1 << 32)))
        self.counts = {"kills": 0, "connects": 0, "resumed": 0, "floods": 0, "acknowledged": 0}
        self.lock, self.failures, self.threads = threading.Lock(), [], []
        self.acknowledged = [set() for _ in range(WRITERS)]
        self.heard = [[set() for _ in range(WRITERS)] for _ in range(READERS)]

    def count(self, what, by=1):
        with self.lock:
            self.counts[what] += by

    def spawn(self, function, *args):
        def body():
            try:
                function(*args)
            except BaseException as error:  # pylint: disable=broad-except
                self.failures.append(f"{function.__name__}{args[:1]}: {type(error).__name__}: {error}")
        thread = threading.Thread(target=body, daemon=True)
        thread.start()
        self.threads.append(thread)

    def connect(self, credential, **kwargs):
        while not self.stop.is_set():
            try:
                client = Mqtt(credential, **kwargs)
                self.count("connects")
                return client
            except TROUBLE:
                time.sleep(0.1)
        return None

    def writer(self, index, credential):
        pending, upcoming = {}, 0
        while not self.stop.is_set() and not (self.finish_writing.is_set() and not pending):
            client = self.connect(credential, clean=False, expiry=3600)
            if not client:
                return
            try:
                client.packet_id = max(pending, default=upcoming % 60000)
                for packet_id, number in pending.items():
                    client.tls.sendall(client.publish_bytes(f"x/{index}", number, dup=True, packet_id=packet_id)[1])
                while not self.stop.is_set() and (pending or not self.finish_writing.is_set()):
                    while len(pending) < WINDOW and not self.finish_writing.is_set():
                        packet_id = upcoming % 60000 + 1
                        pending[packet_id] = upcoming
                        upcoming += 1
                        client.tls.sendall(client.publish_bytes(f"x/{index}", upcoming - 1, packet_id=packet_id)[1])
                    client.step()
                    for packet_id in list(client.acks):
                        reason = client.acks.pop(packet_id)
                        if reason == 0 and packet_id in pending:
                            self.acknowledged[index].add(pending.pop(packet_id))
                            self.count("acknowledged")
                            time.sleep(1 / PER_SECOND)
                        elif reason:
                            time.sleep(0.05)  # no room: it is said again
                            client.tls.sendall(client.publish_bytes(f"x/{index}", pending[packet_id], dup=True,
                                                                    packet_id=packet_id)[1])
            except TROUBLE:
                pass
            client.close()

    def hear(self, index, client):
        for topic, payload in client.messages:
            if not topic.startswith("x/junk/"):  # the breaker's, which readers get to read too
                self.heard[index][int(topic[2:])].add(int(payload))
        client.messages.clear()

    def reader(self, index, credential):
        chance = random.Random(self.seed + index)
        while not self.stop.is_set():
            client = self.connect(credential, clean=False, expiry=3600, timeout=1)
            if not client:
                return
            until = time.monotonic() + chance.uniform(2, 20)
            try:
                if not client.session_present:
                    client.subscribe("x/#")
                while not self.stop.is_set() and time.monotonic() < until:
                    try:
                        client.step()
                    except TimeoutError:
                        pass
                    self.hear(index, client)
            except TROUBLE:
                pass
            self.hear(index, client)
            client.close()
            if not self.finish_writing.is_set():
                time.sleep(chance.uniform(0, 3))

    def churner(self, index, credential):
        context, session = credential.context(), None
        while not self.stop.is_set():
            client = self.connect(credential, context=context, session=session, client_id=f"churn-{index}")
            if not client:
                return
            self.count("resumed", int(client.tls.session_reused))
            try:
                client.subscribe(f"x/{index % WRITERS}")
                client.step()
                session = client.tls.session
            except TROUBLE:
                session = None
            client.close()
            time.sleep(0.05)

    def half_open(self):
        sockets = []
        while not self.stop.is_set():
            try:
                s = socket.create_connection(("127.0.0.1", random.choice((self.hub.mqtt_port, self.hub.https_port))), 5)
                if random.random() < 0.5:
                    s.sendall(os.urandom(random.randrange(1, 200)))
                sockets.append(s)
                self.count("floods")
            except OSError:
                pass
            if len(sockets) > 200:
                sockets.pop(0).close()
            time.sleep(0.02)
        for s in sockets:
            s.close()

    def breaker(self, credential):
        """Breaks the protocol in ways that end the connection, bombs with subscriptions, reads nothing."""
        chance = random.Random(self.seed)
        while not self.stop.is_set():
            client = self.connect(credential, client_id=f"breaker-{chance.randrange(1000)}", timeout=2)
            if not client:
                return
            try:
                what = chance.randrange(4)
                if what == 0:
                    client.tls.sendall(os.urandom(300))
                    client.wait_closed(2)
                elif what == 1:
                    for i in range(300):
                        client.send(0x82, struct.pack(">H", i + 1) + b"\0" + client.string(f"x/{'+/' * (i % 40)}#") + b"\1")
                elif what == 2:
                    client.subscribe("x/#")
                    time.sleep(3)  # and reads nothing
                else:
                    for i in range(1200):
                        client.tls.sendall(client.publish_bytes(f"x/junk/{i}", "x" * 100, retain=True, qos=0)[1])
                self.count("floods")
            except TROUBLE:
                pass
            client.close()

    def killer(self):
        chance = random.Random(self.seed)
        while not self.stop.is_set() and not self.quiet.is_set():
            self.quiet.wait(chance.uniform(5, 15))
            victim = chance.choice(["fairlead-front", "fairlead-front", "fairlead-control", "fairlead-signer"])
            pid = self.hub.children().get(victim)
            if pid and not self.quiet.is_set():
                os.kill(pid, signal.SIGKILL)
                self.count("kills")

    def front(self):
        return wait_for(lambda: self.hub.children().get("fairlead-front"), say="a front")

    def sample(self, pid):
        with open(f"/proc/{pid}/status", encoding="ascii") as status:
            rss = next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
        return rss, len(os.listdir(f"/proc/{pid}/fd"))

    def wait_caught_up(self):
        def missing():
            return [(r, w, len(self.acknowledged[w] - self.heard[r][w])) for r in range(READERS) for w in range(WRITERS)
                    if self.acknowledged[w] - self.heard[r][w]]
        end = time.monotonic() + 120
        while missing() and time.monotonic() < end:
            time.sleep(0.2)
        return missing()

    def run(self):
        print(f"soak: {self.seconds} s, seed {self.seed}", flush=True)
        with Hub() as hub:
            self.hub = hub
            hub.add_profile(PROFILE)
            names = [f"{kind}-{i}" for kind, n in (("w", WRITERS), ("r", READERS), ("c", CHURNERS), ("b", 1)) for i in range(n)]
            credentials = {name: hub.enrol(name, "soak") for name in names}
            idle_fds = self.sample(self.front())[1]
            for i in range(READERS):
                self.spawn(self.reader, i, credentials[f"r-{i}"])
            time.sleep(1)  # they have subscribed
            for i in range(WRITERS):
                self.spawn(self.writer, i, credentials[f"w-{i}"])
            for i in range(CHURNERS):
                self.spawn(self.churner, i, credentials[f"c-{i}"])
            self.spawn(self.half_open)
            self.spawn(self.breaker, credentials["b-0"])
            self.spawn(self.killer)
            begin = time.monotonic()
            while time.monotonic() < begin + self.seconds * 3 / 4:
                time.sleep(min(10, self.seconds / 8))
                print(f"soak: {time.monotonic() - begin:5.0f} s  {self.counts}  front {self.sample(self.front())[0]} KB", flush=True)
            self.quiet.set()
            time.sleep(min(30, self.seconds / 16))
            pid, (first, _) = self.front(), self.sample(self.front())
            time.sleep(self.seconds / 4)
            last = self.sample(pid)[0]
            self.finish_writing.set()
            missing = self.wait_caught_up()
            self.stop.set()
            for thread in self.threads:
                thread.join(30)
            end = time.monotonic() + 60
            while self.sample(pid)[1] > idle_fds + LOG_FILES and time.monotonic() < end:
                time.sleep(0.5)
            if self.sample(pid)[1] > idle_fds + LOG_FILES:
                kinds = sorted(os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd"))
                self.failures.append(f"{self.sample(pid)[1]} descriptors, {idle_fds} when idle: {kinds}")
            print(f"soak: {self.counts}; memory of the front in the quiet quarter: {first} to {last} KB; descriptors "
                  f"{self.sample(pid)[1]} (idle {idle_fds})", flush=True)
            if missing:
                self.failures.append(f"acknowledged and not read (reader, writer, count): {missing}")
            if last > first * GROWTH + 4096:
                self.failures.append(f"memory grew from {first} to {last} KB")
        for failure in self.failures:
            print(f"soak: FAILED: {failure} (seed {self.seed})", flush=True)
        print("soak: " + ("failed" if self.failures else "nothing lost, nothing leaked"), flush=True)
        return 1 if self.failures else 0


if __name__ == "__main__":
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    sys.exit(Soak(int(sys.argv[1]) if len(sys.argv) > 1 else 3600).run())
