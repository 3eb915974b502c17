# SPDX-License-Identifier: Apache-2.0
"""The command line against a real hub: every verb once, locally and from elsewhere."""
import csv
import io
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

from harness import BIN, HubTest, Mqtt, Refused, run

SOURCE = pathlib.Path(__file__).resolve().parents[2]


class Verbs(HubTest):
    def cli(self, *argv, check=True, **env):
        return run(BIN / "fairlead", *argv, check=check, env={**os.environ, **env})

    def refused(self, *argv):
        done = self.hub.fairlead(*argv, check=False)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertEqual(done.stdout, "")
        return done.stderr

    def test_an_administrator_logs_in_once_and_works_from_elsewhere(self):
        token = next(word for word in self.hub.init.stdout.split() if word.startswith("fl1."))
        url = f"https://localhost:{self.hub.https_port}"
        with tempfile.TemporaryDirectory() as home:
            env = {"HOME": home, "XDG_CONFIG_HOME": "", "FAIRLEAD_HUB": ""}
            self.assertEqual(self.cli("device", "list", check=False, **env).returncode, 1)
            wrong = self.cli("login", f"https://localhost:{self.hub.mqtt_port}", "--token", token, check=False, **env)
            self.assertEqual(wrong.returncode, 1)
            self.assertEqual(json.loads(self.cli("login", "--token", token, "--json", **env).stdout)["url"], url)
            kept = list(pathlib.Path(home).rglob("*.json"))
            self.assertEqual([path.stat().st_mode & 0o777 for path in kept], [0o600])
            self.assertEqual(self.cli("device", "list", "--json", **env).stdout, self.hub.fairlead("device", "list", "--json").stdout)
            self.cli("device", "list", "--hub", url, **env)
            again = self.cli("login", "--token", token, check=False, **env)
            self.assertEqual(again.returncode, 1)
            self.assertIn("used already", again.stderr)
            self.assertEqual([row["name"] for row in self.hub.json("admin", "list")], ["admin"])
            self.hub.fairlead("admin", "remove", "admin")
            gone = self.cli("device", "list", check=False, **env)
            self.assertEqual(gone.returncode, 1)
            self.assertIn("fairlead login", gone.stderr)

    def test_a_token_for_a_device_is_no_login_and_another_hubs_root_is_refused(self):
        added = self.hub.add("dev-token")
        done = self.cli("login", "--token", added["token"], check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("enrols the device dev-token", done.stderr)
        with tempfile.TemporaryDirectory() as folder:
            other = self.cli("init", folder + "/hub", "--host", "localhost", "--https-port", self.hub.https_port, "--json")
            done = self.cli("login", "--token", json.loads(other.stdout)["token"], check=False, HOME=folder)
            self.assertEqual(done.returncode, 1)
            self.assertIn("does not show the root certificate", done.stderr)

    def test_adding_a_device(self):
        added = self.hub.add("add-01", "camera", "--site", "quay", "--ttl", "20m")
        self.assertEqual({"id", "profile", "state", "site", "token", "expires", "enrol"}, set(added))
        self.assertEqual(added["enrol"], f"https://localhost:{self.hub.https_port}/.well-known/est")
        device = self.hub.device("add-01")
        self.assertEqual((device["state"], device["connected"], device["site"]), ("expected", False, "quay"))
        self.assertIn("there already", self.refused("device", "add", "add-01", "--profile", "camera"))
        self.assertIn("did you mean camera", self.refused("device", "add", "add-02", "--profile", "cammera"))
        self.assertNotEqual(self.hub.json("device", "token", "add-01")["token"], added["token"])
        self.assertIn("fairlead device list", self.refused("device", "show", "nobody"))

    def test_cut_off_and_back(self):
        credential = self.hub.enrol("cut-01")
        mqtt = Mqtt(credential)
        self.addCleanup(mqtt.close)
        rehearsal = self.hub.json("device", "quarantine", "cut-01", "--dry-run")
        self.assertTrue(rehearsal["dry_run"])
        self.assertTrue(self.hub.device("cut-01")["connected"])
        outcome = self.hub.json("device", "quarantine", "cut-01", "--for", "1h", "--reason", "odd traffic")
        self.assertEqual(outcome["sessions_closed"], 1)
        self.assertLess(outcome["took_ms"], 1000)
        self.assertLess(mqtt.wait_closed(), 1)
        with self.assertRaises(Refused):
            Mqtt(credential)
        actions = [row for row in self.hub.json("action", "list") if row["device"] == "cut-01"]
        self.assertEqual([(row["kind"], row["state"], row["reason"]) for row in actions], [("quarantine", "active", "odd traffic")])
        self.assertIn("cut-01", self.hub.fairlead("action", "undo", actions[0]["id"]).stdout)
        Mqtt(credential).close()
        text = self.hub.fairlead("device", "revoke", "cut-01", "--reason", "lost").stdout
        self.assertIn("revoke (lost)", text)
        with self.assertRaises(Refused):
            Mqtt(credential)
        self.assertEqual(self.hub.device("cut-01")["posture"], "revoked")
        self.hub.fairlead("device", "retire", "cut-01")
        self.assertEqual(self.hub.device("cut-01")["state"], "retired")

    def test_readings_are_shown_as_they_were_sent(self):
        mqtt = Mqtt(self.hub.enrol("read-01"))
        self.addCleanup(mqtt.close)
        values = [round(20 + i * 0.1, 1) for i in range(50)]
        for value in values:
            self.assertEqual(mqtt.publish("d/read-01/t/temperature", value), 0)
        time.sleep(0.3)  # readings of one stream that come faster than one in a millisecond are stamped ahead
        mqtt.publish("d/read-01/t/load1", 0.5)
        rows = self.hub.json("reading", "show", "read-01", "--stream", "temperature")
        self.assertEqual([row["value"] for row in rows], values)
        self.assertEqual(len(self.hub.readings("read-01")), 51)
        newest = self.hub.json("reading", "show", "read-01", "--limit", "3")
        self.assertEqual([row["value"] for row in newest], values[-2:] + [0.5])
        table = csv.DictReader(io.StringIO(self.hub.fairlead("reading", "show", "read-01", "--csv", "--since", "1h").stdout))
        self.assertEqual([float(row["value"]) for row in table], values + [0.5])
        text = self.hub.fairlead("reading", "show", "read-01").stdout
        self.assertRegex(text, r"temperature +°C +50 +20 +22\.45 +24\.9 +24\.9 +▁")
        self.assertIn("┤", self.hub.fairlead("reading", "show", "read-01", "--plot").stdout)
        tail = subprocess.Popen([BIN / "fairlead", "--hub", self.hub.dir, "reading", "tail", "read-01", "--csv", "--limit", "1"],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.assertEqual(tail.stdout.readline(), "t,stream,value\n")
        self.assertTrue(tail.stdout.readline().endswith(",load1,0.5\n"))
        mqtt.publish("d/read-01/t/temperature", -7.25)
        self.assertTrue(tail.stdout.readline().endswith(",temperature,-7.25\n"))
        tail.send_signal(signal.SIGINT)
        self.assertEqual((tail.wait(10), tail.stderr.read()), (0, ""))
        tail.stdout.close()
        tail.stderr.close()

    def test_tail_waits_for_a_hub_that_restarts(self):
        credential = self.hub.enrol("tail-01")
        mqtt = Mqtt(credential)
        mqtt.publish("d/tail-01/t/load1", 1)
        tail = subprocess.Popen([BIN / "fairlead", "--hub", self.hub.dir, "reading", "tail", "tail-01", "--json"],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.assertEqual(json.loads(tail.stdout.readline())["value"], 1)
        self.hub.stop()
        self.assertIn("waiting", tail.stderr.readline())
        self.hub.start()
        mqtt.close()
        mqtt = Mqtt(credential)
        for value in (2, 3):
            mqtt.publish("d/tail-01/t/load1", value)
        self.assertEqual([json.loads(tail.stdout.readline())["value"] for _ in range(2)], [2, 3])
        mqtt.close()
        self.assertEqual(tail.stderr.readline(), "fairlead: it is back\n")
        tail.send_signal(signal.SIGTERM)
        self.assertEqual(tail.wait(10), 0)
        tail.stdout.close()
        tail.stderr.close()

    def test_profiles_are_linted_signed_added_and_shown(self):
        profile = self.hub.work / "buoy.profile"
        profile.write_text((SOURCE / "profiles/camera.profile").read_text().replace("profile camera", "profile buoy"))
        self.assertIn("fairlead profile sign", self.refused("profile", "add", profile))
        self.hub.fairlead("profile", "lint", profile)
        self.hub.fairlead("profile", "sign", profile)
        self.assertTrue(json.loads(self.hub.fairlead("profile", "lint", profile, "--json").stdout)["signed"])
        self.hub.fairlead("profile", "add", profile)
        self.hub.fairlead("profile", "add", profile)  # the same bytes again are no error
        self.assertIn("buoy", [row["name"] for row in self.hub.json("profile", "list")])
        self.assertEqual(self.hub.fairlead("profile", "show", "buoy").stdout, profile.read_text())
        profile.write_text(profile.read_text().replace("CAM-1", "CAM-2"))
        self.refused("profile", "add", profile)

    def test_the_audit_log_says_who_did_what(self):
        self.hub.add("audit-01")
        records = self.hub.json("audit", "show")
        self.assertTrue(any(r["what"] == "device.add" and r["object"] == "audit-01" for r in records))
        self.assertEqual([r["seq"] for r in records], list(range(1, len(records) + 1)))
        after = self.hub.json("audit", "show", "--after", records[-2]["seq"])
        self.assertEqual(after[0]["seq"], records[-1]["seq"])
        self.assertTrue(self.hub.json("audit", "verify")["valid"])

    def test_the_doctor_finds_a_healthy_hub_healthy_and_a_wrong_mode_wrong(self):
        findings = {row["check"]: row["result"] for row in self.hub.json("doctor")}
        self.assertNotIn("fail", findings.values(), findings)
        for check in ("control", "front, HTTPS", "front, MQTT", "audit log", "root certificate"):
            self.assertEqual(findings[check], "ok", findings)
        os.chmod(self.hub.dir / "operator", 0o755)
        done = self.hub.fairlead("doctor", check=False)
        os.chmod(self.hub.dir / "operator", 0o700)
        self.assertEqual(done.returncode, 1)
        self.assertIn("chmod go=", done.stdout)

    @unittest.skipUnless(os.geteuid() == 0 and shutil.which("setpriv"), "needs root to become someone else")
    def test_a_stranger_on_the_machine_is_told_who_may(self):
        done = run("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", BIN / "fairlead", "--hub", self.hub.dir, "device",
                   "list", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, "run this as")


if __name__ == "__main__":
    unittest.main()
