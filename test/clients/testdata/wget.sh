#!/bin/sh
# wget.sh get|all BASE: the steps of every client, see ../clients_test.go.
set -eu
mode=$1 base=$2

call() {
	wget --debug --tries=1 --timeout=60 --header='Authorization: Bearer bogus-of-the-client' "$@"
}

call -O - "$base/echo"
if [ "$mode" = all ]; then
	call -O - --post-file=upload.bin "$base/upload"
	call -O download.bin "$base/download"
fi
