# SPDX-License-Identifier: Apache-2.0
"""What other tests promise of a hub, with a front of four workers however many cores there are: MQTT between devices, cutting
off, what the front answers, and every process dying. Which worker a device is at is decided by its name and chance."""
import collections
import os
import threading
import unittest

os.environ["FAIRLEAD_WORKERS"] = "4"

# pylint: disable=wrong-import-position,unused-import
from crash_test import Crash  # noqa: E402,F401
from first_light_test import Certificates, CutOff  # noqa: E402,F401
from front_test import Front  # noqa: E402,F401
from harness import HubTest, Mqtt, Refused, camera_profile  # noqa: E402
from mqtt_test import MqttTest  # noqa: E402,F401


TALKERS, MESSAGES = 8, 150


class Talker(threading.Thread):
    """Writes its numbers with QoS 1 on a topic that all hear, one after the other, then reads until it has all of everybody."""

    def __init__(self, credential, share=False):
        super().__init__(daemon=True)
        self.credential, self.heard, self.shared, self.error = credential, {}, [], None
        self.client = Mqtt(credential, timeout=60)
        assert self.client.subscribe("talk/+") < 0x80
        if share:
            assert self.client.subscribe("$share/all/shared/#") < 0x80

    def take(self):
        for topic, payload in self.client.messages:
            if topic.startswith("shared/"):
                self.shared.append((topic, payload))
            elif topic != "talk/guest":
                self.heard.setdefault(topic, []).append(int(payload))
        self.client.messages.clear()

    def run(self):
        try:
            for i in range(MESSAGES):
                reason = self.client.publish(f"talk/{self.credential.id}", i, retain=i % 10 == 0)
                assert reason < 0x80, reason
                self.client.publish(f"shared/{self.credential.id}", i)
                self.take()
            while len(self.heard) < TALKERS or any(v[-1] < MESSAGES - 1 for v in self.heard.values()):
                self.client.step()
                self.take()
        except BaseException as error:  # pylint: disable=broad-except
            self.error = error


class Cores(HubTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.hub.add_profile(camera_profile("talker", "".join(f"{right} {filter}\n    " for filter in ("talk/+", "shared/#")
                                                             for right in ("publish", "subscribe"))))

    def test_the_front_has_four_workers(self):
        pid = self.hub.children()["fairlead-front"]
        self.assertGreaterEqual(len(os.listdir(f"/proc/{pid}/task")), 4)

    def test_revocation_reaches_every_worker(self):
        """Twelve devices: that all of them are at one worker of four has a chance of one in four million."""
        credentials = [self.hub.enrol(f"many-{i:02}") for i in range(12)]
        clients = [Mqtt(c) for c in credentials]
        for credential in credentials:
            self.hub.fairlead("device", "revoke", credential.id, "--reason", "test")
        for client in clients:
            client.wait_closed()
            client.close()

    def test_everybody_hears_everybody_in_order_while_others_come_and_go(self):
        credentials = [self.hub.enrol(f"talk-{i}", "talker") for i in range(TALKERS)]
        guests = [self.hub.enrol(f"guest-{i}", "talker") for i in range(4)]
        talkers = [Talker(c, share=i % 2 == 0) for i, c in enumerate(credentials)]
        for talker in talkers:
            talker.start()
        turn = 0
        while any(t.is_alive() for t in talkers):
            guest = guests[turn % len(guests)]
            turn += 1
            if turn == 6:  # one of them for the last time
                self.hub.fairlead("device", "revoke", guests.pop().id, "--reason", "test")
                continue
            try:
                client = Mqtt(guest, timeout=60)
                client.subscribe("#" if turn % 2 else "talk/+")
                client.publish("talk/guest", "0", qos=0)
                client.close()
            except (Refused, OSError):
                pass
        for talker in talkers:
            talker.join()
            if talker.error:
                raise AssertionError(f"{talker.credential.id}: {talker.error}\n{self.hub.log()[-2000:]}") from talker.error
        for talker in talkers:
            for topic, values in talker.heard.items():
                self.assertEqual(values, list(range(MESSAGES)), f"{talker.credential.id} of {topic}")
        shared = collections.Counter(m for t in talkers for m in t.shared)
        self.assertTrue(all(count == 1 for count in shared.values()), "a share's message went to two members")
        self.assertGreater(len({t.credential.id for t in talkers if t.shared}), 1)
        for talker in talkers:
            talker.client.close()


if __name__ == "__main__":
    unittest.main(verbosity=2)
