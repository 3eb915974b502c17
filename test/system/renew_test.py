# SPDX-License-Identifier: Apache-2.0
"""Renewal: the agent renews its certificate by itself and on demand, beside its readings; the hub retires the old one when
the new one connects; whatever is refused, a certificate that works is kept."""
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import unittest

from agent_test import AGENT, Swtpm, agent
from fake_hub import FakeHub, openssl
from harness import Hub, run, wait_for

SOFTHSM = "/usr/lib/softhsm/libsofthsm2.so"


def serial_of(folder, name="cert.pem"):
    return openssl("x509", "-in", folder / name, "-noout", "-serial").stdout.strip().removeprefix("serial=").lower()


def set_conf(folder, name, value):
    conf = folder / "agent.conf"
    conf.write_text(re.sub(rf"(?m)^{name} .*$", f"{name} {value}", conf.read_text()))


class Agent:
    """`fairlead-agent run` with lines on its standard input."""

    def __init__(self, test, folder, env=None):
        self.log_path = folder.with_suffix(".log")
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([AGENT, "run", "--dir", folder, "--sensor", "stdin"], stderr=log, env=env,
                                            stdin=subprocess.PIPE, text=True)
        test.addCleanup(self.end)

    def log(self):
        return self.log_path.read_text()

    def say(self, value):
        self.process.stdin.write(f"temperature {value}\n")
        self.process.stdin.flush()

    def finish(self):
        self.process.stdin.close()
        return self.process.wait(60)

    def end(self):
        self.process.kill()
        self.process.wait()
        if not self.process.stdin.closed:
            try:
                self.process.stdin.close()
            except BrokenPipeError:
                pass

    def wait_log(self, text, count=1):
        wait_for(lambda: self.log().count(text) >= count or self.process.poll() is not None, timeout_s=40, say=text)
        if self.log().count(text) < count:
            raise AssertionError(f"the agent ended without {text!r}:\n{self.log()}")


