# SPDX-License-Identifier: Apache-2.0
"""MQTT over WebSocket on the HTTPS port: the same identity, rights and cut-off as on the MQTT port, and a door that lets
nobody else in."""
import json
import socket
import ssl
import struct
import time
import unittest

from harness import Mqtt, Refused, StationTest, WebSocket, WsMqtt, wait_for

CONNECT = b"\x10\x0d\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x00"


class WebSocketTest(StationTest):
    def tls(self, credential=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self.hub.dir / "ca.pem")
        if credential:
            context.load_cert_chain(credential.cert, credential.key)
        raw = socket.create_connection(("127.0.0.1", self.hub.https_port), timeout=20)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return context.wrap_socket(raw, server_hostname="localhost")

    def ask(self, lines, credential=None):
        """(status, head, body)"""
        with self.tls(credential) as tls:
            tls.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
            data = b""
            while b"\r\n\r\n" not in data:
                more = tls.recv(65536)
                if not more:
                    break
                data += more
            head, _, body = data.partition(b"\r\n\r\n")
            if b"\r\nContent-Length: " in head and not lines[0].startswith("HEAD"):
                size = int(head.split(b"\r\nContent-Length: ")[1].split(b"\r\n")[0])
                while len(body) < size:
                    body += tls.recv(65536)
            return int(head.split()[1]), head.decode(), body.decode(errors="replace")

    def last_words(self, client):
        """What the Close frame says, after MQTT's DISCONNECT."""
        client.wait_closed()
        while client.tls.recv(1000):
            pass
        return client.tls.reason

    def test_readings_and_messages_go_through(self):
        for version in (4, 5):
            device = f"through-{version}"
            client = WsMqtt(self.hub.enrol(device, "station"), version=version)
            self.assertIn("Sec-WebSocket-Protocol: mqtt\r\n", client.tls.head)
            self.assertNotIn("Content-Length", client.tls.head)
            self.assertEqual(client.publish(f"d/{device}/t/temperature", "21.5"), 0)
            self.assertEqual(client.subscribe(f"d/{device}/e/#"), 1)
            self.assertEqual(client.publish(f"d/{device}/e/x", "hello"), 0)
            while not client.messages:
                client.step()
            self.assertEqual(client.messages, [(f"d/{device}/e/x", b"hello")])
            self.assertEqual([r["value"] for r in self.hub.readings(device)], [21.5])
            self.assertTrue(self.hub.device(device)["connected"])
            client.send(0xE0, b"")
            client.wait_closed()
            self.assertEqual(client.tls.close_code, 1000)
            client.close()
            wait_for(lambda d=device: not self.hub.device(d)["connected"], say="disconnected")

    def test_both_doors_lead_to_the_same_session(self):
        credential = self.hub.enrol("doors-01", "station")
        first = WsMqtt(credential, clean=False, expiry=600)
        self.assertEqual(first.subscribe("d/doors-01/e/#"), 1)
        second = Mqtt(credential, clean=False, expiry=600)
        self.assertEqual(second.session_present, 1)
        self.assertIn("taken over", self.last_words(first))
        third = WsMqtt(credential, clean=False, expiry=600)
        self.assertEqual(third.session_present, 1)
        second.wait_closed()
        for client in (first, second, third):
            client.close()

    def test_frames_may_be_cut_anywhere(self):
        credential = self.hub.enrol("cut-01", "station")
        topic = b"d/cut-01/t/temperature"
        publish = Mqtt.packet(0x32, struct.pack(">H", len(topic)) + topic + b"\0\1\0" + b"20.5")
        stream = CONNECT + publish
        for size in (1, 3, 7, len(stream)):  # in a message of fragments with control frames between
            pieces = [stream[i:i + size] for i in range(0, len(stream), size)]
            frames = b"".join(WebSocket.frame(b"p", 9) + WebSocket.frame(piece, 2 if i == 0 else 0, i == len(pieces) - 1) + WebSocket.frame(b"", 10)
                              for i, piece in enumerate(pieces))
            for bytes_at_once in (1, 1000):
                with self.tls(credential) as tls:
                    ws = WebSocket(tls)
                    for at in range(0, len(frames), bytes_at_once):
                        tls.sendall(frames[at:at + bytes_at_once])
                    answer = b""
                    while b"\x40" not in answer[5:]:
                        answer += ws.recv(1000)
                    self.assertEqual(answer[:1], b"\x20")
                    self.assertIn((10, b"p"), ws.controls)

    def test_ping_is_answered_and_close_is_returned(self):
        credential = self.hub.enrol("ping-01", "station")
        client = WsMqtt(credential)
        for payload in (b"", b"x" * 125):
            client.tls.tls.sendall(WebSocket.frame(payload, 9))
            self.assertEqual(client.tls.read_frame(), (10, payload))
        client.tls.tls.sendall(WebSocket.frame(struct.pack(">H", 4001) + b"bye", 8))
        client.wait_closed()
        self.assertEqual(client.tls.close_code, 4001)
        client.close()

    def test_malformed_frames_end_the_connection_with_their_code(self):
        credential = self.hub.enrol("bad-01", "station")
        good = WsMqtt(credential, client_id="good")
        for frame, code in ((b"\x82\x05Hello", 1002), (b"\xc2\x80", 1002), (WebSocket.frame(b"text", 1), 1003),
                            (b"\x82\xff" + struct.pack(">Q", 1 << 40) + b"\0\0\0\0", 1009), (WebSocket.frame(b"", 3), 1002),
                            (WebSocket.frame(b"x", 0), 1002), (WebSocket.frame(b"p", 9, False), 1002), (WebSocket.frame(b"\x03", 8), 1002)):
            client = WsMqtt(credential, client_id="bad")
            client.tls.tls.sendall(frame)
            client.wait_closed()
            self.assertEqual(client.tls.close_code, code, frame)
            self.assertTrue(client.tls.reason)
            client.close()
        self.assertEqual(good.publish("d/bad-01/t/temperature", 20), 0)
        good.close()

    def test_who_shows_no_certificate_is_told_how(self):
        status, head, body = self.ask(WebSocket.REQUEST)
        self.assertEqual(status, 401)
        self.assertIn("application/problem+json", head)
        self.assertIn("device's certificate", json.loads(body)["detail"])

    def test_a_request_that_is_no_upgrade_is_told_why(self):
        credential = self.hub.enrol("door-01", "station")

        def without(name, *instead):
            return [line for line in WebSocket.REQUEST if not line.lower().startswith(name)] + list(instead)

        for lines, status, words in (
                (without("upgrade"), 426, "Upgrade: websocket"), (without("upgrade", "Upgrade: h2c"), 426, "Upgrade: websocket"),
                (without("sec-websocket-version", "Sec-WebSocket-Version: 8"), 426, "Sec-WebSocket-Version: 13"),
                (without("sec-websocket-version"), 426, "Sec-WebSocket-Version: 13"),
                (without("connection"), 400, "Connection"), (without("connection", "Connection: close"), 400, "Connection"),
                (without("sec-websocket-key"), 400, "Sec-WebSocket-Key"), (without("sec-websocket-key", "Sec-WebSocket-Key: abc"), 400, "16 octets"),
                (list(WebSocket.REQUEST) + ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="], 400, "exactly one"),
                (without("sec-websocket-protocol"), 400, "mqtt"), (without("sec-websocket-protocol", "Sec-WebSocket-Protocol: chat"), 400, "mqtt"),
                (without("get", ), 400, ""), (["HEAD /mqtt HTTP/1.1"] + without("get"), 400, None), (["POST /mqtt HTTP/1.1"] + without("get"), 405, ""),
                (["GET /mqtt HTTP/1.0"] + without("get"), 400, "HTTP/1.1")):
            got, head, body = self.ask(lines, credential)
            self.assertEqual(got, status, lines)
            if words is not None:
                self.assertIn(words, head + body)
        # What is good stays good in other spellings, split over fields.
        status, head, _ = self.ask(without("upgrade", "UPGRADE: WebSocket", "Connection: x", "connection: UPGRADE"), credential)
        self.assertEqual(status, 101, head)

    def test_a_page_of_another_origin_may_not_use_the_certificate(self):
        credential = self.hub.enrol("origin-01", "station")
        port = self.hub.https_port
        for origin, status in ((f"https://localhost:{port}", 101), (f"https://LOCALHOST:{port}", 101), (f"https://127.0.0.1:{port}", 101),
                               ("https://evil.example", 403), (f"https://evil.example:{port}", 403), ("null", 403), ("", 403),
                               (f"http://localhost:{port}", 403), ("https://localhost", 403), (f"https://localhost:{port + 1}", 403),
                               (f"https://localhost:{port}.evil.example", 403), (f"https://localhost.evil.example:{port}", 403),
                               (f"https://localhost:{port}/", 403), (f"https://x@localhost:{port}", 403)):
            got, head, body = self.ask(list(WebSocket.REQUEST) + [f"Origin: {origin}"], credential)
            self.assertEqual(got, status, origin)
            if status == 403:
                self.assertIn("origin", json.loads(body)["detail"])
        # Twice is ambiguous, so it is not asked which one a browser meant.
        got, _, _ = self.ask(list(WebSocket.REQUEST) + [f"Origin: https://localhost:{port}", "Origin: https://evil.example"], credential)
        self.assertEqual(got, 403)

    def test_quarantine_ends_live_sockets_and_resumption(self):
        credential = self.hub.enrol("gone-01", "station")
        clients = [WsMqtt(credential, client_id=f"c{i}") for i in range(2)] + [Mqtt(credential, client_id="raw")]
        for client in clients:
            client.publish("d/gone-01/t/temperature", 20)
        session, context = clients[0].tls.session, clients[0].context
        outcome = self.hub.json("device", "quarantine", "gone-01", "--for", "1h", "--reason", "test")
        self.assertEqual(outcome["sessions_closed"], 3)
        self.assertLess(outcome["took_ms"], 1000)
        words = self.last_words(clients[0])
        for client in clients:
            self.assertLess(client.wait_closed(), 5)
            client.close()
        self.assertIn("test", words)
        for offered in (None, session):
            with self.assertRaises(Refused):
                WsMqtt(credential, context=context, session=offered)
        self.hub.fairlead("device", "release", "gone-01")
        again = WsMqtt(credential, context=context)
        self.assertEqual(again.publish("d/gone-01/t/temperature", 21), 0)
        again.close()

    def test_a_resumed_tls_session_may_upgrade_too(self):
        credential = self.hub.enrol("again-01", "station")
        first = WsMqtt(credential)
        first.publish("d/again-01/t/temperature", 20)
        again = WsMqtt(credential, context=first.context, session=first.tls.session)
        self.assertTrue(again.tls.session_reused)
        self.assertEqual(again.publish("d/again-01/t/temperature", 21), 0)
        again.close()
        first.close()

    def test_frames_sent_with_the_request_are_not_lost(self):
        with self.tls(self.hub.enrol("early-01", "station")) as tls:
            tls.sendall(("\r\n".join(WebSocket.REQUEST) + "\r\n\r\n").encode() + WebSocket.frame(CONNECT))
            data = b""
            while b"\x82" not in data.partition(b"\r\n\r\n")[2]:
                data += tls.recv(1000)
            self.assertTrue(data.startswith(b"HTTP/1.1 101 "))

    def test_output_comes_in_few_large_frames(self):
        credential = self.hub.enrol("bulk-01", "station")
        reader = WsMqtt(credential, client_id="reader")
        self.assertEqual(reader.subscribe("d/bulk-01/e/#", 0), 0)
        writer = WsMqtt(credential, client_id="writer")
        writer.tls.sendall(b"".join(writer.publish_bytes("d/bulk-01/e/x", f"{i:050}", 0)[1] for i in range(2000)))
        while len(reader.messages) < 2000:
            reader.step()
        self.assertEqual([int(payload) for _, payload in reader.messages], list(range(2000)))
        self.assertLess(len(reader.tls.frames), 400)
        large = "x" * 200000
        writer.publish("d/bulk-01/e/y", large)
        while len(reader.messages) < 2001:
            reader.step()
        self.assertEqual(reader.messages[-1][1], large.encode())
        reader.close()
        writer.close()

    def test_a_client_that_does_not_read_is_not_read_either(self):
        credential = self.hub.enrol("full-01", "station")
        client = WsMqtt(credential)
        self.assertEqual(client.subscribe("d/full-01/e/#", 1), 1)
        client.tls.tls.settimeout(2)
        sent = 0
        piece = b"".join(WebSocket.frame(client.publish_bytes("d/full-01/e/x", "y" * 30000, 0)[1]) for _ in range(10))
        try:
            while sent < 100_000_000:
                client.tls.tls.sendall(piece)
                sent += len(piece)
        except (TimeoutError, ssl.SSLError):
            pass
        self.assertLess(sent, 100_000_000, "nothing slowed the sender")
        other = WsMqtt(credential, client_id="other")
        self.assertEqual(other.publish("d/full-01/t/temperature", 20), 0)
        other.close()
        client.close()

    def test_idle_connections_stay_and_are_seen(self):
        credential = self.hub.enrol("idle-01", "station")
        clients = [WsMqtt(credential, client_id=f"idle-{i}") for i in range(20)]
        time.sleep(1)
        for client in clients:
            client.send(0xC0, b"")
        for client in clients:
            self.assertEqual(client.receive()[0], 0xD0)
            client.close()


if __name__ == "__main__":
    unittest.main()
