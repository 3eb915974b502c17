# SPDX-License-Identifier: Apache-2.0
"""kill -9 of each process at random moments of a 10,000-reading run: afterwards every acknowledged reading is there
once. The seed is printed; FAIRLEAD_SEED repeats a run's kills."""
import collections
import os
import random
import signal
import ssl
import threading
import time
import unittest

from harness import Hub, Mqtt, Refused, wait_for

READINGS = 10000
WINDOW = 32
KILLS = 8


class Publisher:
    """Publishes 0..n-1, each QoS 1 without a time of its own, until each is acknowledged; reconnects and sends again with
    DUP as any MQTT client does."""

    def __init__(self, credential, count):
        self.credential, self.count = credential, count
        self.acknowledged, self.connects, self.error = set(), 0, None
        self.thread = threading.Thread(target=self.run, daemon=True)

    def value(self, index):
        return round(-40 + index * 0.0125, 4)  # within the camera's range, each different

    def run(self):
        try:
            pending = collections.OrderedDict()  # packet id -> index
            upcoming, deadline = 0, time.monotonic() + 300
            client = None
            while len(self.acknowledged) < self.count:
                if time.monotonic() > deadline:
                    raise AssertionError("not all readings were acknowledged within 300 s")
                try:
                    client = Mqtt(self.credential, clean=False, expiry=3600)
                    self.connects += 1
                    client.packet_id = max(pending, default=upcoming) % 60000
                    for packet_id, index in pending.items():
                        client.tls.sendall(self.packet(client, packet_id, index, True))
                    while len(self.acknowledged) < self.count:
                        while len(pending) < WINDOW and upcoming < self.count:
                            packet_id, index = upcoming % 60000 + 1, upcoming
                            pending[packet_id] = index
                            upcoming += 1  # from here on it is pending, whatever happens to the connection
                            client.tls.sendall(self.packet(client, packet_id, index, False))
                        client.step()
                        for packet_id in list(client.acks):
                            if client.acks.pop(packet_id) == 0:
                                self.acknowledged.add(pending.pop(packet_id))
                    client.close()
                except (Refused, EOFError, OSError, ssl.SSLError):
                    if client:
                        client.close()
                    time.sleep(0.05)
        except BaseException as error:  # pylint: disable=broad-except
            self.error = error

    def packet(self, client, packet_id, index, dup):
        return client.publish_bytes(f"d/{self.credential.id}/t/temperature", self.value(index), packet_id=packet_id, dup=dup)[1]


class Crash(unittest.TestCase):
    def run_with_kills(self, name, programs):
        seed = int(os.environ.get("FAIRLEAD_SEED", random.randrange(1 << 32)))
        chance = random.Random(seed)
        with Hub() as hub:
            publisher = Publisher(hub.enrol(name), READINGS)
            publisher.thread.start()
            kills = 0
            # Moments of the run, not of the clock: a fast machine must not be done before the first.
            moments = sorted(chance.sample(range(READINGS // 50, READINGS * 9 // 10), KILLS))
            while publisher.thread.is_alive():
                if not moments or len(publisher.acknowledged) < moments[0]:
                    publisher.thread.join(0.002)
                    continue
                victim = chance.choice(programs)
                if victim == "fairlead-hub":
                    hub.last_children = list(hub.children().values())
                    hub.kill()
                    wait_for(lambda: not self.alive(hub), say="the children ended with their parent")
                    hub.process.stdout.close()
                    hub.start()
                else:
                    pid = hub.children().get(victim)
                    if not pid:
                        time.sleep(0.01)
                        continue
                    os.kill(pid, signal.SIGKILL)
                moments.pop(0)
                kills += 1
            if publisher.error:
                raise AssertionError(f"seed {seed}: {publisher.error}\n{hub.log()[-4000:]}") from publisher.error
            counts = collections.Counter(r["value"] for r in hub.readings(name))
            expected = {publisher.value(i) for i in publisher.acknowledged}
            lost = expected - set(counts)
            twice = {v for v, n in counts.items() if n > 1}
            print(f"\n{'+'.join(programs)}: {kills} kills, {publisher.connects} connects, {len(expected)} acknowledged, "
                  f"{len(lost)} lost, {len(twice)} twice (seed {seed})", flush=True)
            self.assertEqual(kills, KILLS)
            self.assertEqual((sorted(lost)[:5], sorted(twice)[:5]), ([], []), f"seed {seed}")
            self.assertTrue(hub.json("audit", "verify")["valid"])

    @staticmethod
    def alive(hub):
        return any(os.path.exists(f"/proc/{pid}") for pid in hub.last_children)

    def test_the_control_process_dies(self):
        self.run_with_kills("crash-control", ["fairlead-control"])

    def test_the_front_dies(self):
        self.run_with_kills("crash-front", ["fairlead-front"])

    def test_any_process_dies(self):
        self.run_with_kills("crash-any", ["fairlead-control", "fairlead-front", "fairlead-signer", "fairlead-hub"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
