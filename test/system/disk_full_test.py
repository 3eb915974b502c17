# SPDX-License-Identifier: Apache-2.0
"""A file system that is really full: readings are refused with a reason, nothing acknowledged is lost, everything else goes
on, and the hub recovers by itself when there is room."""
import os
import unittest

from harness import Hub, Mqtt, run, wait_for

QUOTA_EXCEEDED = 0x97


@unittest.skipUnless(os.geteuid() == 0, "mounting a small file system needs root")
class DiskFull(unittest.TestCase):
    def setUp(self):
        self.hub = Hub()
        self.hub.start()  # once, so that the folders have their owners
        self.hub.stop()
        state, aside = self.hub.dir / "state", self.hub.work / "aside"
        run("cp", "-a", state, aside)
        if run("mount", "-t", "tmpfs", "-o", "size=1536k,mode=0700", "tmpfs", state, check=False).returncode != 0:
            self.skipTest("this root may not mount")
        self.addCleanup(run, "umount", "-l", state)
        run("cp", "-a", f"{aside}/.", state)

    def publish_until_refused(self, client, topic):
        sent = acknowledged = 0
        while sent < 60000:
            packet_ids = []
            for _ in range(32):
                packet_id, data = client.publish_bytes(topic, f'{{"t":{1764000000000 + sent},"v":{sent % 100 / 4}}}')
                client.tls.sendall(data)
                packet_ids.append(packet_id)
                sent += 1
            reasons = [client.wait_ack(packet_id) for packet_id in packet_ids]
            acknowledged += reasons.count(0)
            if any(reasons):
                return acknowledged, {reason for reason in reasons if reason}
        self.fail("the disk never became full")

    def test_a_full_disk_refuses_readings_and_loses_none(self):
        hub = self.hub
        hub.start()
        client = Mqtt(hub.enrol("full-01"))
        acknowledged, reasons = self.publish_until_refused(client, "d/full-01/t/temperature")
        self.assertEqual(reasons, {QUOTA_EXCEEDED})
        self.assertEqual(len(hub.json("device", "list")), 1)
        run("mount", "-o", "remount,size=64m", hub.dir / "state")
        wait_for(lambda: hub.fairlead("device", "add", "full-02", "--profile", "camera", check=False).returncode == 0,
                 say="the hub writes again")
        self.assertEqual(client.publish("d/full-01/t/temperature", "21"), 0)
        client.close()
        self.assertEqual(len(hub.readings("full-01")), acknowledged + 1)
        self.assertTrue(hub.json("audit", "verify")["valid"])
        hub.stop()
        hub.check_log()


if __name__ == "__main__":
    unittest.main(verbosity=2)
