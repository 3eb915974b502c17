# SPDX-License-Identifier: Apache-2.0
"""Evidence over real sockets: what it opens and what its end closes, for live sessions too; of a third-party device
(openssl and curl), of the agent, and of the agent with a TPM (swtpm)."""
import base64
import json
import shutil
import signal
import socket
import struct
import subprocess
import time
import unittest

from agent_test import AGENT, Swtpm, agent
from harness import HubTest, Mqtt, camera_profile, run, wait_for

NOT_AUTHORIZED = 0x87
REPORTED = """publish d/{device}/video/# when reported
    subscribe d/{device}/c/#
    subscribe d/{device}/live/# when reported
    require   reported within 10s"""
ATTESTED = """publish d/{device}/video/# when attested
    subscribe d/{device}/c/#
    require   attested within 1h"""


class Witness:
    """A device that gives evidence with openssl and curl alone."""

    def __init__(self, credential):
        self.c = credential

    def post(self, path, body=None):
        answer = self.c.folder / "evidence"
        data = ["--json", json.dumps(body)] if body is not None else ["-X", "POST"]
        done = run("curl", "-sS", "-o", answer, "-w", "%{http_code}", "--cacert", self.c.hub.dir / "ca.pem", "--cert", self.c.cert,
                   "--key", self.c.key, *data, f"https://localhost:{self.c.hub.https_port}/.well-known/fairlead/evidence{path}")
        return int(done.stdout), json.loads(answer.read_text())

    def certificate(self):
        der = self.c.folder / "cert.der"
        run("openssl", "x509", "-in", self.c.cert, "-outform", "DER", "-out", der)
        return base64.b64encode(der.read_bytes()).decode()

    def nonce(self):
        status, answer = self.post("/nonce")
        assert status == 200, answer
        return answer["nonce"]

    def sign(self, nonce, claims, device=None):
        text = self.c.folder / "statement"
        text.write_text(f"fairlead-evidence 1\ndevice {device or self.c.id}\nnonce {nonce}\n" +
                        "".join(f"{name} {claims[name]}\n" for name in ("agent", "os", "kernel", "binary", "boot")) +
                        f"uptime {claims['uptime_s']}\n")
        der = self.c.folder / "signature"
        run("openssl", "dgst", "-sha256", "-sign", self.c.key, "-out", der, text)
        lines = run("openssl", "asn1parse", "-inform", "DER", "-in", der).stdout.splitlines()
        raw = b"".join(bytes.fromhex(line.rsplit(":", 1)[1]).rjust(32, b"\0") for line in lines if "INTEGER" in line)
        return base64.b64encode(raw).decode()

    def body(self, nonce=None, device=None, **claims):
        claims = {"agent": "third-party 1", "os": "Linux", "kernel": "Linux 6", "binary": "ab" * 32, "boot": "b-1", "uptime_s": 7} | claims
        nonce = nonce or self.nonce()
        return {"nonce": nonce, "claims": claims, "certificate": self.certificate(), "signature": self.sign(nonce, claims, device)}

    def give(self, **more):
        return self.post("", self.body(**more))


