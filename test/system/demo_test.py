# SPDX-License-Identifier: Apache-2.0
"""make demo ONESHOT=1, with the programs of this build."""
import os
import pathlib
import subprocess
import tempfile
import unittest

from harness import BIN

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Demo(unittest.TestCase):
    def test_every_step_of_the_demo_is_verified_and_nothing_stays(self):
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o755)
            done = subprocess.run([ROOT / "tools" / "demo", BIN], capture_output=True, text=True, timeout=300,
                                  env={**os.environ, "ONESHOT": "1", "TMPDIR": folder})
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertIn("every step was verified", done.stdout)
            self.assertEqual(list(pathlib.Path(folder).iterdir()), [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
