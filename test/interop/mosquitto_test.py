# SPDX-License-Identifier: Apache-2.0
"""mosquitto_pub and mosquitto_sub, 3.1.1 and 5.0, beyond what system.mqtt_test asks of them."""
import contextlib
import signal
import subprocess
import unittest

from harness import VERSIONS, StationTest


class Mosquitto(StationTest):
    @contextlib.contextmanager
    def sub(self, credential, version, name, *argv):
        """A subscriber that has its SUBACK."""
        process = subprocess.Popen(
            ["stdbuf", "-oL", "mosquitto_sub", "-h", "localhost", "-p", str(self.hub.mqtt_port), "--cafile", str(self.hub.dir / "ca.pem"), "--cert",
             str(credential.cert), "--key", str(credential.key), "-V", version, "-i", name, "-d", *[str(a) for a in argv]],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            seen = []
            while not seen or "SUBACK" not in seen[-1]:
                seen.append(process.stdout.readline())
                if not seen[-1]:
                    raise AssertionError(f"no SUBACK: {seen}")
            process.seen = "".join(seen)
            yield process
        finally:
            process.kill()
            process.wait()
            process.stdout.close()

    def lines(self, process):
        """What it printed of messages (each begins with '='), once it has ended by itself."""
        out = process.stdout.read()
        self.assertEqual(process.wait(60), 0, out)
        return [line[1:] for line in out.splitlines() if line.startswith("=")]

    def pub(self, credential, version, name, *argv, check=True):
        return credential.mosquitto("mosquitto_pub", "-i", name, *argv, version=version, check=check)

    def test_a_retained_message_meets_later_subscribers(self):
        for version in VERSIONS:
            device = f"kept-{version}"
            credential = self.hub.enrol(device, "station")
            for payload in ("old", "new"):
                self.pub(credential, version, "writer", "-q", 1, "-r", "-t", f"d/{device}/e/state", "-m", payload)
            with self.sub(credential, version, "reader", "-t", f"d/{device}/e/#", "-q", 1, "-C", 1, "-W", 30, "-F", "=%r %q %p") as sub:
                self.assertEqual(self.lines(sub), ["1 1 new"])
            self.pub(credential, version, "writer", "-q", 1, "-r", "-n", "-t", f"d/{device}/e/state")
            with self.sub(credential, version, "reader", "-t", f"d/{device}/e/#", "-q", 1, "-C", 1, "-W", 30, "-F", "=%r %p") as sub:
                self.pub(credential, version, "writer", "-q", 1, "-t", f"d/{device}/e/state", "-m", "live")
                self.assertEqual(self.lines(sub), ["0 live"])

    def test_a_will_is_said_when_the_client_is_killed(self):
        for version in VERSIONS:
            device = f"will-{version}"
            credential = self.hub.enrol(device, "station")
            with self.sub(credential, version, "reader", "-t", f"d/{device}/e/gone", "-q", 2, "-C", 1, "-W", 30, "-F", "=%q %p") as reader:
                def will(words):
                    return "--will-topic", f"d/{device}/e/gone", "--will-payload", words, "--will-qos", 2
                self.pub(credential, version, "polite", "-q", 1, "-t", f"d/{device}/e/x", "-m", "bye", *will("polite"))
                with self.sub(credential, version, "rude", "-t", f"d/{device}/e/x", *will("rude")) as dying:
                    dying.kill()
                self.assertEqual(self.lines(reader), ["2 rude"])

    def test_a_session_waits_for_its_client(self):
        for version in VERSIONS:
            device = f"away-{version}"
            credential = self.hub.enrol(device, "station")
            stays = ["-c", *(["-x", 600] if version == "mqttv5" else [])]
            with self.sub(credential, version, "reader", *stays, "-t", f"d/{device}/e/#", "-q", 2, "-W", 30) as sub:
                sub.send_signal(signal.SIGKILL)
            for qos in (1, 2):
                self.pub(credential, version, "writer", "-q", qos, "-t", f"d/{device}/e/x", "-m", f"away-{qos}")
            with self.sub(credential, version, "reader", *stays, "-t", f"d/{device}/e/#", "-q", 2, "-C", 2, "-W", 30, "-F", "=%q %p") as sub:
                # What waited may come before the answer to the new SUBSCRIBE.
                early = [line[1:] for line in sub.seen.splitlines() if line.startswith("=")]
                self.assertEqual(sorted(early + self.lines(sub)), ["1 away-1", "2 away-2"])

    def test_members_of_a_share_take_turns(self):
        for version in VERSIONS:
            device = f"share-{version}"
            credential = self.hub.enrol(device, "station")
            share = f"$share/g/d/{device}/e/#"
            with self.sub(credential, version, "one", "-t", share, "-q", 1, "-C", 2, "-W", 30, "-F", "=%p") as one:
                with self.sub(credential, version, "two", "-t", share, "-q", 1, "-C", 2, "-W", 30, "-F", "=%p") as two:
                    for i in range(4):
                        self.pub(credential, version, "writer", "-q", 1, "-t", f"d/{device}/e/x", "-m", i)
                    got = [self.lines(one), self.lines(two)]
            self.assertEqual(sorted(got[0] + got[1]), ["0", "1", "2", "3"])

    def test_large_payloads_arrive_whole(self):
        for version in VERSIONS:
            device = f"large-{version}"
            credential = self.hub.enrol(device, "station")
            payload = "".join(chr(ord("a") + i * 31 % 26) for i in range(200000))
            file = credential.folder / "payload"
            file.write_text(payload)
            with self.sub(credential, version, "reader", "-t", f"d/{device}/e/#", "-q", 2, "-C", 3, "-W", 60, "-F", "=%p") as sub:
                for qos in range(3):
                    self.pub(credential, version, "writer", "-q", qos, "-t", f"d/{device}/e/x", "-f", file)
                self.assertEqual(self.lines(sub), [payload] * 3)

    def test_user_properties_travel(self):
        credential = self.hub.enrol("prop-01", "station")
        with self.sub(credential, "mqttv5", "reader", "-t", "d/prop-01/e/#", "-q", 1, "-C", 1, "-W", 30, "-F", "=%P|%C|%R|%p") as sub:
            self.pub(credential, "mqttv5", "writer", "-q", 1, "-t", "d/prop-01/e/x", "-m", "text", "-D", "PUBLISH", "user-property", "b", "2", "-D",
                     "PUBLISH", "user-property", "a", "1", "-D", "PUBLISH", "content-type", "text/plain", "-D", "PUBLISH", "response-topic", "d/prop-01/e/answer")
            line = self.lines(sub)[0]
        self.assertEqual(line, "b:2 a:1|text/plain|d/prop-01/e/answer|text")

    def test_a_refused_reading_fails(self):
        credential = self.hub.enrol("refused-01", "station")
        done = self.pub(credential, "mqttv5", "writer", "-q", 1, "-t", "d/refused-01/t/temperature", "-m", "999", check=False)
        self.assertIn("Payload format invalid", done.stdout + done.stderr)
        self.assertEqual(self.values("refused-01"), [])


if __name__ == "__main__":
    unittest.main()
