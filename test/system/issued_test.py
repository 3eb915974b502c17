#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The issuance log of a hub: shown and checked while it runs and from its files, and what an alarm looks like."""
import json
import os
import sqlite3
import unittest

from harness import Hub


class Issued(unittest.TestCase):
    def verify(self, hub, check=True):
        done = hub.fairlead("audit", "verify", "--json", check=check)
        return done.returncode, json.loads(done.stdout), done.stderr

    def test_running_and_stopped_say_the_same(self):
        with Hub() as hub:
            for device in ("cam-01", "cam-02"):
                hub.enrol(device)
            rows = hub.json("audit", "issued")
            self.assertEqual([r["subject"] for r in rows if r["kind"] == "device"], ["cam-01", "cam-02"])
            self.assertEqual({r["reason"] for r in rows if r["kind"] == "device"}, {"enrolment by token"})
            self.assertEqual(len(hub.json("audit", "issued", "--device", "cam-02", "--since", "1h")), 1)
            running = self.verify(hub)[1]
            self.assertTrue(running["valid"])
            self.assertEqual(running["issuance"]["devices"], 2)
            hub.stop()
            code, stopped, words = self.verify(hub)
            self.assertEqual((code, stopped["valid"], stopped["issuance"]["devices"]), (0, True, 2))
            self.assertIn("the hub is not running", words)
            # The end of the log is signed when the hub ends.
            self.assertEqual(stopped["issuance"]["signed_to"], stopped["issuance"]["last"])
            self.assertEqual([r["seq"] for r in hub.json("audit", "issued")][:len(rows)], [r["seq"] for r in rows])
            self.assertIn("enrolment by token", hub.fairlead("audit", "issued").stdout)
            hub.start()
            self.assertTrue(self.verify(hub)[1]["valid"])

    def test_a_certificate_that_the_hub_does_not_know_is_an_alarm(self):
        with Hub() as hub:
            hub.enrol("cam-01")
            hub.stop()
            with sqlite3.connect(hub.dir / "state/hub.db") as db:
                self.assertEqual(db.execute("DELETE FROM credential").rowcount, 1)
            db.close()
            code, answer, words = self.verify(hub, check=False)
            self.assertEqual((code, answer["valid"], answer["issuance"]["unknown"]), (1, False, 1))
            self.assertIn("ALARM: the signer issued certificate", answer["issuance"]["findings"][0])
            self.assertIn("1 certificates that this hub does not know", words)
            shown = hub.fairlead("audit", "verify", check=False)
            self.assertIn("this hub does not know it", shown.stdout)

    def test_a_log_that_lost_its_end_is_noticed(self):
        with Hub() as hub:
            hub.enrol("cam-01")
            hub.stop()
            hub.start()  # it looks at the log when it starts
            self.assertTrue(self.verify(hub)[1]["valid"])
            hub.stop()
            path = hub.dir / "keys/issued/issued-0000000000000001.seg"
            os.truncate(path, 0)
            code, answer, _ = self.verify(hub, check=False)
            self.assertEqual(code, 1)
            self.assertIn("its end was removed", answer["issuance"]["detail"])


if __name__ == "__main__":
    unittest.main()
