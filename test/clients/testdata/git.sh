#!/bin/sh
# git.sh VERSION MODE BASE: "get" clones BASE/repo.git, "all" also pushes a commit of
# 2 MiB; "large-upload" pushes a pack of 200 MB to BASE/empty.git, "large-download"
# clones BASE/large.git, which is as large.
#
# Packs are above http.postBuffer, so that HTTP/1.1 sends them chunked. In HTTP/2 the
# buffer is made larger: without, git 2.39 with libcurl 7.88 now and then waits for more
# from its own packer after the end, for ever, while the server's answer lies unread
# in its socket.
set -eu
version=$1 mode=$2 base=$3
case $version in
HTTP/2) buffer=268435456 ;;
*) buffer=1048576 ;;
esac

git() {
	command git -c "http.version=$version" -c "http.postBuffer=$buffer" -c core.compression=0 \
		-c 'http.extraHeader=Authorization: Basic Ym9ndXMtb2YtdGhlLWNsaWVudA==' \
		-c user.name=client -c user.email=client@example.test -c commit.gpgSign=false "$@"
}

# push DIRECTORY BYTES: a commit of that size, new in every run, or there is nothing to push.
push() {
	cd "$1"
	head -c "$2" /dev/urandom >upload.bin
	git add upload.bin
	git commit -m 'from the client'
	git push origin HEAD
}

export GIT_CONFIG_NOSYSTEM=1 GIT_TERMINAL_PROMPT=0 GIT_TRACE_CURL=1 GIT_TRACE_CURL_NO_DATA=1 GIT_TRACE_REDACT=0
case $mode in
get | all)
	git clone "$base/repo.git" clone
	test -s clone/README
	if [ "$mode" = all ]; then push clone 2097152; fi
	;;
large-upload)
	git init -b main new
	git -C new remote add origin "$base/empty.git"
	push new 209715200
	;;
large-download) git clone "$base/large.git" clone ;;
*)
	echo "no such mode" >&2
	exit 64
	;;
esac
