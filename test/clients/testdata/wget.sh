#!/bin/sh
# wget.sh MODE BASE: the modes of ../clients_test.go.
set -eu
mode=$1 base=$2 exec=

call() {
	$exec wget --debug --tries=1 --timeout=60 --header='Authorization: Bearer bogus-of-the-client' "$@"
}

case $mode in
get) call -O - "$base/echo" ;;
all)
	call -O - "$base/echo"
	call -O - --post-file=upload.bin "$base/upload"
	call -O download.bin "$base/download"
	;;
large-upload) call -O - --post-file=large.bin "$base/large" ;;
large-download) call --no-verbose -O large-download.bin "$base/large" ;;
stream | events) call -O - "$base/$mode" ;;
continue) call -O - --header='Expect: 100-continue' --post-file=upload.bin "$base/continue" ;;
redirect) call -O - "$base/redirect" ;;
gzip) call -O - --compression=gzip "$base/gzip" ;;
hang-up)
	mkfifo answer
	exec=exec # or it would be a shell that is killed
	call -O - "$base/forever" >answer &
	head -n 1 answer
	kill $!
	;;
*)
	echo "no such mode" >&2
	exit 64
	;;
esac
