# SPDX-License-Identifier: Apache-2.0
"""The promise, from the outside: enrol with curl and openssl, publish with mosquitto, be refused the rest."""
import json
import subprocess
import time
import unittest

from harness import Hub, HubTest, Credential, Mqtt, Refused, run, wait_for


class FirstLight(HubTest):
    def test_names_that_outsiders_script_against(self):
        added = self.hub.add("names-01")
        for member in ("id", "token", "expires", "enrol"):
            self.assertIn(member, added)
        self.assertEqual(added["enrol"], f"https://localhost:{self.hub.https_port}/.well-known/est")
        device = [d for d in self.hub.json("device", "list") if d["id"] == "names-01"][0]
        for member in ("id", "profile", "state", "posture", "connected", "credential"):
            self.assertIn(member, device)
        self.assertEqual((device["state"], device["profile"], device["connected"], device["credential"]),
                         ("expected", "camera", False, None))

    def test_curl_and_openssl_alone_enrol_and_the_chain_verifies(self):
        credential = self.hub.enrol("curl-01")
        issuing = self.hub.work / "issuing.pem"
        issuing.write_bytes((self.hub.dir / "keys" / "issuing.pem").read_bytes())
        run("openssl", "verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", self.hub.dir / "ca.pem", "-untrusted",
            issuing, credential.cert)
        self.assertEqual(self.hub.device("curl-01")["state"], "active")

    def test_cacerts_and_csrattrs_answer_as_est_says(self):
        base = f"https://localhost:{self.hub.https_port}/.well-known/est"
        head = run("curl", "-sS", "-D", "-", "-o", self.hub.work / "cacerts", "--cacert", self.hub.dir / "ca.pem", f"{base}/cacerts").stdout
        self.assertIn("200", head.splitlines()[0])
        self.assertIn("application/pkcs7-mime", head)
        attributes = run("curl", "-sS", "-w", " %{http_code}", "--cacert", self.hub.dir / "ca.pem", f"{base}/csrattrs").stdout
        self.assertTrue(attributes.endswith(" 200") or attributes.endswith(" 204"), attributes)

    def test_mosquitto_publishes_and_subscribes_what_the_profile_allows(self):
        for version in ("mqttv311", "mqttv5"):
            name = f"mosq-{version}"
            credential = self.hub.enrol(name)
            sub = subprocess.Popen(["mosquitto_sub", "-h", "localhost", "-p", str(self.hub.mqtt_port), "--cafile", str(self.hub.dir / "ca.pem"),
                                    "--cert", str(credential.cert), "--key", str(credential.key), "-i", name, "-V", version, "-t",
                                    f"d/{name}/c/#", "-W", "3", "-d"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            out = sub.communicate(timeout=30)[0]
            self.assertIn("SUBACK", out)
            self.assertNotIn("128", out.split("SUBACK")[1].split("\n")[1] if "\n" in out.split("SUBACK")[1] else "")
            credential.mosquitto("mosquitto_pub", "-q", "1", "-t", f"d/{name}/t/temperature", "-m", "21.5", version=version)
            readings = self.hub.readings(name)
            self.assertEqual([(r["stream"], r["value"]) for r in readings], [("temperature", 21.5)])
            self.assertIn("T", readings[0]["t"])

    def test_what_the_profile_does_not_allow_is_refused(self):
        credential = self.hub.enrol("deny-01")
        self.hub.enrol("deny-02")
        client = Mqtt(credential)
        self.assertEqual(client.publish("d/deny-02/t/temperature", "20"), 0x87)
        self.assertEqual(client.publish("other/topic", "20"), 0x87)
        self.assertEqual(client.subscribe("#"), 0x87)
        self.assertEqual(client.subscribe("d/+/c/#"), 0x87)
        self.assertLess(client.subscribe("d/deny-01/c/#"), 3)
        self.assertEqual(client.publish("d/deny-01/t/temperature", "20"), 0)
        client.close()
        old = Mqtt(credential, version=4)
        self.assertEqual(old.subscribe("#"), 0x80)
        old.close()
        self.assertEqual(self.hub.readings("deny-02"), [])
        wait_for(lambda: "deny-02/t/temperature" in self.hub.fairlead("audit", "show", "--json").stdout, say="an audit line")

    def test_readings_are_checked_against_the_profile(self):
        client = Mqtt(self.hub.enrol("read-01"))
        self.assertEqual(client.publish("d/read-01/t/temperature", "-40"), 0)
        self.assertEqual(client.publish("d/read-01/t/temperature", '{"t":1764000000123,"v":1.25}'), 0)
        for bad in ("86", "-40.5", "warm", "", "NaN", "1e999", '{"v":{}}', '{"t":1,"v":2,"x":3}', "[1]", "\xff", "21.5 22"):
            self.assertNotEqual(client.publish("d/read-01/t/temperature", bad), 0, bad)
        self.assertNotEqual(client.publish("d/read-01/t/nosuchstream", "1"), 0)
        client.close()
        self.assertEqual(sorted(r["value"] for r in self.hub.readings("read-01")), [-40, 1.25])
        timed = [r for r in self.hub.readings("read-01") if r["value"] == 1.25][0]
        self.assertEqual(timed["t"], "2025-11-24T16:00:00.123Z")

    def test_audit_proves_itself(self):
        self.hub.add("audit-01")
        self.assertTrue(self.hub.json("audit", "verify")["valid"])

    def test_openapi_is_served_to_anyone(self):
        text = run("curl", "-sS", "--cacert", self.hub.dir / "ca.pem", f"https://localhost:{self.hub.https_port}/api/openapi.json").stdout
        self.assertTrue(json.loads(text)["openapi"].startswith("3."))

    def test_the_api_wants_a_credential_from_elsewhere(self):
        url = f"https://localhost:{self.hub.https_port}/api/v1/devices"
        for header in ([], ["-H", "Authorization: Bearer nonsense"]):
            done = run("curl", "-sS", "-o", self.hub.work / "problem", "-w", "%{http_code}", "--cacert", self.hub.dir / "ca.pem", *header, url)
            self.assertEqual(done.stdout, "401")
            self.assertEqual(json.loads((self.hub.work / "problem").read_text())["status"], 401)


class Tokens(HubTest):
    def test_a_token_works_once(self):
        added = self.hub.add("once-01")
        credential = Credential(self.hub, "once-01")
        self.assertEqual(credential.request(added["token"])[0], 200)
        status, words = credential.request(added["token"])
        self.assertIn(status, (401, 403))
        self.assertIn("used", words)

    def test_a_token_is_bound_to_its_device(self):
        token = self.hub.add("bound-01")["token"]
        self.hub.add("bound-02")
        self.assertIn(Credential(self.hub, "bound-02").request(token)[0], (401, 403))
        wrong_name = Credential(self.hub, "bound-01")
        wrong_name.make_csr("bound-02")
        self.assertEqual(wrong_name.request(token)[0] // 100, 4)
        wrong_name.make_csr("bound-01")
        self.assertEqual(wrong_name.request(token)[0], 200)  # a refused request burns nothing

    def test_a_token_expires(self):
        token = self.hub.add("late-01", "camera", "--ttl", "1s")["token"]
        time.sleep(1.5)
        status, words = Credential(self.hub, "late-01").request(token)
        self.assertIn(status, (401, 403))
        self.assertIn("expired", words)

    def test_guessing_is_slowed_down(self):
        self.hub.add("guess-01")
        credential = Credential(self.hub, "guess-01")
        statuses = [credential.request("fl1.AAAA")[0] for _ in range(8)]
        self.assertIn(429, statuses)


class CutOff(HubTest):
    def cut(self, name, *verb):
        credential = self.hub.enrol(name)
        context = credential.context()
        client = Mqtt(credential, context=context)
        self.assertEqual(client.publish(f"d/{name}/t/temperature", "20"), 0)
        session = client.tls.session
        start = time.monotonic()
        outcome = self.hub.json("device", verb[0], name, *verb[1:])
        self.assertLess(client.wait_closed(), 1)
        print(f"\n{verb[0]}: session closed {1000 * (time.monotonic() - start):.0f} ms after the command was typed; "
              f"the hub measured {outcome['took_ms']} ms", flush=True)
        self.assertEqual(outcome["sessions_closed"], 1)
        self.assertLess(outcome["took_ms"], 1000)
        return credential, context, session

    def test_a_session_resumes_while_the_device_is_well(self):
        credential = self.hub.enrol("resume-01")
        context = credential.context()
        first = Mqtt(credential, context=context)
        self.assertEqual(first.publish("d/resume-01/t/temperature", "20"), 0)
        session = first.tls.session
        first.close()
        second = Mqtt(credential, context=context, session=session)
        self.assertTrue(second.tls.session_reused)
        self.assertEqual(second.publish("d/resume-01/t/temperature", "21"), 0)
        second.close()

    def test_a_revoked_device_is_off_and_cannot_come_back(self):
        credential, context, session = self.cut("revoke-01", "revoke", "--reason", "test")
        for attempt in (dict(context=context, session=session), dict()):
            with self.assertRaises(Refused):
                Mqtt(credential, **attempt)
        self.assertEqual(self.hub.device("revoke-01")["posture"], "revoked")

    def test_a_revoked_device_cannot_use_a_token_that_was_still_open(self):
        credential = self.hub.enrol("revoke-02")
        token = self.hub.json("device", "token", "revoke-02")["token"]
        self.hub.fairlead("device", "revoke", "revoke-02", "--reason", "stolen")
        self.assertIn(credential.request(token)[0], (401, 403))
        fresh = self.hub.json("device", "token", "revoke-02")["token"]  # the operator's own decision
        self.assertEqual(credential.request(fresh)[0], 200)

    def test_a_quarantine_ends_by_itself(self):
        credential, context, session = self.cut("hold-01", "quarantine", "--for", "3s", "--reason", "test")
        for attempt in (dict(context=context, session=session), dict()):
            with self.assertRaises(Refused):
                Mqtt(credential, **attempt)
        wait_for(lambda: self.hub.device("hold-01")["state"] == "active", 10, say="the end of the quarantine")
        Mqtt(credential).close()

    def test_a_quarantine_can_be_undone(self):
        credential, *_ = self.cut("hold-02", "quarantine", "--for", "1h")
        self.hub.fairlead("device", "release", "hold-02", "--reason", "false alarm")
        Mqtt(credential).close()

    def test_a_dry_run_changes_nothing(self):
        credential = self.hub.enrol("dry-01")
        client = Mqtt(credential)
        outcome = self.hub.json("device", "quarantine", "dry-01", "--dry-run")
        self.assertTrue(outcome["dry_run"])
        self.assertEqual(client.publish("d/dry-01/t/temperature", "20"), 0)
        client.close()
        self.assertEqual(self.hub.device("dry-01")["state"], "active")


class Certificates(HubTest):
    def test_foreign_and_self_signed_certificates_are_refused(self):
        credential = self.hub.enrol("self-01")
        run("openssl", "req", "-x509", "-key", credential.key, "-subj", "/CN=self-01", "-days", "1", "-out", credential.cert,
            "-addext", "subjectAltName=URI:urn:fairlead:device:self-01")
        with self.assertRaises(Refused):
            Mqtt(credential)

    def test_no_certificate_is_refused(self):
        credential = Credential(self.hub, "none-01")
        with self.assertRaises(Refused):
            Mqtt(credential)

    def test_one_identity_twice_takes_the_session_over(self):
        credential = self.hub.enrol("twice-01")
        first = Mqtt(credential)
        second = Mqtt(credential)
        self.assertLess(first.wait_closed(), 2)
        self.assertEqual(second.publish("d/twice-01/t/temperature", "20"), 0)
        second.close()

    def test_one_device_cannot_take_anothers_session(self):
        owner = Mqtt(self.hub.enrol("owner-01"))
        thief = Mqtt(self.hub.enrol("thief-01"), client_id="owner-01")
        self.assertEqual(thief.subscribe("d/owner-01/c/#"), 0x87)
        self.assertEqual(owner.publish("d/owner-01/t/temperature", "20"), 0)
        owner.close()
        thief.close()


if __name__ == "__main__":
    unittest.main(verbosity=2)
