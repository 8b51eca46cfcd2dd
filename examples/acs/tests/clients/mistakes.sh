#!/usr/bin/env bash
# Signs requests wrongly, each in a way of its own, with bash and openssl alone.
# Usage: mistakes.sh HOST PORT KEY; prints the name of each mistake and the status of the response.
set -euo pipefail
host=$1 port=$2 key=$3

address=$host:$port
target='/identities?api-version=2023-10-01'
body='{"createTokenWithScopes": ["chat"]}'
now=$(LC_ALL=C date -u '+%a, %d %b %Y %H:%M:%S GMT')
hash=$(printf %s "$body" | openssl dgst -sha256 -binary | base64)
hex_of_hash=$(printf %s "$body" | openssl dgst -sha256 | sed 's/.* //')
hexkey=$(printf %s "$key" | base64 -d | od -An -v -tx1 | tr -d ' \n')

hmac() { openssl dgst -sha256 -mac HMAC -macopt "hexkey:$hexkey" -binary | base64; }
right() { printf 'POST\n%s\n%s;%s;%s' "$target" "$date" "$address" "$hash_sent"; }

# send NAME SIGNATURE: the headers are those of $date and $hash_sent.
send() {
    exec 3<>"/dev/tcp/$host/$port"
    printf '%s\r\n' "POST $target HTTP/1.1" "Host: $address" "x-ms-date: $date" "x-ms-content-sha256: $hash_sent" \
        "Authorization: HMAC-SHA256 SignedHeaders=${signed_headers:-x-ms-date;host;x-ms-content-sha256}&Signature=$2" \
        "x-ms-client-request-id: $1" 'Content-Type: application/json' "Content-Length: ${#body}" 'Connection: close' '' >&3
    printf %s "$body" >&3
    read -r _ status _ <&3
    exec 3>&-
    echo "$1 $status"
}

date=$now hash_sent=$hash
send right "$(right | hmac)"

# The string to sign.
send echo "$(echo "POST\n$target\n$date;$address;$hash" | hmac)"
send echo-n "$(echo -n "POST\n$target\n$date;$address;$hash" | hmac)"
send here-string "$(hmac <<<"$(right)")"
send crlf "$(right | sed 's/$/\r/' | hmac)"
send no-query "$(printf 'POST\n%s\n%s;%s;%s' "${target%%\?*}" "$date" "$address" "$hash" | hmac)"
send url "$(printf 'POST\n%s\n%s;%s;%s' "http://$address$target" "$date" "$address" "$hash" | hmac)"
send lower-case-verb "$(printf 'post\n%s\n%s;%s;%s' "$target" "$date" "$address" "$hash" | hmac)"
send lower-case-date "$(printf 'POST\n%s\n%s;%s;%s' "$target" "${date,,}" "$address" "$hash" | hmac)"
send scheme "$(printf 'POST\n%s\n%s;%s;%s' "$target" "$date" "http://$address" "$hash" | hmac)"
send localhost "$(printf 'POST\n%s\n%s;%s;%s' "$target" "$date" "localhost:$port" "$hash" | hmac)"
send spaces "$(printf 'POST\n%s\n%s; %s; %s' "$target" "$date" "$address" "$hash" | hmac)"
send signed-hex "$(printf 'POST\n%s\n%s;%s;%s' "$target" "$date" "$address" "$hex_of_hash" | hmac)"

# The key.
send key-as-text "$(right | openssl dgst -sha256 -hmac "$key" -binary | base64)"
send key-as-text-with-echo "$(echo "POST\n$target\n$date;$address;$hash" | openssl dgst -sha256 -hmac "$key" -binary | base64)"
decoded=$(printf %s "$key" | base64 -d 2>/dev/null | tr -d '\0')
send key-in-a-variable "$(right | openssl dgst -sha256 -hmac "$decoded" -binary | base64)"

# The signature.
send hex-signature "$(right | openssl dgst -sha256 -mac HMAC -macopt "hexkey:$hexkey" | sed 's/.* //')"
send base64-of-hex "$(right | openssl dgst -sha256 -mac HMAC -macopt "hexkey:$hexkey" | sed 's/.* //' | base64 -w 0)"

# The headers.
hash_sent=$(echo "$body" | openssl dgst -sha256 -binary | base64)
send hash-of-echo "$(right | hmac)"
hash_sent=$hex_of_hash
send hash-in-hex "$(right | hmac)"
hash_sent=$(printf %s "$hex_of_hash" | base64 -w 0)
send hash-of-hex "$(right | hmac)"
hash_sent=$hash
date=${now,,}
send date-sent-in-lower-case "$(right | hmac)"
date=$(LC_ALL=C date -u)
send date-of-the-shell "$(right | hmac)"
date=$now
signed_headers='host;x-ms-date;x-ms-content-sha256'
send other-order "$(right | hmac)"
