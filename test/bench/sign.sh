#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What a certificate costs the signer beside OpenSSL alone: sign.sh BIN_WITH_SIGN_BENCH BIN_WITH_FAIRLEAD [REQUESTS]
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$2/fairlead" init "$work/hub" --host localhost > /dev/null
"$1/sign_bench" "$work/hub" "${3:-10000}"
