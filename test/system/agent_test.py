# SPDX-License-Identifier: Apache-2.0
"""The agent as a program: enrolment against hubs good and bad, keys in files and in a TPM, and readings that survive kill -9,
hubs that go away and hubs that say no."""
import json
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

from fake_hub import FakeHub
from harness import BIN, free_ports, run, wait_for

AGENT = BIN / "fairlead-agent"


def agent(*argv, check=False, **kwargs):
    return run(AGENT, *argv, check=check, **kwargs)


class Swtpm:
    """A software TPM; its control port must be the next one."""

    def __enter__(self):
        self.state = tempfile.mkdtemp(prefix="fairlead-tpm-")
        for _ in range(20):
            port = free_ports(1)[0]
            self.process = subprocess.Popen(
                ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={self.state}", "--server",
                 f"type=tcp,bindaddr=127.0.0.1,port={port}", "--ctrl", f"type=tcp,bindaddr=127.0.0.1,port={port + 1}",
                 "--flags", "not-need-init,startup-clear"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(0.3)
            if self.process.poll() is None:
                self.tcti = f"swtpm:host=127.0.0.1,port={port}"
                return self
        raise AssertionError("swtpm does not start")

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.state, ignore_errors=True)


class EnrolTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.hub = FakeHub()

    @classmethod
    def tearDownClass(cls):
        cls.hub.__exit__()

    def setUp(self):
        self.hub.answer = self.hub.cacerts = None
        self.hub.posts.clear()
        self.dir = self.hub.work / f"dev-{time.monotonic_ns()}"

    def enrol(self, token, *more, **kwargs):
        return agent("enrol", "--token", token, "--dir", self.dir, *more, **kwargs)

    def refused(self, done, *words):
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)
        self.assertFalse((self.dir / "agent.conf").exists())

    def test_a_token_becomes_an_identity(self):
        token = self.hub.token("cam-01")
        done = self.enrol(token, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        said = json.loads(done.stdout)
        self.assertEqual((said["id"], said["key"], said["hub"]), ("cam-01", "file", "localhost"))
        self.assertEqual(self.hub.posts,
                         [("/.well-known/est/simpleenroll", "cam-01", token, "application/pkcs10")])
        self.assertEqual((self.dir / "key.pem").stat().st_mode & 0o777, 0o600)
        self.assertEqual(self.dir.stat().st_mode & 0o777, 0o700)
        run("openssl", "verify", "-CAfile", self.dir / "ca.pem", "-untrusted", self.dir / "chain.pem", self.dir / "cert.pem")
        subject = run("openssl", "x509", "-in", self.dir / "cert.pem", "-noout", "-subject").stdout
        self.assertIn("cam-01", subject)
        self.assertEqual(list(self.dir.glob("*.new")) + list(self.dir.glob("*.tmp")), [])

    def test_an_enrolled_folder_is_not_overwritten_unless_told(self):
        self.assertEqual(self.enrol(self.hub.token("cam-01")).returncode, 0)
        before = (self.dir / "key.pem").read_bytes()
        done = self.enrol(self.hub.token("cam-01"))
        self.assertEqual(done.returncode, 1)
        self.assertIn("--again", done.stderr)
        self.assertEqual((self.dir / "key.pem").read_bytes(), before)
        done = self.enrol(self.hub.token("cam-02"), "--again")
        self.assertEqual(done.returncode, 1)
        self.assertIn("belongs to 'cam-01'", done.stderr)
        self.assertEqual(self.enrol(self.hub.token("cam-01"), "--again").returncode, 0)
        self.assertNotEqual((self.dir / "key.pem").read_bytes(), before)

    def test_the_token_may_come_on_standard_input(self):
        done = self.enrol("-", input=f"  {self.hub.token('cam-01')}\n")
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_a_hub_with_another_root_gets_no_secret(self):
        self.refused(self.enrol(self.hub.token("cam-01", root=bytes(32))), "between us")
        self.assertEqual(self.hub.posts, [])
        self.hub.cacerts = b"<html>hello</html>"
        self.refused(self.enrol(self.hub.token("cam-01")), "not base64")
        self.assertEqual(self.hub.posts, [])

    def test_a_token_that_cannot_work_is_told_why(self):
        self.refused(self.enrol(self.hub.token("cam-01", ttl_s=-60)), "expired", "clock")
        self.refused(self.enrol(self.hub.token("cam-01", kind=2)), "administrator")
        self.refused(self.enrol(self.hub.token("cam-01")[:-3] + "AAA"), "token")
        self.refused(self.enrol("rubbish"), "token")
        self.assertEqual(self.hub.posts, [])

    def test_what_the_hub_says_is_passed_on(self):
        problem = json.dumps({"type": "about:blank", "title": "Unauthorized", "status": 401, "detail": "the token was used"})
        self.hub.answer = (401, "application/problem+json", problem.encode())
        self.refused(self.enrol(self.hub.token("cam-01")), "the token was used", "ask for a new one")
        self.hub.answer = (503, "text/plain", b"no signer\x1b[31m")
        self.refused(self.enrol(self.hub.token("cam-01")), "HTTP 503", "no signer\\x1b")
        self.hub.answer = (200, "application/pkcs7-mime", b"AAAA")
        self.refused(self.enrol(self.hub.token("cam-01")), "enrolment at")

    def test_a_certificate_that_is_not_ours_is_not_kept(self):
        self.assertEqual(self.enrol(self.hub.token("cam-01")).returncode, 0)
        self.dir = self.hub.work / "other"
        self.hub.answer = (200, "application/pkcs7-mime", self.hub.pki.pkcs7("device"))
        self.refused(self.enrol(self.hub.token("cam-01")), "our key")

    def test_a_hub_that_is_not_there_is_told(self):
        port = self.hub.https_port
        try:
            self.hub.https_port = free_ports(1)[0]
            self.refused(self.enrol(self.hub.token("cam-01")), "first contact with https://localhost")
        finally:
            self.hub.https_port = port
        self.refused(self.enrol(self.hub.token("cam-01", host="nowhere.invalid")), "nowhere.invalid")

    def test_usage_errors_have_their_own_exit_code(self):
        for argv in ([], ["dance"], ["enrol"], ["enrol", "--dir", self.dir], ["run"], ["run", "--dir", self.dir, "--sensor", "x"],
                     ["run", "--dir", self.dir, "--count", "0"], ["enrol", "--dir", "x", "--token", "t", "--key", "gold"],
                     ["run", "--dir", self.dir, "--interval", "1"], ["run", "--dir", self.dir, "surplus"]):
            self.assertEqual(agent(*argv).returncode, 2, argv)
        self.assertIn("enrol", agent("--help", check=True).stdout)
        self.assertIn("fairlead-agent", agent("--version", check=True).stdout)


class RunTest(unittest.TestCase):
    def setUp(self):
        self.hub = FakeHub()
        self.dir = self.hub.work / "dev"
        agent("enrol", "--token", self.hub.token("cam-01"), "--dir", self.dir, check=True)

    def tearDown(self):
        self.hub.__exit__()

    def start(self, *sensors, **kwargs):
        argv = [AGENT, "run", "--dir", self.dir] + [a for s in sensors for a in ("--sensor", s)]
        log = open(self.hub.work / "agent.log", "ab")
        process = subprocess.Popen(argv, stderr=log, stdin=subprocess.PIPE, text=True, **kwargs)
        log.close()
        self.addCleanup(process.stdin.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def log(self):
        text = (self.hub.work / "agent.log").read_text()
        for mark in ("AddressSanitizer", "runtime error:"):
            self.assertNotIn(mark, text)
        return text

    def test_this_machine_is_measured(self):
        done = agent("run", "--dir", self.dir, "--sensor", "host", "--once")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(self.hub.values("load1")), 1)
        self.assertEqual(len(self.hub.values("memory_used_percent")), 1)

    def test_a_csv_file_is_replayed_and_the_program_ends(self):
        csv = self.hub.work / "temperature.csv"
        csv.write_text("timestamp,value\n" + "".join(f"2026-01-01 00:{i // 60:02}:{i % 60:02},{i / 10}\n" for i in range(300)))
        done = agent("run", "--dir", self.dir, "--sensor", f"file:{csv},speed=600")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.hub.values("temperature"), [i / 10 for i in range(300)])
        times = [t for _, t, _ in self.hub.stored]
        self.assertEqual(times, sorted(set(times)))
        self.assertLess(abs(times[-1] - time.time() * 1000), 60000)
        self.assertLess(abs(times[-1] - times[0] - 299000 / 600), 200)  # its own timing, 600 times as fast

    def test_count_ends_the_run(self):
        csv = self.hub.work / "x.csv"
        csv.write_text("t,a,b\n" + "".join(f"{1763800000 + i},{i},{-i}\n" for i in range(1000)))
        done = agent("run", "--dir", self.dir, "--sensor", f"file:{csv},speed=max,original-time", "--count", "25")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(self.hub.stored), 25)

    def test_a_bad_line_is_told_and_the_others_are_sent(self):
        done = agent("run", "--dir", self.dir, "--sensor", "stdin", input="temperature 1\nnonsense\n{\"temperature\": 2}\n" + "x" * 9000 + "\ntemperature 3")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.hub.values("temperature"), [1, 2, 3])
        self.assertIn("stdin:2:", done.stderr)
        self.assertIn("2 of 5 lines", done.stderr)

    def test_a_thousand_readings_are_there_once_though_the_agent_is_killed(self):
        first = [f"temperature {i}\n" for i in range(500)]
        self.hub.stop_mqtt()
        process = self.start("stdin")
        process.stdin.write("".join(first))
        process.stdin.close()
        wait_for(lambda: "500 readings are waiting" in self.log(), say="the outbox")
        process.kill()
        process.wait()
        self.hub.start_mqtt()
        process = self.start("stdin")
        for i in range(500, 1000):
            process.stdin.write(f"temperature {i}\n")
        process.stdin.close()
        self.assertEqual(process.wait(60), 0, self.log())
        self.assertEqual(self.hub.values("temperature"), list(range(1000)))

    def test_kills_during_sending_lose_and_double_nothing(self):
        csv = self.hub.work / "replay.csv"
        csv.write_text("t,temperature\n" + "".join(f"{1763800000 + i},{i}\n" for i in range(1000)))
        for pause in (0.05, 0.1, 0.2, 0.3, 0.5):
            process = self.start(f"file:{csv},speed=2000,original-time")
            wait_for(lambda: self.hub.open, say="a connection")
            time.sleep(pause)
            process.kill()
            process.wait()
        process = self.start(f"file:{csv},speed=max,original-time")
        self.assertEqual(process.wait(60), 0, self.log())
        self.assertEqual(sorted(self.hub.values("temperature")), list(range(1000)))

    def test_a_hub_that_comes_back_gets_what_was_measured_meanwhile(self):
        process = self.start("stdin")
        process.stdin.write("temperature 1\n")
        process.stdin.flush()
        wait_for(lambda: self.hub.values("temperature") == [1], say="the first reading")
        self.hub.stop_mqtt()
        process.stdin.write("temperature 2\n")
        process.stdin.flush()
        wait_for(lambda: "next attempt" in self.log(), say="a failed attempt")
        self.hub.start_mqtt()
        process.stdin.write("temperature 3\n")
        process.stdin.close()
        self.assertEqual(process.wait(60), 0, self.log())
        self.assertEqual(self.hub.values("temperature"), [1, 2, 3])

    def test_a_cut_connection_is_resumed(self):
        process = self.start("stdin")
        for value in (1, 2):
            process.stdin.write(f"temperature {value}\n")
            process.stdin.flush()
            wait_for(lambda: len(self.hub.stored) == value, say="a reading")
            self.hub.cut()
        process.stdin.close()
        wait_for(lambda: len(self.hub.resumed) > 1 or process.poll() is not None, say="the second connection")
        self.assertEqual(self.hub.resumed[:2], [False, True], self.log())

    def test_a_refused_reading_blocks_no_other(self):
        self.hub.reason = 0x87
        process = self.start("stdin")
        process.stdin.write("forbidden 1\n")
        process.stdin.flush()
        wait_for(lambda: "'forbidden' is dropped: not authorized" in self.log(), say="words")
        self.hub.reason = 0
        process.stdin.write("temperature 2\n")
        process.stdin.close()
        self.assertEqual(process.wait(60), 0, self.log())
        self.assertEqual(self.hub.values("temperature"), [2])
        self.assertEqual(self.hub.values("forbidden"), [])

    def test_another_hub_at_the_same_address_is_not_believed(self):
        with FakeHub() as other:
            conf = (self.dir / "agent.conf").read_text()
            (self.dir / "agent.conf").write_text(conf.replace(str(self.hub.mqtt_port), str(other.mqtt_port)))
            process = self.start("stdin")
            process.stdin.write("temperature 1\n")
            process.stdin.flush()
            wait_for(lambda: "the hub's certificate:" in self.log(), say="words")
            self.assertEqual(other.stored, {})

    def test_a_signal_ends_it_in_order(self):
        process = self.start("host:200ms")
        wait_for(lambda: len(self.hub.values("load1")) >= 3, say="readings")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(20), 0, self.log())
        self.assertIn("told to end", self.log())

    def test_two_agents_do_not_share_a_folder(self):
        self.start("stdin")
        wait_for(lambda: "sensors" in self.log(), say="the first")
        done = agent("run", "--dir", self.dir, "--sensor", "host", "--once")
        self.assertEqual(done.returncode, 1)
        self.assertIn("another fairlead-agent", done.stderr)

    def test_a_folder_that_is_not_enrolled_is_told_so(self):
        empty = self.hub.work / "empty"
        empty.mkdir()
        done = agent("run", "--dir", empty, "--sensor", "host", "--once")
        self.assertEqual(done.returncode, 1)
        self.assertIn("not enrolled", done.stderr)
        done = agent("run", "--dir", self.hub.work / "nowhere", "--sensor", "host", "--once")
        self.assertEqual(done.returncode, 1)
        self.assertIn("nowhere", done.stderr)


@unittest.skipUnless(shutil.which("swtpm"), "swtpm is not installed (tools/setup installs it)")
class TpmTest(unittest.TestCase):
    def test_a_device_with_its_key_in_a_tpm_enrols_and_sends(self):
        with Swtpm() as tpm, FakeHub() as hub:
            folder = hub.work / "dev"
            done = agent("enrol", "--token", hub.token("meter-01"), "--dir", folder, "--key", f"tpm:{tpm.tcti}", "--json")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(json.loads(done.stdout)["key"], "tpm")
            self.assertIn("TSS2 PRIVATE KEY", (folder / "key.pem").read_text())
            for value in (1, 2):
                done = agent("run", "--dir", folder, "--sensor", "stdin", input=f"power {value}\n")
                self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(hub.values("power"), [1, 2])

    def test_a_tpm_that_is_not_there_is_told(self):
        with FakeHub(mqtt=False) as hub:
            done = agent("enrol", "--token", hub.token("meter-01"), "--dir", hub.work / "dev", "--key",
                         "tpm:swtpm:host=127.0.0.1,port=1")
            self.assertEqual(done.returncode, 1)
            self.assertIn("cannot be opened", done.stderr)
            self.assertEqual(hub.posts, [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
