# SPDX-License-Identifier: Apache-2.0
"""Eclipse Paho for Python over TLS and over WebSocket, 3.1.1 and 5.0. What system.mqtt_test claims over TLS is claimed here over
WebSocket; large payloads over both."""
import unittest

from harness import VERSIONS, StationTest, wait_for
from mqtt_test import Client, PacketTypes, Properties, SubscribeOptions, paho


class PahoOverWebSocket(StationTest):
    def client(self, credential, name, version, **kwargs):
        return Client(credential, name, version, websocket=True, **kwargs)

    def test_every_qos_arrives_in_its_order(self):
        for name, version in VERSIONS.items():
            device = f"qos-{name}"
            client = self.client(self.hub.enrol(device, "station"), "one", version)
            self.assertEqual(client.subscribe(f"d/{device}/e/#", 2), 2)
            for i in range(30):
                client.publish(f"d/{device}/e/x", str(i), i % 3)
            heard = [(int(m.payload), m.qos) for m in client.heard(30)]
            for qos in range(3):
                self.assertEqual([i for i, q in heard if q == qos], list(range(qos, 30, 3)))
                client.publish(f"d/{device}/t/temperature", str(20 + qos), qos)
            client.end()
            wait_for(lambda d=device: self.values(d) == [20, 21, 22], say="the readings")

    def test_a_session_waits_for_its_client_whatever_it_comes_by(self):
        for name, version in VERSIONS.items():
            device = f"away-{name}"
            credential = self.hub.enrol(device, "station")
            reader = self.client(credential, "reader", version, clean=False, expiry_s=600)
            self.assertEqual(reader.subscribe(f"d/{device}/e/#", 2), 2)
            reader.drop()
            writer = self.client(credential, "writer", version)
            for i in range(20):
                writer.publish(f"d/{device}/e/x", str(i), 1 + i % 2)
            writer.end()
            reader = Client(credential, "reader", version, clean=False, expiry_s=600)
            self.assertEqual(reader.flags["session present"], 1)
            self.assertEqual(sorted(int(m.payload) for m in reader.heard(20)), list(range(20)))
            reader.end()
            reader = self.client(credential, "reader", version, clean=False, expiry_s=600)
            self.assertEqual(reader.flags["session present"], 1)
            reader.end()

    def test_a_will_is_said_when_the_socket_breaks(self):
        for name, version in VERSIONS.items():
            device = f"will-{name}"
            credential = self.hub.enrol(device, "station")
            reader = self.client(credential, "reader", version)
            self.assertEqual(reader.subscribe(f"d/{device}/e/#", 2), 2)
            self.client(credential, "polite", version, will=(f"d/{device}/e/gone", "polite", 1)).end()
            self.client(credential, "rude", version, will=(f"d/{device}/e/gone", "rude", 2)).drop()
            self.assertEqual([(m.payload, m.qos) for m in reader.heard(1)], [(b"rude", 2)])
            reader.end()

    def test_a_retained_message_meets_later_subscribers(self):
        for name, version in VERSIONS.items():
            device = f"kept-{name}"
            credential = self.hub.enrol(device, "station")
            writer = self.client(credential, "writer", version)
            writer.publish(f"d/{device}/e/state", "old", 1, retain=True)
            writer.publish(f"d/{device}/e/state", "new", 2, retain=True)
            reader = self.client(credential, "reader", version)
            reader.subscribe(f"d/{device}/e/#", 2)
            self.assertEqual([(m.payload, m.retain) for m in reader.heard(1)], [(b"new", True)])
            writer.end()
            reader.end()

    def test_members_of_a_share_come_by_either_door(self):
        credential = self.hub.enrol("share-01", "station")
        members = [self.client(credential, "member-0", paho.MQTTv5), Client(credential, "member-1", paho.MQTTv5)]
        for member in members:
            self.assertEqual(member.subscribe("$share/g/d/share-01/e/#", 1), 1)
        for i in range(10):
            members[0].publish("d/share-01/e/x", str(i), 1)
        wait_for(lambda: sum(len(m.messages) for m in members) == 10, say="all ten")
        self.assertEqual([len(m.messages) for m in members], [5, 5])
        for member in members:
            member.end()

    def test_large_payloads_arrive_whole(self):
        payload = bytes(i * 31 % 251 for i in range(200000))
        for name, version in VERSIONS.items():
            device = f"large-{name}"
            credential = self.hub.enrol(device, "station")
            for websocket in (False, True):
                client = Client(credential, "one", version, websocket=websocket)
                client.subscribe(f"d/{device}/e/#", 2)
                for qos in range(3):
                    client.publish(f"d/{device}/e/x", payload, qos)
                self.assertEqual([m.payload == payload for m in client.heard(3)], [True] * 3)
                client.end()

    def test_properties_travel(self):
        client = self.client(self.hub.enrol("prop-01", "station"), "one", paho.MQTTv5)
        self.assertEqual(client.subscribe("d/prop-01/e/#", SubscribeOptions(qos=1, retainAsPublished=True)), 1)
        sent = Properties(PacketTypes.PUBLISH)
        sent.UserProperty = [("b", "2"), ("a", "1"), ("b", "0")]
        sent.CorrelationData = b"\x00\xff"
        client.publish("d/prop-01/e/x", "text", 1, properties=sent)
        heard = client.heard(1)[0].properties
        self.assertEqual(heard.UserProperty, [("b", "2"), ("a", "1"), ("b", "0")])
        self.assertEqual(heard.CorrelationData, b"\x00\xff")
        client.end()

    def test_quarantine_ends_it(self):
        credential = self.hub.enrol("cut-01", "station")
        client = self.client(credential, "one", paho.MQTTv5, will=("d/cut-01/t/motion", "1", 1))
        self.assertEqual(self.hub.json("device", "quarantine", "cut-01", "--for", "1h", "--reason", "test")["sessions_closed"], 1)
        self.assertTrue(client.closed.wait(20))
        client.paho.loop_stop()
        self.assertEqual(self.values("cut-01"), [])


if __name__ == "__main__":
    unittest.main()