class SoftHsm:
    """A PKCS #11 token of its own; `env` is what the agent needs to see it."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "tokens").mkdir(parents=True)
        (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder}/tokens\nlog.level = ERROR\n")
        (folder / "pin").write_text("pin-of-the-user\n")
        os.chmod(folder / "pin", 0o600)
        self.env = {**os.environ, "SOFTHSM2_CONF": str(folder / "softhsm2.conf")}
        run("softhsm2-util", "--init-token", "--free", "--label", "fairlead", "--pin", "pin-of-the-user", "--so-pin",
            "pin-of-the-officer", env=self.env)

    def uri(self, label):
        return f"pkcs11:token=fairlead;object={label}?module-path={SOFTHSM}&pin-source=file:{self.folder}/pin"

    def objects(self):
        """Files of SoftHSM: a key pair is two objects."""
        return len([p for p in (self.folder / "tokens").rglob("*.object") if p.name != "token.object"])


class RenewTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.hub = Hub()
        cls.hub.start()

    @classmethod
    def tearDownClass(cls):
        cls.hub.__exit__()

    def enrol(self, device, *more, profile="camera", env=None):
        folder = self.hub.work / device
        agent("enrol", "--token", self.hub.add(device, profile)["token"], "--dir", folder, *more, check=True, env=env)
        return folder

    def values(self, device):
        done = run("curl", "-sS", "--fail", "--unix-socket", self.hub.dir / "run" / "hub.sock",
                   f"http://hub/api/v1/devices/{device}/readings?stream=temperature&order=asc&limit=10000")
        return [row["value"] for row in json.loads(done.stdout)]

    def audit(self, device, what):
        records = self.hub.json("audit", "show", "--limit", "1000")
        return [r for r in records if r["object"] == device and r["what"] == what]

    def test_renew_now_without_a_running_agent(self):
        folder = self.enrol("alone")
        before, key = serial_of(folder), (folder / "key.pem").read_bytes()
        done = agent("renew", "--dir", folder, check=True)
        self.assertIn(serial_of(folder), done.stdout)
        self.assertNotEqual(serial_of(folder), before)
        self.assertNotEqual((folder / "key.pem").read_bytes(), key)
        self.assertEqual([p.name for p in folder.iterdir() if p.name.startswith("next")], [])
        wait_for(lambda: self.audit("alone", "device.supersede"), say="the audit record")
        record = self.audit("alone", "device.supersede")[0]
        self.assertEqual(record["detail"]["retired"], [before])
        self.assertEqual(record["detail"]["serial"], serial_of(folder))
        agent("run", "--dir", folder, "--sensor", "stdin", input="temperature 1\n", check=True)
        self.assertEqual(self.values("alone"), [1])

    def test_a_running_agent_renews_on_demand_and_loses_nothing(self):
        folder = self.enrol("running")
        process = Agent(self, folder)
        for i in range(200):
            process.say(i / 10)
        process.wait_log("is connected")
        for round_ in range(1, 4):
            before = serial_of(folder)
            done = agent("renew", "--dir", folder, check=True)
            self.assertIn("running is renewed", done.stdout)
            self.assertNotEqual(serial_of(folder), before)
            for i in range(200 * round_, 200 * round_ + 200):
                process.say(i / 10)
        self.assertEqual(process.finish(), 0, process.log())
        self.assertEqual(sorted(self.values("running")), [i / 10 for i in range(800)])
        # One connection to begin with and one for each renewal.
        self.assertEqual(process.log().count("is connected"), 4, process.log())
        self.assertEqual(len(self.audit("running", "device.renew")), 3)
        wait_for(lambda: len(self.audit("running", "device.supersede")) == 3, say="the last one retired")
        self.assertEqual(self.hub.device("running")["credential"]["serial"], serial_of(folder))

    def test_a_short_life_is_renewed_by_itself(self):
        self.hub.add_profile(camera("short", "1h"))
        folder = self.enrol("brief", profile="short")
        # The certificate is valid from five minutes before it was made: 1 % of that is over at once.
        set_conf(folder, "renew-at", "1%")
        first = serial_of(folder)
        process = Agent(self, folder)
        process.say(1)
        process.wait_log("brief is renewed")
        self.assertNotEqual(serial_of(folder), first)
        process.say(2)
        self.assertEqual(process.finish(), 0, process.log())
        self.assertEqual(self.values("brief"), [1, 2])
        self.assertEqual(process.log().count("is renewed:"), 1, "the next time is 1 % of the new life away")

    def test_the_same_key_where_the_agent_says_so(self):
        folder = self.enrol("same")
        set_conf(folder, "renew-key", "same")
        before, key = serial_of(folder), (folder / "key.pem").read_bytes()
        agent("renew", "--dir", folder, check=True)
        self.assertNotEqual(serial_of(folder), before)
        self.assertEqual((folder / "key.pem").read_bytes(), key)

    def test_the_old_certificate_is_good_until_the_new_one_connects(self):
        credential = self.hub.enrol("curl")
        old = serial_of(credential.folder)
        for _ in range(6):
            run("curl", "-sS", "--fail", "--cacert", self.hub.dir / "ca.pem", "--cert", credential.cert, "--key", credential.key,
                "-H", "Content-Type: application/pkcs10", "--data-binary", f"@{credential.csr}",
                f"https://localhost:{self.hub.https_port}/.well-known/est/simplereenroll")
        # Six answers that were lost: the one that works is still there.
        credential.mosquitto("mosquitto_pub", "-t", "d/curl/t/temperature", "-q", "1", "-m", "1")
        self.assertEqual(self.audit("curl", "device.supersede"), [])
        self.assertEqual(old, serial_of(credential.folder))

    def test_a_revoked_device_does_not_renew(self):
        folder = self.enrol("gone")
        before = serial_of(folder)
        self.hub.fairlead("device", "revoke", "gone")
        done = agent("renew", "--dir", folder)
        self.assertEqual(done.returncode, 1)
        self.assertIn("this device's certificate is revoked", done.stderr)
        self.assertEqual(serial_of(folder), before)

    def test_a_hub_that_is_away_is_said_and_nothing_changes(self):
        folder = self.enrol("away")
        before = {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file() and p.name != "lock"}
        set_conf(folder, "https", "1")
        set_conf(folder, "mqtt", "1")
        done = agent("renew", "--dir", folder)
        self.assertEqual(done.returncode, 1)
        self.assertIn("no connection to localhost port 1", done.stderr)
        for name in ("key.pem", "cert.pem"):
            self.assertEqual((folder / name).read_bytes(), before[name])

    @unittest.skipUnless(shutil.which("swtpm"), "swtpm is not installed (tools/setup installs it)")
    def test_a_key_in_a_tpm_is_renewed_in_the_tpm(self):
        with Swtpm() as tpm:
            folder = self.enrol("tpm", "--key", f"tpm:{tpm.tcti}")
            before = (folder / "key.pem").read_text()
            process = Agent(self, folder)
            process.say(1)
            process.wait_log("is connected")
            agent("renew", "--dir", folder, check=True)
            self.assertNotEqual((folder / "key.pem").read_text(), before)
            self.assertIn("TSS2 PRIVATE KEY", (folder / "key.pem").read_text())
            process.say(2)
            self.assertEqual(process.finish(), 0, process.log())
            self.assertEqual(self.values("tpm"), [1, 2])

    @unittest.skipUnless(os.path.exists(SOFTHSM), "SoftHSM 2 is not installed (tools/setup installs it)")
    def test_a_key_in_a_pkcs11_token_enrols_sends_and_is_renewed(self):
        token = SoftHsm(self.hub.work / "hsm")
        folder = self.enrol("token", "--key", token.uri("token"), env=token.env)
        self.assertTrue((folder / "key.pem").read_text().startswith("pkcs11:"))
        self.assertEqual(token.objects(), 2)
        before = (folder / "key.pem").read_text()
        process = Agent(self, folder, env=token.env)
        process.say(1)
        process.wait_log("is connected")
        agent("renew", "--dir", folder, check=True, env=token.env)
        process.say(2)
        self.assertEqual(process.finish(), 0, process.log())
        self.assertEqual(self.values("token"), [1, 2])
        self.assertNotEqual((folder / "key.pem").read_text(), before)
        self.assertEqual(token.objects(), 2, "the old key is destroyed")
        # Without its token the agent says so, and with it goes on.
        (token.folder / "tokens").rename(token.folder / "away")
        (token.folder / "tokens").mkdir()
        done = agent("run", "--dir", folder, env=token.env)
        self.assertEqual(done.returncode, 1)
        self.assertIn("token 'fairlead': not there", done.stderr)
        (token.folder / "tokens").rmdir()
        (token.folder / "away").rename(token.folder / "tokens")
        agent("run", "--dir", folder, "--sensor", "stdin", input="temperature 3\n", check=True, env=token.env)
        self.assertEqual(self.values("token"), [1, 2, 3])

    @unittest.skipUnless(os.path.exists(SOFTHSM), "SoftHSM 2 is not installed (tools/setup installs it)")
    def test_a_key_that_was_in_the_token_before_is_kept(self):
        token = SoftHsm(self.hub.work / "hsm-found")
        first = self.enrol("maker", "--key", token.uri("found"), env=token.env)
        folder = self.enrol("found", "--key", token.uri("found"), env=token.env)
        self.assertEqual((folder / "key.pem").read_text(), (first / "key.pem").read_text())
        self.assertIn(" found\n", (folder / "agent.conf").read_text())
        before = serial_of(folder)
        agent("renew", "--dir", folder, check=True, env=token.env)
        self.assertNotEqual(serial_of(folder), before)
        self.assertEqual((folder / "key.pem").read_text(), (first / "key.pem").read_text())
        self.assertEqual(token.objects(), 2)

    def test_a_pin_on_the_command_line_is_refused(self):
        done = agent("enrol", "--token", "x", "--dir", self.hub.work / "pin", "--key", "pkcs11:token=a;object=b?pin-value=1234")
        self.assertEqual(done.returncode, 2)
        self.assertIn("pin-source=file:", done.stderr)


def camera(name, life):
    """The shipped camera's profile with another name and life."""
    from harness import SOURCE
    text = (SOURCE / "profiles" / "camera.profile").read_text()
    text = re.sub(r"(?m)^profile \S+", f"profile {name}", text)
    return re.sub(r"certificate-life \S+", f"certificate-life {life}", text)


if __name__ == "__main__":
    unittest.main(verbosity=2)
