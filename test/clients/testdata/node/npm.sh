#!/bin/sh
# npm.sh npm|pnpm|yarn MODE BASE: what people do with a registry of packages. Node
# prints the heads of the responses that npm gets, see responses.cjs.
#
#	get, all        view; then install, audit and publish (npm), or install alone
#	large-upload    publish a package of 64 MiB
#	large-download  install one
#	redirect        install one whose tarball is on another host
#	gzip            view one whose description comes encoded
set -eu
program=$1 mode=$2 base=$3
programs=$(dirname "$NODE_PATH")
node=$programs/node
responses=$(dirname "$0")/responses.cjs

export npm_config_registry="$base/" npm_config_cache="$PWD/cache" npm_config_fetch_retries=0
export npm_config_update_notifier=false npm_config_audit=false npm_config_fund=false
export YARN_CACHE_FOLDER="$PWD/cache" pnpm_config_update_notifier=false
cat >.npmrc <<END
registry=$base/
//${base#*://}/:_authToken=bogus-of-the-client
END

call() {
	case $program in
	npm) "$node" --require "$responses" "$NODE_PATH/npm/bin/npm-cli.js" "$@" ;;
	pnpm) "$programs/pnpm" "$@" ;;
	yarn) "$node" "$NODE_PATH/yarn/bin/yarn.js" "$@" ;;
	esac
}

view() {
	case $program in
	yarn) call info "$1" description >view.txt && cat view.txt && grep -q answer- view.txt ;; # it never fails
	*) call view "$1" description ;;
	esac
}

install() {
	echo '{"name": "test", "version": "1.0.0", "private": true}' >package.json
	case $program in
	npm) call install "$1" ;;
	*) call add "$1" ;;
	esac
	cp "node_modules/$1/data.bin" "$2"
}

publish() {
	mkdir new
	cp "$1" new/data.bin
	cp .npmrc new
	echo '{"name": "@keybearer/new", "version": "1.0.0", "files": ["data.bin"]}' >new/package.json
	(cd new && call publish)
}

case $mode in
get) view @keybearer/test ;;
all)
	view @keybearer/test
	install @keybearer/test download.bin
	if [ "$program" = npm ]; then
		call audit
		publish upload.bin
	fi
	;;
large-upload) publish large.bin ;;
large-download) install @keybearer/large large-download.bin ;;
redirect) install @keybearer/moved download.bin ;;
gzip) view zipped ;;
*)
	echo "no such mode" >&2
	exit 64
	;;
esac
