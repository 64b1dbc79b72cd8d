#!/bin/sh
# git.sh VERSION get|all BASE: clone BASE/repo.git; for "all" also push a commit
# of 2 MiB. That is above http.postBuffer, so that HTTP/1.1 sends it chunked. In
# HTTP/2 the buffer is made larger: without, git 2.39 with libcurl 7.88 now and
# then waits for more from its own packer after the end, for ever, while the
# server's answer lies unread in its socket.
set -eu
version=$1 mode=$2 base=$3
case $version in
HTTP/2) buffer=8388608 ;;
*) buffer=1048576 ;;
esac

git() {
	command git -c "http.version=$version" -c "http.postBuffer=$buffer" \
		-c 'http.extraHeader=Authorization: Basic Ym9ndXMtb2YtdGhlLWNsaWVudA==' \
		-c user.name=client -c user.email=client@example.test -c commit.gpgSign=false "$@"
}

export GIT_CONFIG_NOSYSTEM=1 GIT_TERMINAL_PROMPT=0 GIT_TRACE_CURL=1 GIT_TRACE_CURL_NO_DATA=1 GIT_TRACE_REDACT=0
git clone "$base/repo.git" clone
test -s clone/README
if [ "$mode" = all ]; then
	cd clone
	head -c 2097152 /dev/urandom >upload.bin # new in every run, or there is nothing to push
	git add upload.bin
	git commit -m 'from the client'
	git push origin HEAD
fi
