#!/usr/bin/env bash
# The official SDKs for Python and JavaScript against the library, over plain http to one local service: how long a process
# takes to its first token, and how long each further token takes. Medians; the ratios are to the library's time.
# Needs Python and Node with their registries, and Rust. Usage: official.sh [ROUNDS]
set -euo pipefail
rounds=${1:-15}
calls=1000
library=$(cd "$(dirname "$0")/../.." && pwd)
work=$library/target/official
mkdir -p "$work"

bench=$(cd "$library" && cargo bench --locked --bench overhead --no-run 2>&1 | sed -n 's/^ *Executable .*(\(.*\))$/\1/p')
bench=$library/${bench#"$library/"}
[ -e "$work/python/done" ] || { python3 -m venv "$work/python" && "$work/python/bin/pip" install -q azure-communication-identity==1.5.0 && touch "$work/python/done"; }
[ -e "$work/node/done" ] || { mkdir -p "$work/node" && npm install --silent --prefix "$work/node" @azure/communication-identity@1.3.1 && touch "$work/node/done"; }

cat >"$work/first_and_further.py" <<'PYTHON'
import sys
from azure.communication.identity import CommunicationIdentityClient, CommunicationUserIdentifier
from azure.core.credentials import AzureKeyCredential

client = CommunicationIdentityClient(f"http://{sys.argv[1]}", AzureKeyCredential("c2VjcmV0"))
user = CommunicationUserIdentifier("8:acs:11111111-2222-3333-4444-555555555555_66666666-7777-8888-9999-000000000000")
for _ in range(int(sys.argv[2])):
    client.get_token(user, ["voip"])
PYTHON
cat >"$work/first_and_further.js" <<'JAVASCRIPT'
const { CommunicationIdentityClient } = require("@azure/communication-identity");
const { AzureKeyCredential } = require("@azure/core-auth");

(async () => {
  const [address, calls] = process.argv.slice(2);
  const options = { allowInsecureConnection: true };
  const client = new CommunicationIdentityClient(`http://${address}`, new AzureKeyCredential("c2VjcmV0"), options);
  const user = {
    communicationUserId: "8:acs:11111111-2222-3333-4444-555555555555_66666666-7777-8888-9999-000000000000",
  };
  for (let call = 0; call < calls; call++) await client.getToken(user, ["voip"]);
})();
JAVASCRIPT

# The service lives as long as its standard input.
coproc SERVICE { exec "$bench" serve; }
read -r -u "${SERVICE[0]}" service
address=${service%% *}

library() { "$bench" calls ours http "$1" "$service"; }
python() { "$work/python/bin/python" "$work/first_and_further.py" "$address" "$1"; }
javascript() { NODE_PATH="$work/node/node_modules" node "$work/first_and_further.js" "$address" "$1"; }

# Microseconds of each of so many runs, the sides in turn.
measure() {
    local calls=$1 rounds=$2 started
    for side in library python javascript; do : >"$work/$side.$calls"; done
    for _ in $(seq "$rounds"); do
        for side in library python javascript; do
            started=$(date +%s%N)
            "$side" "$calls" >/dev/null
            echo $((($(date +%s%N) - started) / 1000)) >>"$work/$side.$calls"
        done
    done
}
median() { sort -n "$work/$1.$2" | sed -n "$((($(wc -l <"$work/$1.$2") + 1) / 2))p"; }

measure 1 "$rounds"
measure "$calls" 3
printf '%-12s %22s %8s %22s %8s\n' side 'first token, ms' ratio 'further token, µs' ratio
for side in library python javascript; do
    awk -v side=$side -v first="$(median $side 1)" -v all="$(median $side $calls)" -v n=$calls \
        -v library_first="$(median library 1)" -v library_all="$(median library $calls)" 'BEGIN {
        each = (all - first) / (n - 1); library_each = (library_all - library_first) / (n - 1)
        printf "%-12s %22.1f %8.1f %22.1f %8.1f\n", side, first / 1000, first / library_first, each, each / library_each }'
done
