# SPDX-License-Identifier: Apache-2.0
"""Renewal: the agent renews its certificate by itself and on demand, beside its readings; the hub retires the old one when
the new one connects; whatever is refused, a certificate that works is kept."""
import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import time
import unittest

from agent_test import AGENT, Swtpm, agent
from fake_hub import FakeHub, openssl
from harness import Hub, HubTest, run, wait_for

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


class RenewTest(HubTest):
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

    def test_renewals_that_race_leave_a_certificate_that_works(self):
        credential = self.hub.enrol("race")
        command = ["curl", "-sS", "--fail", "--cacert", self.hub.dir / "ca.pem", "--cert", credential.cert, "--key",
                   credential.key, "-H", "Content-Type: application/pkcs10", "--data-binary", f"@{credential.csr}",
                   f"https://localhost:{self.hub.https_port}/.well-known/est/simplereenroll"]
        for _ in range(3):
            racers = [subprocess.Popen([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
                      for _ in range(5)]
            bodies = [r.communicate()[0] for r in racers]
            bodies = [b for b, r in zip(bodies, racers) if r.returncode == 0]
            self.assertTrue(bodies)
        # The one that asked, and any of the last.
        credential.mosquitto("mosquitto_pub", "-t", "d/race/t/temperature", "-q", "1", "-m", "1")
        credential.accept(bodies[-1].decode())
        credential.mosquitto("mosquitto_pub", "-t", "d/race/t/temperature", "-q", "1", "-m", "2")
        wait_for(lambda: self.audit("race", "device.supersede"), say="the ones before retired")
        self.assertEqual(self.values("race"), [1, 2])

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
        # Enrolled again with the same URI it has the same key, which stays its own.
        agent("enrol", "--again", "--token", self.hub.json("device", "token", "token")["token"], "--dir", folder, "--key",
              token.uri("token"), check=True, env=token.env)
        self.assertNotIn(" found", (folder / "agent.conf").read_text())
        before = (folder / "key.pem").read_text()
        agent("renew", "--dir", folder, check=True, env=token.env)
        self.assertNotEqual((folder / "key.pem").read_text(), before)
        self.assertEqual(token.objects(), 2)

    @unittest.skipUnless(os.path.exists(SOFTHSM), "SoftHSM 2 is not installed (tools/setup installs it)")
    def test_a_key_that_was_in_the_token_before_is_kept(self):
        token = SoftHsm(self.hub.work / "hsm-found")
        made = self.hub.work / "made.pem"
        openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", made)
        run("softhsm2-util", "--import", made, "--token", "fairlead", "--label", "found", "--id", "a1", "--pin",
            "pin-of-the-user", env=token.env)
        folder = self.enrol("found", "--key", token.uri("found"), env=token.env)
        first = (folder / "key.pem").read_text()
        self.assertIn(" found\n", (folder / "agent.conf").read_text())
        before = serial_of(folder)
        agent("renew", "--dir", folder, check=True, env=token.env)
        self.assertNotEqual(serial_of(folder), before)
        self.assertEqual((folder / "key.pem").read_text(), first)
        self.assertEqual(token.objects(), 2)

    def test_a_pin_on_the_command_line_is_refused(self):
        done = agent("enrol", "--token", "x", "--dir", self.hub.work / "pin", "--key", "pkcs11:token=a;object=b?pin-value=1234")
        self.assertEqual(done.returncode, 2)
        self.assertIn("pin-source=file:", done.stderr)


def date_certificate(folder, work, issuing, issuing_key, start, end, serial=None):
    """The agent's certificate again, with other dates (YYYYMMDDHHMMSSZ)."""
    device = folder.name
    openssl("req", "-new", "-key", folder / "key.pem", "-subj", f"/CN={device}", "-out", work / "dated.csr")
    (work / "index.txt").write_text("")
    (work / "serial.txt").write_text((serial or os.urandom(8).hex()) + "\n")
    (work / "dated.conf").write_text(
        f"[ca]\ndefault_ca=d\n[d]\ndatabase={work}/index.txt\nnew_certs_dir={work}\nserial={work}/serial.txt\npolicy=p\n"
        "default_md=sha256\nx509_extensions=e\n[p]\ncommonName=supplied\n[e]\n"
        f"subjectAltName=URI:urn:fairlead:device:{device}\nextendedKeyUsage=clientAuth\n"
        "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nauthorityKeyIdentifier=keyid\n")
    openssl("ca", "-batch", "-notext", "-config", work / "dated.conf", "-cert", issuing, "-keyfile", issuing_key, "-in",
            work / "dated.csr", "-out", folder / "cert.pem", "-startdate", start, "-enddate", end)


class EndedTest(unittest.TestCase):
    """Time cannot be hurried and the shortest life is an hour; so the certificate and its record in the hub's books are dated
    back instead. Everything else is as it would be."""

    def setUp(self):
        self.hub = Hub()
        self.addCleanup(self.hub.__exit__)
        self.hub.start()
        self.folder = self.hub.work / "cam-01"
        agent("enrol", "--token", self.hub.add("cam-01")["token"], "--dir", self.folder, check=True)
        self.first = serial_of(self.folder)
        self.hub.stop()
        now = time.time()
        start, end = (time.strftime("%Y%m%d%H%M%SZ", time.gmtime(now - ago)) for ago in (2 * 86400, 86400))
        date_certificate(self.folder, self.hub.work, self.hub.dir / "keys" / "issuing.pem",
                         self.hub.dir / "keys" / "issuing.key", start, end, serial=self.first)
        self.assertEqual(serial_of(self.folder), self.first)
        books = next(self.hub.dir.rglob("hub.db"))
        with contextlib.closing(sqlite3.connect(books)) as db:
            (text,) = db.execute("SELECT document FROM credential WHERE CAST(key AS TEXT) = ?", (self.first,)).fetchone()
            record = json.loads(text)
            self.assertIsInstance(record["not_after"], int)
            record["not_after"] = int((now - 86400) * 1000)
            db.execute("UPDATE credential SET document = ? WHERE CAST(key AS TEXT) = ?", (json.dumps(record), self.first))
            db.commit()

    def test_it_is_refused_and_the_way_out_is_told(self):
        self.hub.start()
        done = agent("renew", "--dir", self.folder)
        self.assertEqual(done.returncode, 1)
        self.assertIn("this device's certificate has expired", done.stderr)
        self.assertIn("fairlead device token cam-01", done.stderr)

    def test_a_hub_that_is_told_to_renews_it_and_the_agent_goes_on(self):
        with open(self.hub.dir / "hub.conf", "a", encoding="utf-8") as conf:
            conf.write("renew-expired 7d\n")
        self.hub.start()
        process = Agent(self, self.folder)
        process.say(1)
        process.wait_log("cam-01 is renewed")
        self.assertEqual(process.finish(), 0, process.log())
        self.assertEqual([r["value"] for r in self.hub.readings("cam-01")], [1], process.log())
        self.assertNotEqual(serial_of(self.folder), self.first)

    def test_a_quarantined_device_stays_out(self):
        with open(self.hub.dir / "hub.conf", "a", encoding="utf-8") as conf:
            conf.write("renew-expired 7d\n")
        self.hub.start()
        self.hub.fairlead("device", "quarantine", "cam-01", "--reason", "found in a drawer")
        done = agent("renew", "--dir", self.folder)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(serial_of(self.folder), self.first)


NOT_AUTHORIZED = 0x87


class RefusalTest(unittest.TestCase):
    """Against a hub that does what a real one seldom does."""

    def setUp(self):
        self.hub = FakeHub()
        self.addCleanup(self.hub.__exit__)
        self.folder = self.hub.work / "cam-01"
        agent("enrol", "--token", self.hub.token("cam-01"), "--dir", self.folder, check=True)
        self.first = serial_of(self.folder)

    def beside(self):
        return sorted(p.name for p in self.folder.iterdir() if p.name.startswith("next"))

    def test_a_new_certificate_that_is_refused_is_given_up(self):
        self.hub.connack = lambda serial: 0 if serial == self.first else NOT_AUTHORIZED
        process = Agent(self, self.folder)
        process.say(1)
        process.wait_log("is connected")
        process.process.send_signal(signal.SIGUSR1)
        process.wait_log("going back to the one before")
        process.wait_log("not renewed: the hub does not accept the new certificate")
        process.say(2)
        self.assertEqual(process.finish(), 0, process.log())
        self.assertEqual(self.hub.values("temperature"), [1, 2])
        self.assertEqual(self.hub.accepted, [self.first] * 2)
        self.assertEqual(serial_of(self.folder), self.first)
        self.assertEqual(self.beside(), [])

    def test_renew_now_says_that_it_was_refused(self):
        self.hub.connack = lambda serial: 0 if serial == self.first else NOT_AUTHORIZED
        done = agent("renew", "--dir", self.folder)
        self.assertEqual(done.returncode, 1)
        self.assertIn("does not accept the new certificate", done.stderr)
        self.assertEqual(serial_of(self.folder), self.first)

    def test_renew_now_says_when_neither_is_taken(self):
        self.hub.connack = lambda serial: NOT_AUTHORIZED
        done = agent("renew", "--dir", self.folder)
        self.assertEqual(done.returncode, 1)
        self.assertIn("the certificate before is refused, too", done.stderr)
        self.assertEqual(serial_of(self.folder), self.first)

    def test_a_next_identity_that_is_damaged_is_thrown_away(self):
        self.hub.connack = lambda serial: 0 if serial == self.first else None
        agent("renew", "--dir", self.folder)
        self.assertIn("next-ready", self.beside())
        # A whole one of a certificate and a key that do not belong together.
        shutil.copy(self.folder / "key.pem", self.folder / "next-key.pem")
        parts = [hashlib.sha256((self.folder / f"next-{n}.pem").read_bytes()).digest() for n in ("key", "cert", "chain", "ca")]
        (self.folder / "next-ready").write_text(hashlib.sha256(b"".join(parts)).hexdigest())
        process = Agent(self, self.folder)
        process.say(1)
        process.wait_log("key.pem does not belong to cert.pem")
        process.wait_log("is connected")
        self.assertEqual(process.finish(), 0, process.log())
        self.assertEqual(self.hub.values("temperature"), [1])
        self.assertEqual(self.beside(), [])

    def test_an_acceptance_that_is_lost_is_asked_for_again(self):
        """The hub has retired the old one; its answer never came."""
        seen = []

        def connack(serial):
            if serial == self.first:
                return NOT_AUTHORIZED if seen else 0
            seen.append(serial)
            return None if len(seen) < 3 else 0

        self.hub.connack = connack
        process = Agent(self, self.folder)
        process.say(1)
        process.wait_log("is connected")
        process.process.send_signal(signal.SIGUSR1)
        process.wait_log("cam-01 is renewed")
        process.say(2)
        self.assertEqual(process.finish(), 0, process.log())
        self.assertEqual(self.hub.values("temperature"), [1, 2])
        self.assertEqual(serial_of(self.folder), seen[0])
        self.assertEqual(self.beside(), [])

    def test_when_both_are_refused_each_is_tried_in_turn(self):
        seen = []

        def connack(serial):
            seen.append(serial)
            return 0 if len(seen) in (1, 6) else NOT_AUTHORIZED

        self.hub.connack = connack
        process = Agent(self, self.folder)
        process.say(1)
        process.wait_log("is connected")
        process.process.send_signal(signal.SIGUSR1)
        process.wait_log("cam-01 is renewed")
        self.assertEqual([s == self.first for s in seen], [True, False, True, False, True, False])
        self.assertEqual(process.finish(), 0, process.log())

    def test_a_renewal_that_a_kill_interrupts_is_finished_by_the_next_start(self):
        self.hub.connack = lambda serial: 0 if serial == self.first else None
        process = Agent(self, self.folder)
        process.say(1)
        process.wait_log("is connected")
        process.process.send_signal(signal.SIGUSR1)
        process.wait_log("is issued; connecting with it")
        process.end()
        self.assertEqual(serial_of(self.folder), self.first)
        issued = serial_of(self.folder, "next-cert.pem")
        self.hub.connack = lambda serial: 0
        process = Agent(self, self.folder)
        process.wait_log("was issued before and is tried now")
        process.say(2)
        self.assertEqual(process.finish(), 0, process.log())
        self.assertEqual(self.hub.values("temperature"), [1, 2])
        self.assertEqual(serial_of(self.folder), issued)
        self.assertEqual(self.beside(), [])

    def test_kills_at_any_moment_leave_an_identity_that_works(self):
        for i in range(12):
            process = Agent(self, self.folder)
            process.wait_log("cam-01: 1 sensors", i + 1)
            process.process.send_signal(signal.SIGUSR1)
            try:
                process.process.wait(i * 0.03)
            except subprocess.TimeoutExpired:
                pass
            process.end()
        process = Agent(self, self.folder)
        process.say(1)
        self.assertEqual(process.finish(), 0, process.log())
        self.assertEqual(self.hub.values("temperature"), [1])
        self.assertEqual(serial_of(self.folder), self.hub.accepted[-1])

    def test_bad_answers_change_nothing_and_are_said(self):
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "/dev/null",
                "-subj", "/CN=cam-01", "-outform", "DER", "-out", self.hub.work / "other.csr")
        other = self.hub.pki.issue((self.hub.work / "other.csr").read_bytes(), "cam-01")
        kind = "application/pkcs7-mime"
        for answer, words in (((503, "text/plain", b"no room"), "HTTP 503: no room"),
                              ((401, "application/problem+json", b'{"detail":"not with this"}'), "HTTP 401: not with this"),
                              ((202, "text/plain", b""), "wants a person to approve"),
                              ((200, kind, b"<html>"), "not base64"),
                              ((200, kind, other), "no certificate for our key")):
            self.hub.answer = answer
            done = agent("renew", "--dir", self.folder)
            self.assertEqual(done.returncode, 1)
            self.assertIn(words, done.stderr)
            self.assertEqual(serial_of(self.folder), self.first)
            self.assertEqual(self.beside(), [])

    def date_certificate(self, start, end):
        date_certificate(self.folder, self.hub.work, self.hub.work / "issuing.pem", self.hub.work / "issuing.key", start, end)

    def test_a_clock_that_cannot_be_right_throws_nothing_away(self):
        for start, end in (("20700101000000Z", "20700108000000Z"), ("19850101000000Z", "19850108000000Z")):
            self.date_certificate(start, end)
            before = {p.name: p.read_bytes() for p in self.folder.iterdir() if p.is_file() and p.name != "lock"}
            done = agent("renew", "--dir", self.folder)
            self.assertEqual(done.returncode, 1)
            self.assertIn("which cannot be", done.stderr)
            self.assertIn(f"{start[:4]}-01-01", done.stderr)
            after = {p.name: p.read_bytes() for p in self.folder.iterdir() if p.is_file() and p.name != "lock"}
            self.assertEqual(after, before)
        self.assertEqual(len(self.hub.posts), 1)

    def test_an_ended_certificate_is_told_with_what_helps_and_keeps_the_readings(self):
        self.date_certificate("20260101000000Z", "20260108000000Z")
        process = Agent(self, self.folder)
        process.say(1)
        process.wait_log("the certificate ended at 2026-01-08T00:00:00Z")
        self.assertIn("fairlead device token cam-01", process.log())
        self.assertIn("enrol --again --token TOKEN", process.log())
        process.wait_log("certificate has expired")
        process.process.terminate()
        process.process.wait(20)
        set_conf(self.folder, "renew-at", "40%")
        agent("enrol", "--again", "--token", self.hub.token("cam-01"), "--dir", self.folder, check=True)
        self.assertIn("renew-at   40%", (self.folder / "agent.conf").read_text())
        agent("run", "--dir", self.folder, check=True)
        self.assertEqual(self.hub.values("temperature"), [1])


def camera(name, life):
    """The shipped camera's profile with another name and life."""
    from harness import SOURCE
    text = (SOURCE / "profiles" / "camera.profile").read_text()
    text = re.sub(r"(?m)^profile \S+", f"profile {name}", text)
    return re.sub(r"certificate-life \S+", f"certificate-life {life}", text)


if __name__ == "__main__":
    unittest.main(verbosity=2)
