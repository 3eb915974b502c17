# SPDX-License-Identifier: Apache-2.0
"""MQTT.js, as in Node and in most browser pages, over TLS and over WebSocket, 3.1.1 and 5.0, with a device's certificate.
What it claims is in mqtt_js.cjs."""
import json
import os
import pathlib
import unittest

from harness import VERSIONS, StationTest, run, wait_for

HERE = pathlib.Path(__file__).parent
MODULES = os.environ.get("FAIRLEAD_NODE_MODULES", HERE.parents[1] / "build/asan/interop/node_modules")


class MqttJs(StationTest):
    def check(self, transport, version):
        device = f"js-{transport}-{version}"
        credential = self.hub.enrol(device, "station")
        # By address: Debian's Node takes ::1 for localhost and does not try the other, and the hub of the tests is on 127.0.0.1.
        url = f"mqtts://127.0.0.1:{self.hub.mqtt_port}" if transport == "tls" else f"wss://127.0.0.1:{self.hub.https_port}/mqtt"
        config = credential.folder / "config.json"
        config.write_text(json.dumps({"url": url, "version": VERSIONS[version], "device": device, "ca": str(self.hub.dir / "ca.pem"),
                                      "cert": str(credential.cert), "key": str(credential.key)}))
        done = run("node", HERE / "mqtt_js.cjs", config, check=False, timeout=300, env={**os.environ, "NODE_PATH": str(MODULES)})
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("ok keep_alive_keeps\n", done.stdout)
        wait_for(lambda: self.values(device) == [20, 21, 22], say="the readings")

    def test_tls_3_1_1(self):
        self.check("tls", "mqttv311")

    def test_tls_5(self):
        self.check("tls", "mqttv5")

    def test_websocket_3_1_1(self):
        self.check("websocket", "mqttv311")

    def test_websocket_5(self):
        self.check("websocket", "mqttv5")


if __name__ == "__main__":
    unittest.main()
