#!/bin/sh
# apt.sh MODE BASE: apt-get with a repository at BASE/debian, see ../../upstream_apt_test.go.
# All that apt keeps is in the working directory; the machine's settings are read, but
# its sources, its lists and its packages are left alone.
#
#	get             update
#	all             that, and download two packages: apt asks for both at once
#	large-download  update and download one of 64 MiB
#	redirect        update and download one that is at another host
set -eu
mode=$1 base=$2
host=${base#*://}

mkdir -p apt/etc/apt/apt.conf.d apt/etc/apt/sources.list.d apt/etc/apt/preferences.d apt/etc/apt/auth.conf.d \
	apt/var/lib/apt/lists/partial apt/var/cache/apt/archives/partial
: >apt/status
echo "deb [trusted=yes] $base/debian stable main" >apt/etc/apt/sources.list
echo "machine ${base%%://*}://${host%%/*} login somebody password bogus-of-the-client" >apt/etc/apt/auth.conf

# As root apt asks as the user _apt, who cannot look into a test's directory.
apt() {
	apt-get -o Dir="$PWD/apt" -o Dir::State::status="$PWD/apt/status" -o APT::Sandbox::User=root -o APT::Architecture=amd64 \
		-o Acquire::Retries=0 -o Acquire::Languages=none -o Debug::Acquire::http=true -o Debug::Acquire::https=true \
		-o APT::Update::Error-Mode=any "$@"
}

download() {
	apt update
	apt download "$@"
}

case $mode in
get) apt update ;;
all)
	download small other
	mv small_1.0_amd64.deb download.bin
	cmp other_1.0_amd64.deb download.bin
	;;
large-download)
	download large
	mv large_1.0_amd64.deb large-download.bin
	;;
redirect)
	download moved
	mv moved_1.0_amd64.deb download.bin
	;;
*)
	echo "no such mode" >&2
	exit 64
	;;
esac
