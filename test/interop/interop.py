# SPDX-License-Identifier: Apache-2.0
"""What the tests with other people's clients share: a hub with a device model that may speak with itself."""
import pathlib

from harness import HubTest

SOURCE = pathlib.Path(__file__).parents[2]
VERSIONS = {"mqttv311": 4, "mqttv5": 5}


class InteropTest(HubTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        profile = cls.hub.work / "station.profile"
        text = (SOURCE / "profiles/camera.profile").read_text().replace("profile camera", "profile station")
        profile.write_text(text.replace("subscribe d/{device}/c/#", "publish   d/{device}/e/#\n    subscribe d/{device}/e/#"))
        cls.hub.fairlead("profile", "sign", profile)
        cls.hub.fairlead("profile", "add", profile)

    def values(self, device):
        return sorted(r["value"] for r in self.hub.readings(device))
