#!/bin/sh
# curl.sh VERSION MODE BASE: the modes of ../clients_test.go.
set -eu
version=$1 mode=$2 base=$3 exec=

call() {
	$exec curl -q -v -sS --no-buffer --fail --max-time 60 "--http$version" -H 'Authorization: Bearer bogus-of-the-client' "$@"
}

case $mode in
get) call "$base/echo" ;;
all)
	call "$base/echo"
	call --data-binary @upload.bin "$base/upload"
	call -o download.bin "$base/download"
	;;
large-upload) call -X POST -T large.bin "$base/large" ;; # -T streams; --data-binary reads it whole first
large-download) call -o large-download.bin "$base/large" ;;
stream | events) call "$base/$mode" ;;
continue) call -H 'Expect: 100-continue' --data-binary @upload.bin "$base/continue" ;;
redirect) call --location "$base/redirect" ;;
gzip) call --compressed "$base/gzip" ;;
trailers) call -H 'TE: trailers' --dump-header - "$base/trailers" | sed 's/^[Xx]-[Ll]ast-[Ww]ord:/trailer &/' ;;
hang-up)
	mkfifo answer
	exec=exec # or it would be a shell that is killed
	call "$base/forever" >answer &
	head -n 1 answer
	kill $!
	;;
*)
	echo "no such mode" >&2
	exit 64
	;;
esac
