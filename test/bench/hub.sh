#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The hub as a peer of the load generator: BIN and HUB name its programs and its directory, made by fleet.py.
set -eu
exec "$BIN/fairlead-hub" "$HUB"