class SoftwareTest(HubTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.hub.add_profile(camera_profile("reporter", REPORTED))

    def audit(self, device):
        return [r for r in self.hub.json("audit", "show") if r["object"] == device]

    def test_evidence_opens_rights_of_a_live_session_and_its_end_closes_them(self):
        device = self.hub.enrol("live", "reporter")
        witness = Witness(device)
        mqtt = Mqtt(device)
        self.addCleanup(mqtt.close)
        self.assertEqual(mqtt.publish("d/live/t/temperature", 20), 0)
        self.assertEqual(mqtt.publish("d/live/video/1", "x"), NOT_AUTHORIZED)
        self.assertEqual(mqtt.subscribe("d/live/live/#"), NOT_AUTHORIZED)
        shown = self.hub.device("live")
        self.assertEqual((shown["posture"], shown["evidence"]["state"]), ("narrowed", "none"))
        self.assertIn("reported evidence within 10s: it has given none", shown["posture_reason"])

        status, answer = witness.give()
        given = time.monotonic()
        self.assertEqual((status, answer["grade"]), (200, "reported"))
        self.assertIn("self-reported", answer["words"])
        self.assertEqual(mqtt.publish("d/live/video/1", "x"), 0)
        self.assertEqual(mqtt.subscribe("d/live/live/#"), 1)
        shown = self.hub.device("live")
        self.assertEqual((shown["posture"], shown["evidence"]["grade"]), ("ok", "reported"))

        wait_for(lambda: time.monotonic() - given > 9, say="nine seconds")
        self.assertEqual(mqtt.publish("d/live/video/1", "x"), 0)
        wait_for(lambda: mqtt.publish("d/live/video/1", "x") == NOT_AUTHORIZED, timeout_s=10, every_s=0.02, say="the end")
        late = time.monotonic() - given - 10
        print(f"the end of evidence reached a live session {late:.2f} s late")
        self.assertLess(late, 1)
        self.assertEqual(mqtt.publish("d/live/t/temperature", 21), 0)
        shown = self.hub.device("live")
        self.assertEqual((shown["posture"], shown["evidence"]["state"]), ("narrowed", "stale"))
        kinds = [r["what"] for r in self.audit("live")]
        self.assertIn("evidence.accept", kinds)
        self.assertIn("evidence.expired", kinds)
        words = self.hub.fairlead("device", "show", "live").stdout
        self.assertRegex(words, r"posture +narrowed: its profile asks for reported evidence within 10s: the last is of")

    def test_what_is_delivered_ends_with_the_evidence_too(self):
        device = self.hub.enrol("hears", "reporter")
        self.hub.add_profile(camera_profile("director", "publish d/hears/live/#\n    subscribe d/{device}/c/#"))
        director = Mqtt(self.hub.enrol("director", "director"))
        mqtt = Mqtt(device)
        self.addCleanup(director.close)
        self.addCleanup(mqtt.close)
        self.assertEqual(Witness(device).give()[0], 200)
        self.assertEqual(mqtt.subscribe("d/hears/live/#"), 1)
        director.publish("d/hears/live/a", "1")
        mqtt.step()
        self.assertEqual(mqtt.messages, [("d/hears/live/a", b"1")])
        wait_for(lambda: self.hub.device("hears")["posture"] == "narrowed", timeout_s=15, say="the end")
        director.publish("d/hears/live/b", "2")
        self.assertEqual(mqtt.publish("d/hears/t/temperature", 1), 0)  # after it in the same stream
        self.assertEqual(len(mqtt.messages), 1)

    def test_evidence_cannot_be_sent_twice_or_for_another(self):
        one, two = Witness(self.hub.enrol("one", "reporter")), Witness(self.hub.enrol("two", "reporter"))
        body = one.body()
        self.assertEqual(one.post("", body)[0], 200)
        status, answer = one.post("", body)
        self.assertEqual(status, 403)
        self.assertIn("cannot be sent twice", answer["detail"])
        nonce = one.nonce()
        status, answer = two.give(nonce=nonce)
        self.assertEqual(status, 403)
        self.assertIn("not the one that this device was given last", answer["detail"])
        status, answer = two.give(device="one")
        self.assertEqual(status, 403)
        self.assertIn("signature", answer["detail"])
        changed = one.body()
        changed["claims"]["os"] = "another"
        self.assertEqual(one.post("", changed)[0], 403)
        reasons = [r["detail"]["reason"] for r in self.audit("one") if r["what"] == "evidence.refused"]
        self.assertTrue(any("cannot be sent twice" in r for r in reasons), reasons)
        self.assertTrue(any("signature" in r for r in reasons), reasons)

    def test_malformed_evidence_is_refused_with_words(self):
        witness = Witness(self.hub.enrol("odd", "reporter"))
        for change, words in (({"nonce": "zz"}, "'nonce'"), ({"claims": []}, "'claims'"), ({"signature": "!"}, "'signature'"), ({"certificate": ""}, "'certificate' is missing"),
                              ({"more": 1}, "no member 'more'"), ({"tpm": {"quote": "AA=="}}, "'signature' is missing")):
            status, answer = witness.post("", witness.body() | change)
            self.assertEqual(status, 400, answer)
            self.assertIn(words, answer["detail"])
        body = witness.body()
        body["claims"]["os"] = "two\nlines"
        status, answer = witness.post("", body)
        self.assertEqual(status, 400)
        self.assertIn("one line", answer["detail"])
        body = witness.body() | {"tpm": {"quote": "AA==", "signature": "AA==", "pcrs": {}}}
        status, answer = witness.post("", body)
        self.assertEqual(status, 409)
        self.assertIn("must prove itself first", answer["detail"])
        done = run("curl", "-sS", "--cacert", self.hub.dir / "ca.pem", "-X", "POST",
                   f"https://localhost:{self.hub.https_port}/.well-known/fairlead/evidence/nonce")
        self.assertEqual(json.loads(done.stdout)["status"], 401)

    def test_a_resumed_connection_is_as_good(self):
        credential = self.hub.enrol("resumes", "reporter")
        witness, context = Witness(credential), credential.context()

        def post(path, body, session=None):
            with context.wrap_socket(socket.create_connection(("127.0.0.1", self.hub.https_port), timeout=20),
                                     server_hostname="localhost", session=session) as tls:
                data = json.dumps(body).encode() if body else b""
                tls.sendall(f"POST /.well-known/fairlead/evidence{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                            f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data)
                answer = b""
                while chunk := tls.recv(65536):
                    answer += chunk
                return tls.session, tls.session_reused, answer.decode()

        session, reused, _ = post("/nonce", None)
        self.assertFalse(reused)
        _, reused, answer = post("", witness.body(), session)
        self.assertTrue(reused)
        self.assertIn('"grade":"reported"', answer)

    def test_a_flood_of_nonces_is_told_to_wait(self):
        credential = self.hub.enrol("flood", "reporter")
        url = f"https://localhost:{self.hub.https_port}/.well-known/fairlead/evidence/nonce"
        done = run("curl", "-sS", "-o", "/dev/null", "-D", "-", "--cacert", self.hub.dir / "ca.pem", "--cert", credential.cert, "--key",
                   credential.key, "-X", "POST", f"{url}?[1-40]")
        self.assertEqual(done.stdout.count("HTTP/1.1 200"), 30, done.stdout)
        self.assertEqual(done.stdout.count("HTTP/1.1 429"), 10)
        self.assertIn("Retry-After: ", done.stdout)

    def test_a_profile_that_asks_for_less_opens_at_once(self):
        text = camera_profile("changing", REPORTED.replace("10s", "5s"))
        self.hub.add_profile(text)
        device = self.hub.enrol("changing", "changing")
        self.assertEqual(Witness(device).give()[0], 200)
        wait_for(lambda: self.hub.device("changing")["posture"] == "narrowed", say="the end")
        mqtt = Mqtt(device)
        self.addCleanup(mqtt.close)
        self.assertEqual(mqtt.publish("d/changing/video/1", "x"), NOT_AUTHORIZED)
        self.hub.add_profile(text.replace("version  1", "version  2").replace("within 5s", "within 1h"))
        wait_for(lambda: mqtt.publish("d/changing/video/1", "x") == 0, timeout_s=5, say="the longer time")
        self.assertEqual(self.hub.device("changing")["posture"], "ok")

    def test_the_agent_gives_evidence_again_when_its_certificate_is_renewed(self):
        self.hub.add_profile(camera_profile("patient", REPORTED.replace("10s", "24h")))
        folder = self.hub.work / "renewed"
        agent("enrol", "--token", self.hub.add("renewed", "patient")["token"], "--dir", folder, check=True)
        process = subprocess.Popen([AGENT, "run", "--dir", folder, "--sensor", "stdin"], stderr=subprocess.DEVNULL, stdin=subprocess.PIPE,
                                   text=True)
        self.addCleanup(process.stdin.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        first = wait_for(lambda: self.hub.device("renewed")["evidence"]["at"], say="evidence")
        agent("renew", "--dir", folder, check=True)
        wait_for(lambda: self.hub.device("renewed")["evidence"]["at"] != first, say="evidence by the new key")
        self.assertEqual(self.hub.device("renewed")["posture"], "ok")

    def test_the_agent_gives_evidence_again_before_it_ends(self):
        folder = self.hub.work / "agent"
        agent("enrol", "--token", self.hub.add("agent", "reporter")["token"], "--dir", folder, check=True)
        process = subprocess.Popen([AGENT, "run", "--dir", folder, "--sensor", "stdin"], stderr=subprocess.DEVNULL, stdin=subprocess.PIPE,
                                   text=True)
        self.addCleanup(process.stdin.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        first = wait_for(lambda: self.hub.device("agent")["evidence"]["at"], say="evidence")
        wait_for(lambda: self.hub.device("agent")["evidence"]["at"] != first, say="the next")
        evidence = self.hub.json("device", "evidence", "agent")
        self.assertEqual((evidence["state"], evidence["grade"]), ("fresh", "reported"))
        self.assertIn("fairlead-agent", evidence["agent"])
        self.assertEqual(evidence["binary"], run("sha256sum", AGENT).stdout.split()[0])
        self.assertTrue(evidence["kernel"].startswith("Linux "))


@unittest.skipUnless(shutil.which("swtpm"), "swtpm is not installed (tools/setup installs it)")
class TpmTest(HubTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.hub.add_profile(camera_profile("attester", ATTESTED))

    def enrol(self, device, tpm, *more):
        folder = self.hub.work / device
        agent("enrol", "--token", self.hub.add(device, "attester", *more)["token"], "--dir", folder, "--key", f"tpm:{tpm.tcti}", check=True)
        return folder

    def give(self, folder, *more, check=True):
        done = agent("evidence", "--dir", folder, "--json", *more)
        if not check:
            return done
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    @staticmethod
    def extend(tpm, pcr):
        """TPM2_PCR_Extend, by hand."""
        port = int(tpm.tcti.rsplit("=", 1)[1])
        with socket.create_connection(("127.0.0.1", port)) as s:
            auth = struct.pack(">IHBH", 0x40000009, 0, 0, 0)
            body = struct.pack(">I", pcr) + struct.pack(">I", len(auth)) + auth + struct.pack(">IH", 1, 0x000B) + b"\x11" * 32
            s.sendall(struct.pack(">HII", 0x8002, 10 + len(body), 0x182) + body)
            answer = s.recv(4096)
        if struct.unpack(">I", answer[6:10])[0] != 0:
            raise AssertionError(answer.hex())

    def test_a_tpm_proves_itself_and_only_an_accepted_boot_is_attested(self):
        with Swtpm() as tpm:
            folder = self.enrol("boot", tpm)
            verdict = self.give(folder)
            self.assertEqual(verdict["grade"], "reported")
            self.assertIn("no boot state is accepted yet", verdict["words"])
            shown = self.hub.json("device", "evidence", "boot")
            self.assertEqual(shown["tpm"]["why"], "believed on first use")
            self.assertEqual(sorted(int(i) for i in shown["pcrs"]), list(range(8)))
            self.assertEqual(self.hub.device("boot")["posture"], "narrowed")

            self.hub.fairlead("device", "reference", "boot", "accept", "--reason", "as delivered")
            self.assertEqual(self.hub.device("boot")["posture"], "ok")
            self.assertEqual(self.give(folder)["grade"], "attested")

            self.extend(tpm, 4)
            verdict = self.give(folder)
            self.assertEqual(verdict["grade"], "none")
            self.assertIn("PCR 4 differs", verdict["words"])
            shown = self.hub.device("boot")
            self.assertEqual((shown["posture"], shown["evidence"]["state"]), ("narrowed", "refuted"))
            self.assertIn("PCR 4 differs", shown["posture_reason"])

            self.hub.fairlead("device", "reference", "boot", "accept", "--for-profile")
            self.assertEqual(self.hub.device("boot")["posture"], "narrowed", "its own references come first")
            self.hub.fairlead("device", "reference", "boot", "forget")
            self.assertEqual(self.hub.device("boot")["posture"], "ok")
            kinds = [r["what"] for r in self.hub.json("audit", "show") if r["object"] in ("boot", "attester")]
            for kind in ("tpm.endorse", "evidence.accept", "evidence.refuted", "reference.accept", "reference.forget"):
                self.assertIn(kind, kinds)
            self.assertIn("believed on first use", self.hub.fairlead("device", "evidence", "boot").stdout)

    def test_the_log_of_the_boot_must_lead_to_what_the_tpm_quotes(self):
        def event(pcr, digest):
            return struct.pack("<IIIHH", pcr, 8, 1, 0x000B, 0)[:-2] + bytes([digest]) * 32 + struct.pack("<I", 4) + b"boot"

        start = b"Spec ID Event03\0" + struct.pack("<IIIHHB", 0, 0x02000002, 1, 0x000B, 32, 0)
        start = struct.pack("<II", 0, 3) + bytes(20) + struct.pack("<I", len(start)) + start
        log = self.hub.work / "log"
        with Swtpm() as tpm:
            folder = self.enrol("logged", tpm)
            self.extend(tpm, 4)
            log.write_bytes(start + event(4, 0x11))
            self.give(folder, "--event-log", log)
            self.assertEqual(self.hub.json("device", "evidence", "logged")["log_events"], 1)
            log.write_bytes(start + event(4, 0x12))
            done = self.give(folder, "--event-log", log, check=False)
            self.assertIn("the event log does not lead to what the TPM quotes: PCR 4 is another", done.stderr)
            log.write_bytes(start + event(4, 0x11)[:-3])
            self.assertIn("event 1: it ends too early", self.give(folder, "--event-log", log, check=False).stderr)
            log.write_bytes(start + event(4, 0x11) + event(5, 0x11))
            self.assertIn("PCR 5 is another", self.give(folder, "--event-log", log, check=False).stderr)
            log.write_bytes(b"x" * 600000)
            self.assertIn("has more than", self.give(folder, "--event-log", log, check=False).stderr)

    def test_another_tpm_is_refused_until_an_operator_says_so(self):
        with Swtpm() as tpm, Swtpm() as other:
            folder = self.enrol("swapped", tpm)
            self.give(folder)
            ek = self.hub.json("device", "evidence", "swapped")["tpm"]["ek"]
            # The same TPM for a second device.
            second = self.enrol("second", tpm)
            done = self.give(second, check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn("this TPM is that of device swapped", done.stderr)
            # Another TPM for the first.
            replaced = self.hub.work / "replaced"
            token = self.hub.json("device", "token", "swapped")["token"]
            agent("enrol", "--token", token, "--dir", replaced, "--key", f"tpm:{other.tcti}", check=True)
            done = self.give(replaced, check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn("the quote is not signed by the attestation key", done.stderr)
            self.hub.fairlead("device", "tpm", "swapped", "--forget", "--reason", "board replaced")
            self.give(replaced)
            self.assertNotEqual(self.hub.json("device", "evidence", "swapped")["tpm"]["ek"], ek)

    def test_a_silent_tpm_holds_no_reading_up_and_evidence_comes_back_by_itself(self):
        self.hub.add_profile(camera_profile("hasty", ATTESTED.replace("1h", "6s")))
        with Swtpm() as tpm:
            folder = self.hub.work / "silent"
            agent("enrol", "--token", self.hub.add("silent", "hasty")["token"], "--dir", folder, "--key", f"tpm:{tpm.tcti}", check=True)
            self.give(folder)
            self.hub.fairlead("device", "reference", "silent", "accept")
            process = subprocess.Popen([AGENT, "run", "--dir", folder, "--sensor", "stdin"], stderr=subprocess.DEVNULL, stdin=subprocess.PIPE,
                                       text=True)
            self.addCleanup(process.stdin.close)
            self.addCleanup(process.wait)
            self.addCleanup(process.kill)
            first = self.hub.device("silent")["evidence"]["at"]
            wait_for(lambda: self.hub.device("silent")["evidence"]["at"] != first, say="evidence")
            tpm.process.send_signal(signal.SIGSTOP)
            try:
                wait_for(lambda: self.hub.device("silent")["posture"] == "narrowed", say="the end of evidence")
                for value in range(5):
                    process.stdin.write(f"temperature {value}\n")
                    process.stdin.flush()
                    wait_for(lambda: any(r["value"] == value for r in self.hub.readings("silent")), timeout_s=3, say="a reading")
            finally:
                tpm.process.send_signal(signal.SIGCONT)
            wait_for(lambda: self.hub.device("silent")["posture"] == "ok", timeout_s=60, say="evidence again")

    def test_a_registered_tpm_is_the_only_one(self):
        with Swtpm() as tpm, Swtpm() as other:
            scout = self.enrol("scout", tpm)
            self.give(scout)
            ek = self.hub.json("device", "evidence", "scout")["tpm"]["ek"]
            self.hub.fairlead("device", "tpm", "scout", "--forget")
            right = self.enrol("right", tpm, "--ek-hash", ek)
            self.give(right)
            self.assertEqual(self.hub.json("device", "evidence", "right")["tpm"]["why"], "registered by an operator")
            wrong = self.enrol("wrong", other, "--ek-hash", "ab" * 32)
            done = self.give(wrong, check=False)
            self.assertIn("not the TPM that is registered", done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
