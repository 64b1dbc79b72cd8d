#!/bin/sh
# curl.sh VERSION get|all BASE: the steps of every client, see ../clients_test.go.
set -eu
version=$1 mode=$2 base=$3

call() {
	curl -q -v -sS --fail --max-time 60 "--http$version" -H 'Authorization: Bearer bogus-of-the-client' "$@"
}

call "$base/echo"
if [ "$mode" = all ]; then
	call --data-binary @upload.bin "$base/upload"
	call -o download.bin "$base/download"
fi
