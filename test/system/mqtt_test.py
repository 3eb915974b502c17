# SPDX-License-Identifier: Apache-2.0
"""MQTT 3.1.1 and 5.0 as other people's clients speak it (mosquitto, Eclipse Paho for Python), against a real hub."""
import struct
import subprocess
import sys
import threading
import time
import unittest

sys.path.append("/usr/lib/python3/dist-packages")  # Debian's, for a python3 that is not Debian's
import paho.mqtt.client as paho  # noqa: E402
from paho.mqtt.packettypes import PacketTypes  # noqa: E402
from paho.mqtt.properties import Properties  # noqa: E402
from paho.mqtt.subscribeoptions import SubscribeOptions  # noqa: E402

from harness import VERSIONS, Mqtt, StationTest, wait_for  # noqa: E402



class Client:
    """A Paho client on its own thread."""

    def __init__(self, credential, name, version, clean=True, will=None, expiry_s=0, keep_alive_s=30, websocket=False):
        self.messages, self.granted, self.closed = [], {}, threading.Event()
        self.connected = threading.Event()
        five = version == paho.MQTTv5
        self.paho = paho.Client(client_id=name, protocol=version, transport="websockets" if websocket else "tcp",
                                **({} if five else {"clean_session": clean}))
        self.paho.tls_set_context(credential.context())
        self.paho.on_message = lambda client, data, message: self.messages.append(message)
        self.paho.on_connect = self.on_connect
        self.paho.on_subscribe = self.on_subscribe
        self.paho.on_disconnect = lambda *_: self.closed.set()
        if will:
            self.paho.will_set(*will)
        more = {}
        if five:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = expiry_s
            more = {"clean_start": clean, "properties": properties}
        self.paho.connect("localhost", credential.hub.https_port if websocket else credential.hub.mqtt_port, keep_alive_s, **more)
        self.paho.loop_start()
        if not self.connected.wait(20):
            raise AssertionError("no CONNACK")

    def on_connect(self, _client, _data, flags, reason, properties=None):
        self.flags, self.reason, self.properties = flags, reason, properties
        self.connected.set()

    def on_subscribe(self, _client, _data, packet_id, granted, _properties=None):
        self.granted[packet_id] = [int(getattr(g, "value", g)) for g in granted]

    def subscribe(self, topic, qos):
        _, packet_id = self.paho.subscribe(topic, qos) if not isinstance(qos, SubscribeOptions) else self.paho.subscribe(topic, options=qos)
        return wait_for(lambda: self.granted.get(packet_id), say="SUBACK")[0]

    def publish(self, *args, **kwargs):
        info = self.paho.publish(*args, **kwargs)
        info.wait_for_publish(20)
        if not info.is_published():
            raise AssertionError("not acknowledged")

    def heard(self, count):
        wait_for(lambda: len(self.messages) >= count, say=f"{count} messages, so far {[m.payload for m in self.messages]}")
        return self.messages

    def drop(self):
        """As a cable that is cut: no DISCONNECT."""
        self.paho._sock_close()
        self.paho.loop_stop()

    def end(self):
        self.paho.disconnect()
        self.paho.loop_stop()


