#!/bin/sh
# modules.sh MODE BASE: the go command with a proxy of modules at BASE, see
# ../../upstream_modules_test.go.
#
#	get             list the versions of a module
#	all             that, and download it
#	large-download  download one of 64 MiB
#	redirect        download one that is at another host
#	gzip            list versions, in an answer that comes encoded
set -eu
mode=$1 base=$2
host=${base#*://}

export GOPROXY="$base" GOSUMDB=off GOENV=off GOTOOLCHAIN=local GOPATH="$PWD/go" GOFLAGS=-modcacherw NETRC="$PWD/netrc"
echo "machine ${host%%/*} login somebody password bogus-of-the-client" >netrc

versions() { go list -m -versions "example.test/$1"; }

download() {
	go mod download -x "example.test/$1@v1.0.0"
	cp "go/pkg/mod/example.test/$1@v1.0.0/data.bin" "$2"
}

case $mode in
get) versions small ;;
all)
	versions small
	download small download.bin
	;;
large-download) download large large-download.bin ;;
redirect) download moved download.bin ;;
gzip) versions zipped ;;
*)
	echo "no such mode" >&2
	exit 64
	;;
esac
