# SPDX-License-Identifier: Apache-2.0
"""The agent with the real hub: what it was given is stored once, whoever is killed; a device that is cut off is told so."""
import json
import shutil
import subprocess
import unittest

from agent_test import AGENT, Swtpm, agent
from harness import HubTest, run, wait_for


class AgentHubTest(HubTest):
    def enrol(self, device, *more):
        folder = self.hub.work / device
        agent("enrol", "--token", self.hub.add(device)["token"], "--dir", folder, *more, check=True)
        return folder

    def start(self, folder, *argv):
        log = open(f"{folder}.log", "ab")
        process = subprocess.Popen([AGENT, "run", "--dir", folder, *argv], stderr=log, stdin=subprocess.PIPE, text=True)
        log.close()
        self.addCleanup(process.stdin.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def log(self, folder):
        with open(f"{folder}.log") as log:
            return log.read()

    def values(self, device):
        """All of them, in the order of storing, straight from the API."""
        done = run("curl", "-sS", "--fail", "--unix-socket", self.hub.dir / "run" / "hub.sock",
                   f"http://hub/api/v1/devices/{device}/readings?stream=temperature&order=asc&limit=10000")
        return [row["value"] for row in json.loads(done.stdout)]

    def test_a_token_is_good_once(self):
        token = self.hub.add("once")["token"]
        agent("enrol", "--token", token, "--dir", self.hub.work / "once", check=True)
        done = agent("enrol", "--token", token, "--dir", self.hub.work / "twice")
        self.assertEqual(done.returncode, 1)
        self.assertIn("used already", done.stderr)

    def test_a_thousand_readings_are_stored_once_though_the_agent_is_killed(self):
        folder = self.enrol("killed")
        process = self.start(folder, "--sensor", "stdin")
        for i in range(500):
            process.stdin.write(f"temperature {i / 20}\n")
        process.stdin.flush()
        wait_for(lambda: len(self.values("killed")) >= 100, say="the first readings")
        wait_for(lambda: len(self.values("killed")) == 500 or process.poll() is not None, say="the first half")
        process.kill()
        process.wait()
        process = self.start(folder, "--sensor", "stdin")
        for i in range(500, 1000):
            process.stdin.write(f"temperature {i / 20}\n")
        process.stdin.close()
        self.assertEqual(process.wait(60), 0, self.log(folder))
        self.assertEqual(sorted(self.values("killed")), [i / 20 for i in range(1000)])

    def test_kills_of_the_agent_while_it_sends_lose_and_double_nothing(self):
        folder = self.enrol("replay")
        csv = self.hub.work / "replay.csv"
        csv.write_text("t,temperature\n" + "".join(f"{1763800000 + i},{i / 20}\n" for i in range(1000)))
        for wanted in (50, 200, 400):
            process = self.start(folder, "--sensor", f"file:{csv},speed=1000,original-time")
            wait_for(lambda: len(self.values("replay")) >= wanted or process.poll() is not None, say="some readings")
            process.kill()
            process.wait()
        process = self.start(folder, "--sensor", f"file:{csv},speed=max,original-time")
        self.assertEqual(process.wait(60), 0, self.log(folder))
        self.assertEqual(sorted(self.values("replay")), [i / 20 for i in range(1000)])

    def test_a_revoked_device_is_told_and_keeps_its_readings(self):
        folder = self.enrol("revoked")
        process = self.start(folder, "--sensor", "stdin")
        process.stdin.write("temperature 1\n")
        process.stdin.flush()
        wait_for(lambda: self.values("revoked") == [1], say="a reading")
        self.hub.fairlead("device", "revoke", "revoked")
        process.stdin.write("temperature 2\n")
        process.stdin.flush()
        wait_for(lambda: "this device's certificate is revoked" in self.log(folder), say="words")
        self.assertEqual(self.values("revoked"), [1])
        process.terminate()
        self.assertEqual(process.wait(20), 0)
        self.assertIn("1 waiting", self.log(folder))

    @unittest.skipUnless(shutil.which("swtpm"), "swtpm is not installed (tools/setup installs it)")
    def test_a_key_in_a_tpm_enrols_and_sends(self):
        with Swtpm() as tpm:
            folder = self.enrol("tpm", "--key", f"tpm:{tpm.tcti}")
            agent("run", "--dir", folder, "--sensor", "stdin", input="temperature 7\n", check=True)
            self.assertEqual(self.values("tpm"), [7])


if __name__ == "__main__":
    unittest.main(verbosity=2)