class MqttTest(StationTest):
    def test_mosquitto_sends_readings_with_every_qos(self):
        for version in VERSIONS:
            device = f"qos-{version}"
            credential = self.hub.enrol(device)
            for qos in range(3):
                credential.mosquitto("mosquitto_pub", "-q", qos, "-t", f"d/{device}/t/temperature", "-m", 20 + qos, version=version)
            wait_for(lambda: len(self.values(device)) >= 3, say="three readings")
            self.assertEqual(self.values(device), [20, 21, 22])

    def test_mosquitto_hears_with_every_qos(self):
        for version in VERSIONS:
            device = f"hear-{version}"
            credential = self.hub.enrol(device, "station")
            tls = ["-h", "localhost", "-p", str(self.hub.mqtt_port), "--cafile", str(self.hub.dir / "ca.pem"), "--cert", str(credential.cert),
                   "--key", str(credential.key), "-V", version]
            sub = subprocess.Popen(["stdbuf", "-oL", "mosquitto_sub", *tls, "-i", "reader", "-q", "2", "-t", f"d/{device}/e/#", "-C", "3", "-W", "20", "-F", "%q %p",
                                    "-d"], stdout=subprocess.PIPE, text=True)
            while "SUBACK" not in sub.stdout.readline():
                pass
            for qos in range(3):
                credential.mosquitto("mosquitto_pub", "-q", qos, "-t", f"d/{device}/e/x", "-m", f"message-{qos}", version=version)
            lines = sub.stdout.read().splitlines()
            sub.stdout.close()
            self.assertEqual(sub.wait(30), 0, lines)
            self.assertEqual([line for line in lines if line[2:].startswith("message-")], ["0 message-0", "1 message-1", "2 message-2"])

    def test_a_reading_of_qos_2_said_again_is_stored_once(self):
        for version in (4, 5):
            device = f"once-{version}"
            credential = self.hub.enrol(device)
            for attempt in range(3):  # lost before PUBREC is read, twice
                client = Mqtt(credential, version=version, clean=False, expiry=600)
                self.assertEqual(client.session_present, attempt > 0)
                _, data = client.publish_bytes(f"d/{device}/t/temperature", "21.5", 2, packet_id=7, dup=attempt > 0)
                client.tls.sendall(data)
                if attempt < 2:
                    wait_for(lambda: self.values(device), say="the reading")
                    client.close()
            kind, body = client.receive()
            self.assertEqual((kind >> 4, body[:2]), (5, b"\0\7"))
            client.send(0x62, struct.pack(">H", 7))
            kind, body = client.receive()
            self.assertEqual((kind >> 4, body[:2]), (7, b"\0\7"))
            self.assertEqual(client.publish(f"d/{device}/t/temperature", "22"), 0)
            client.close()
            self.assertEqual(self.values(device), [21.5, 22])

    def test_a_reading_of_qos_2_that_is_refused_is_told(self):
        device = "told-01"
        client = Mqtt(self.hub.enrol(device))
        for topic, payload, reason, words in ((f"d/{device}/t/temperature", "999", 0x99, b"reading: 'temperature': 999 is out of range: -40 to 85"),
                                              ("d/other/t/temperature", "1", 0x87, b"the device's profile does not allow publishing to this topic")):
            packet_id, data = client.publish_bytes(topic, payload, 2)
            client.tls.sendall(data)
            kind, body = client.receive()
            self.assertEqual((kind >> 4, body[:3]), (5, struct.pack(">HB", packet_id, reason)))
            self.assertIn(words, body[3:])
        client.close()
        self.assertEqual(self.values(device), [])

    def test_paho_hears_what_it_says_with_every_qos(self):
        for name, version in VERSIONS.items():
            device = f"paho-{name}"
            client = Client(self.hub.enrol(device, "station"), "one", version)
            self.assertEqual(client.subscribe(f"d/{device}/e/#", 2), 2)
            for i in range(30):
                client.publish(f"d/{device}/e/x", str(i), i % 3)
            heard = [(int(m.payload), m.qos) for m in client.heard(30)]
            for qos in range(3):
                self.assertEqual([i for i, q in heard if q == qos], list(range(qos, 30, 3)))
            client.end()

    def test_a_session_waits_for_its_client(self):
        for name, version in VERSIONS.items():
            device = f"away-{name}"
            credential = self.hub.enrol(device, "station")
            reader = Client(credential, "reader", version, clean=False, expiry_s=600)
            self.assertEqual(reader.subscribe(f"d/{device}/e/#", 2), 2)
            reader.drop()
            writer = Client(credential, "writer", version)
            for i in range(20):
                writer.publish(f"d/{device}/e/x", str(i), 1 + i % 2)
            writer.end()
            reader = Client(credential, "reader", version, clean=False, expiry_s=600)
            self.assertEqual(reader.flags["session present"], 1)
            heard = [(int(m.payload), m.qos) for m in reader.heard(20)]
            # Paho hands a message of QoS 2 out at its PUBREL, after others of QoS 1 that came later.
            self.assertEqual([i for i, qos in heard if qos == 1], list(range(0, 20, 2)))
            self.assertEqual([i for i, qos in heard if qos == 2], list(range(1, 20, 2)))
            reader.end()

    def test_a_will_is_said_when_the_device_could_not(self):
        for name, version in VERSIONS.items():
            device = f"will-{name}"
            credential = self.hub.enrol(device, "station")
            reader = Client(credential, "reader", version)
            self.assertEqual(reader.subscribe(f"d/{device}/e/#", 2), 2)
            Client(credential, "polite", version, will=(f"d/{device}/e/gone", "polite", 1)).end()
            Client(credential, "rude", version, will=(f"d/{device}/e/gone", "rude", 2)).drop()
            self.assertEqual([(m.payload, m.qos) for m in reader.heard(1)], [(b"rude", 2)])
            reader.end()
            # A will may be a reading too.
            Client(credential, "sensor", version, will=(f"d/{device}/t/motion", "0", 1)).drop()
            wait_for(lambda: self.values(device) == [0], say="the will as a reading")

    def test_a_retained_message_meets_later_subscribers(self):
        for name, version in VERSIONS.items():
            device = f"kept-{name}"
            credential = self.hub.enrol(device, "station")
            writer = Client(credential, "writer", version)
            writer.publish(f"d/{device}/e/state", "old", 1, retain=True)
            writer.publish(f"d/{device}/e/state", "new", 2, retain=True)
            writer.publish(f"d/{device}/e/other", "x", 1, retain=True)
            writer.publish(f"d/{device}/e/other", "", 1, retain=True)
            reader = Client(credential, "reader", version)
            reader.subscribe(f"d/{device}/e/#", 2)
            self.assertEqual([(m.payload, m.retain) for m in reader.heard(1)], [(b"new", True)])
            writer.end()
            reader.end()

    def test_a_share_is_for_who_may_have_its_topics(self):
        device = "share-01"
        credential = self.hub.enrol(device, "station")
        members = [Client(credential, f"member-{i}", paho.MQTTv5) for i in range(2)]
        for refused in ("$share/g/#", "$share/g/d/other/e/#", "$share/g/$SYS/#", "$SYS/#", f"d/{device}/c/#"):
            self.assertEqual(members[0].subscribe(refused, 1), 0x87, refused)
        for member in members:
            self.assertEqual(member.subscribe(f"$share/g/d/{device}/e/#", 1), 1)
        for i in range(10):
            members[0].publish(f"d/{device}/e/x", str(i), 1)
        wait_for(lambda: sum(len(m.messages) for m in members) == 10, say="all ten")
        self.assertEqual([len(m.messages) for m in members], [5, 5])
        self.assertEqual(sorted(int(m.payload) for member in members for m in member.messages), list(range(10)))
        members[0].drop()
        members[1].publish(f"d/{device}/e/x", "last", 1)
        members[1].heard(6)
        members[1].end()

    def test_properties_travel(self):
        device = "prop-01"
        client = Client(self.hub.enrol(device, "station"), "one", paho.MQTTv5, keep_alive_s=300)
        self.assertEqual(client.properties.ServerKeepAlive, 60)
        self.assertFalse(hasattr(client.properties, "MaximumQoS"))
        self.assertEqual(client.subscribe(f"d/{device}/e/#", SubscribeOptions(qos=1, retainAsPublished=True)), 1)
        sent = Properties(PacketTypes.PUBLISH)
        sent.UserProperty = [("b", "2"), ("a", "1"), ("b", "0")]
        sent.ResponseTopic = f"d/{device}/e/answer"
        sent.CorrelationData = b"\x00\xff"
        sent.ContentType = "text/plain"
        sent.PayloadFormatIndicator = 1
        sent.MessageExpiryInterval = 100
        client.publish(f"d/{device}/e/x", "text", 1, properties=sent)
        heard = client.heard(1)[0].properties
        self.assertEqual(heard.UserProperty, [("b", "2"), ("a", "1"), ("b", "0")])
        self.assertEqual((heard.ResponseTopic, heard.CorrelationData, heard.ContentType, heard.PayloadFormatIndicator),
                         (f"d/{device}/e/answer", b"\x00\xff", "text/plain", 1))
        self.assertLessEqual(heard.MessageExpiryInterval, 100)
        client.end()

    def test_who_sends_twenty_times_its_rate_stays_connected_and_is_limited(self):
        for name, rate in (("steady", "50/s burst 50"), ("rare", "12/min burst 2")):
            self.hub.add_profile(f"""profile {name} {{
    title   "Slow"
    version 1
    publish d/{{device}}/e/#
    rate messages {rate}
}}
""")
        self.hub.add_profile("profile watch {\n    title \"Watch\"\n    version 1\n    subscribe d/+/e/#\n}\n")
        clients = [(f"{name}-{version}-{qos}", name, version, qos) for version in VERSIONS for name in ("steady", "rare") for qos in (0, 1)]
        reader = Client(self.hub.enrol("rate-reader", "watch"), "reader", paho.MQTTv5)
        opened = []
        for device, profile, version, qos in clients:
            credential = self.hub.enrol(device, profile)
            reader.subscribe(f"d/{device}/e/#", 1)
            opened.append((device, profile, qos, Client(credential, "one", VERSIONS[version], keep_alive_s=5)))
        started = time.monotonic()
        number = 0
        while time.monotonic() - started < 16:  # more than three keep alives
            time.sleep(0.02)
            number += 1
            for device, profile, qos, client in opened:
                for _ in range(20 if profile == "steady" else 1 if number % 12 == 0 else 0):
                    client.paho.publish(f"d/{device}/e/x", str(number), qos)
        took = time.monotonic() - started
        topics = [m.topic for m in list(reader.messages)]
        for device, profile, qos, client in opened:
            self.assertFalse(client.closed.is_set(), device)
            heard = topics.count(f"d/{device}/e/x")
            # Of QoS 1 a window may have come before its acknowledgements are due.
            most = (took + 2) * 50 + 50 if profile == "steady" else (took + 2) / 5 + 2
            self.assertLessEqual(heard, most + (64 if qos else 1), device)
            self.assertGreaterEqual(heard, took * 25 if profile == "steady" else 4, device)
            client.drop()
        reader.end()

    def test_a_client_cut_off_does_not_say_its_will(self):
        device = "cut-01"
        credential = self.hub.enrol(device, "station")
        client = Client(credential, "one", paho.MQTTv5, will=(f"d/{device}/t/motion", "1", 1))
        self.hub.fairlead("device", "quarantine", device)
        self.assertTrue(client.closed.wait(5))
        client.paho.loop_stop()
        time.sleep(0.5)
        self.assertEqual(self.values(device), [])


if __name__ == "__main__":
    unittest.main()
