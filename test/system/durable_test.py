# SPDX-License-Identifier: Apache-2.0
"""What the hub acknowledged of messages survives the end of its processes: sessions, what waits for them, retained messages.
The folder of the log shows none of it in plain text."""
import os
import random
import signal
import time
import unittest

from harness import VERSIONS, Hub, Mqtt, Refused, wait_for
from mqtt_test import Client

PROFILE = """profile node {
    title "A node that speaks with others"
    vendor "Example Ltd"
    model N-1
    version 1
    publish x/#
    subscribe x/#
}
"""
SECRET = b"nobody-reads-this-on-a-disk"
WINDOW = 30


class Durable(unittest.TestCase):
    durability = "disk"

    def setUp(self):
        self.hub = Hub()
        with open(self.hub.dir / "hub.conf", "a", encoding="utf-8") as conf:
            conf.write(f"durability {self.durability}\n")
        self.hub.start()
        self.addCleanup(self.end)
        self.hub.add_profile(PROFILE)

    def end(self):
        self.hub.stop()
        self.hub.check_log()

    def enrol(self, name):
        return self.hub.enrol(name, "node")

    def kill_front(self):
        """The one that is there, or that is being started."""
        os.kill(wait_for(lambda: self.hub.children().get("fairlead-front"), say="a front"), signal.SIGKILL)

    def connect(self, credential, **kwargs):
        """As soon as there is a front again."""
        def attempt():
            try:
                return Mqtt(credential, clean=False, expiry=3600, **kwargs)
            except (Refused, OSError):
                return None
        return wait_for(attempt, say="the front serves again")

    def collect(self, client, count, timeout_s=20):
        client.tls.settimeout(timeout_s)
        while len(client.messages) < count:
            client.step()
        return [payload for _, payload in client.messages]

    def test_a_queue_and_its_session_survive_kill_9(self):
        reader, writer = self.enrol("reader"), self.enrol("writer")
        client = self.connect(reader)
        client.subscribe("x/#")
        client.close()
        client = self.connect(writer)
        for i in range(200):
            self.assertEqual(client.publish(f"x/{i % 7}", SECRET + b" %d" % i), 0)
        self.kill_front()
        client.close()
        client = self.connect(reader)
        self.assertEqual(client.session_present, 1)
        self.assertEqual(self.collect(client, 200), [SECRET + b" %d" % i for i in range(200)])
        client.close()
        for path in (self.hub.dir / "broker").iterdir():
            self.assertNotIn(SECRET, path.read_bytes(), path)

    def test_retained_messages_survive_a_restart(self):
        writer = self.enrol("writer")
        client = self.connect(writer)
        self.assertEqual(client.publish("x/kept", b"value", retain=True), 0)
        self.assertEqual(client.publish("x/gone", b"value", retain=True), 0)
        self.assertEqual(client.publish("x/gone", b"", retain=True), 0)
        client.close()
        self.hub.stop()
        self.hub.start()
        client = self.connect(writer)
        client.subscribe("x/#")
        self.assertEqual(self.collect(client, 1), [b"value"])
        self.assertEqual(client.messages[0][0], "x/kept")
        client.close()

    def test_devices_come_back_resumed_after_kill_9(self):
        writer = self.enrol("writer")
        client = self.connect(writer)
        self.assertEqual(client.publish("x/1", b"so that the session ticket was read"), 0)
        context, session = client.context, client.tls.session
        time.sleep(1)  # nobody waits for what is kept of TLS
        self.kill_front()
        client.close()
        client = self.connect(writer, context=context, session=session)
        self.assertTrue(client.tls.session_reused)
        client.close()

    def test_a_revoked_device_is_not_resumed_after_a_restart(self):
        writer = self.enrol("writer")
        client = self.connect(writer)
        self.assertEqual(client.publish("x/1", b"once"), 0)
        context, session = client.context, client.tls.session
        time.sleep(1)
        client.close()
        self.hub.fairlead("device", "revoke", "writer", "--reason", "stolen")
        self.hub.stop()
        self.hub.start()
        with self.assertRaises(Refused):
            Mqtt(writer, context=context, session=session)

    def test_nothing_acknowledged_is_lost_however_often_the_front_dies(self):
        seed = int(os.environ.get("FAIRLEAD_SEED", random.randrange(1 << 32)))
        chance = random.Random(seed)
        reader, writer = self.enrol("reader"), self.enrol("writer")
        client = self.connect(reader)
        client.subscribe("x/#")
        client.close()
        acknowledged, upcoming, kills = set(), 0, 0
        while upcoming < 3000:
            client = self.connect(writer)
            try:
                for _ in range(chance.randrange(5, 40)):
                    ids = {}
                    for _ in range(WINDOW):
                        packet_id, data = client.publish_bytes("x/n", upcoming)
                        ids[packet_id] = upcoming
                        upcoming += 1
                        client.tls.sendall(data)
                    if kills < 6 and chance.random() < 0.1:
                        self.kill_front()
                        kills += 1
                    for packet_id, number in ids.items():
                        if client.wait_ack(packet_id) == 0:
                            acknowledged.add(number)
            except (Refused, EOFError, OSError):
                pass
            client.close()
        self.kill_front()
        client = self.connect(reader)
        self.assertEqual(client.session_present, 1, f"seed {seed}")
        heard, quiet_until = set(), time.monotonic() + 2
        client.tls.settimeout(0.5)
        while time.monotonic() < quiet_until:
            try:
                client.step()
                quiet_until = time.monotonic() + 2
            except TimeoutError:
                continue
        heard = {int(payload) for _, payload in client.messages}
        client.close()
        lost = sorted(acknowledged - heard)
        print(f"\n{self.durability}: {kills + 1} kills, {len(acknowledged)} acknowledged, {len(heard)} heard, "
              f"{len(lost)} lost (seed {seed})", flush=True)
        self.assertEqual(lost, [], f"seed {seed}")


    def test_wills_of_who_was_there_are_said_after_kill_9_unless_they_come_back(self):
        """Twice killed; the second time within the grace of the first."""
        reader_credential = self.enrol("reader-01")
        reader = self.connect(reader_credential, client_id="reader")
        reader.subscribe("x/w/#")
        reader.close()
        clients = {}
        for name, version in VERSIONS.items():
            for device, clean in ((f"dies-{name}", True), (f"dies-kept-{name}", False), (f"back-{name}", True), (f"bye-{name}", True)):
                credential = self.enrol(device)
                clients[device] = Client(credential, "one", version, clean=clean, expiry_s=0 if clean else 600,
                                         will=(f"x/w/{device}", device, 1))
        for device in clients:
            if device.startswith("bye"):
                clients[device].end()
        # Nobody acknowledges a DISCONNECT: the hub has to say that it was heard.
        wait_for(lambda: not any(self.hub.device(d)["connected"] for d in clients if d.startswith("bye")), say="the farewells")
        self.kill_front()
        for device in clients:
            if device.startswith("dies"):
                clients[device].drop()
        wait_for(lambda: all(c.paho.is_connected() for d, c in clients.items() if d.startswith("back")), say="those that come back")
        died = time.monotonic()
        self.kill_front()
        reader = self.connect(reader_credential, client_id="reader", timeout=100)
        heard = sorted(self.collect(reader, 4, timeout_s=100))
        self.assertEqual(heard, sorted(d.encode() for d in clients if d.startswith("dies")))
        self.assertGreater(time.monotonic() - died, 55)
        reader.close()
        for device, client in clients.items():
            if device.startswith("back"):
                self.assertTrue(wait_for(client.paho.is_connected))
                client.end()


class DurableOs(Durable):
    durability = "os"


if __name__ == "__main__":
    unittest.main(verbosity=2)
