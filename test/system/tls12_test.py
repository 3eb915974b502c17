# SPDX-License-Identifier: Apache-2.0
"""TLS 1.2: not there until a profile asks for it, then for the devices of that profile only, and gone again with it."""
import json
import ssl
import subprocess
import unittest

from harness import Credential, Hub, Mqtt, Refused, WsMqtt, camera_profile, run, wait_for



class Tls12(unittest.TestCase):
    def setUp(self):
        self.hub = Hub()
        self.hub.start()
        self.addCleanup(self.hub.__exit__)

    def add_profile(self, version, statement):
        lines = camera_profile("legacy").splitlines()
        lines = [f"    version {version}" if line.split()[:1] == ["version"] else line for line in lines]
        lines.insert(next(i for i, line in enumerate(lines) if "version" in line) + 1, statement)
        self.hub.add_profile("\n".join(lines) + "\n")

    def context(self, credential, version=ssl.TLSVersion.TLSv1_2):
        context = credential.context()
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.maximum_version = version
        return context

    def offers(self, port, version):
        done = subprocess.run(["openssl", "s_client", "-connect", f"localhost:{port}", version, "-CAfile", str(self.hub.dir / "ca.pem")],
                              input="", capture_output=True, text=True, timeout=60, check=False)
        text = (done.stdout + done.stderr).lower()
        self.assertTrue("protocol version" in text or "new, tlsv1.2" in text, text)
        return "protocol version" not in text

    def curl(self, *argv):
        done = run("curl", "-sS", "--tls-max", "1.2", "--cacert", self.hub.dir / "ca.pem", "-w", "\n%{http_code}", *argv)
        body, _, status = done.stdout.rpartition("\n")
        return int(status), body

    def refusals(self):
        return json.dumps([r for r in self.hub.json("audit", "show") if r["what"] == "session.refused"])

    def test_it_is_there_for_whom_it_was_asked(self):
        hub = self.hub
        camera = hub.enrol("cam-01")
        for port in (hub.mqtt_port, hub.https_port):
            self.assertFalse(self.offers(port, "-tls1_2"))
        self.add_profile(1, "    tls 1.2")
        self.assertEqual([p["tls"] for p in hub.json("profile", "list") if p["name"] in ("camera", "legacy")], ["1.3", "1.2"])
        wait_for(lambda: self.offers(hub.https_port, "-tls1_2"), say="TLS 1.2 at the HTTPS port")
        base = f"https://localhost:{hub.https_port}"

        # Enrolment: what is public is public, the rest is for those devices.
        self.assertEqual(self.curl(f"{base}/.well-known/est/cacerts")[0], 200)
        status, body = self.curl(f"{base}/api/v1/health")
        self.assertEqual(status, 403)
        self.assertIn("tls 1.2", json.loads(body)["detail"])
        for device, profile, expected in (("cam-02", "camera", 403), ("old-01", "legacy", 200)):
            token = hub.add(device, profile)["token"]
            legacy = Credential(hub, device)
            status, body = self.curl("-u", f"{device}:{token}", "--data-binary", f"@{legacy.csr}", "-H", "Content-Type: application/pkcs10",
                                     f"{base}/.well-known/est/simpleenroll")
            self.assertEqual(status, expected, body)
        legacy.accept(body)
        self.assertEqual(self.curl("--data-binary", f"@{legacy.csr}", f"{base}/.well-known/est/simplereenroll")[0], 401)

        # MQTT, both ways; resumed too.
        for client_class in (Mqtt, WsMqtt):
            context = self.context(legacy)
            first = client_class(legacy, context=context)
            self.assertEqual(first.tls.version(), "TLSv1.2")
            self.assertEqual(first.publish("d/old-01/t/temperature", 20), 0)
            session = first.tls.session
            first.close()
            again = client_class(legacy, context=context, session=session)
            self.assertTrue(again.tls.session_reused)
            self.assertEqual(again.publish("d/old-01/t/temperature", 21), 0)
            again.close()
            with self.assertRaisesRegex(Refused, "(?i)handshake.failure"):
                client_class(camera, context=self.context(camera))
        wait_for(lambda: "its profile does not allow TLS 1.2" in self.refusals(), say="the refusal in the audit log")
        newest = Mqtt(legacy, context=self.context(legacy, ssl.TLSVersion.TLSv1_3))
        self.assertEqual(newest.tls.version(), "TLSv1.3")

        # Cut off like any other.
        cut = Mqtt(legacy, context=context, client_id="live")
        self.assertGreaterEqual(hub.json("device", "quarantine", "old-01", "--for", "1h", "--reason", "test")["sessions_closed"], 2)
        cut.wait_closed()
        cut.close()
        for offered in (None, session):
            with self.assertRaisesRegex(Refused, "(?i)revoked"):
                Mqtt(legacy, context=context, session=offered)
        hub.fairlead("device", "release", "old-01")

        # With the profile's wish it goes.
        live = [Mqtt(legacy, context=context, client_id="live"), WsMqtt(legacy, context=context, client_id="live-ws")]
        stays = Mqtt(legacy, context=self.context(legacy, ssl.TLSVersion.TLSv1_3), client_id="stays")
        self.add_profile(2, "    tls 1.3")
        for one in live:
            one.wait_closed(20)
            with self.assertRaises(Refused):
                type(one)(legacy, context=context, session=one.tls.session)
        for port in (hub.mqtt_port, hub.https_port):
            self.assertFalse(self.offers(port, "-tls1_2"))
        self.assertEqual(stays.publish("d/old-01/t/temperature", 22), 0)
        for one in (*live, stays, newest):
            one.close()

    def test_it_is_offered_by_a_front_that_starts_anew(self):
        self.add_profile(1, "    tls 1.2")
        legacy = self.hub.enrol("old-02", "legacy")
        self.hub.stop()
        self.hub.start()
        client = Mqtt(legacy, context=self.context(legacy))
        self.assertEqual(client.tls.version(), "TLSv1.2")
        client.close()


if __name__ == "__main__":
    unittest.main()
