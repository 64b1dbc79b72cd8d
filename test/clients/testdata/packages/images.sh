#!/bin/sh
# images.sh crane|regctl|skopeo MODE BASE: what people do with a registry of container images at
# BASE, see ../../upstream_images_test.go.
#
#	get             show the manifest of small
#	all             pull small, push it as another repository, copy that within the registry, pull the copy
#	large-upload    pull large, of one layer of 64 MiB, and push it as another repository
#	large-download  pull large
#	redirect        pull moved, whose blobs are at another host
set -eu
program=$1 mode=$2 base=$3
host=${base#*://}
new=new-$$-$(date +%s%N) # in each run, or the registry has what is to be pushed

export DOCKER_CONFIG="$PWD" REGISTRY_AUTH_FILE="$PWD/config.json" CONTAINERS_REGISTRIES_CONF=/dev/null
export _CONTAINERS_ROOTLESS_UID=1000 # or root's skopeo remembers in /var which registry has what
cat >config.json <<END
{"auths": {"$host": {"auth": "$(printf somebody:bogus-of-the-client | base64)"}}}
END

crane() { "$(dirname "$NODE_PATH")/crane" --verbose "$@"; }
regctl() { "$(dirname "$NODE_PATH")/regctl" "$@"; }
skopeo() { command skopeo --debug --insecure-policy --override-os linux --override-arch amd64 "$@"; }

show() {
	case $program in
	crane) crane manifest "$1" ;;
	regctl) regctl manifest get --format raw-body "$1" ;;
	skopeo) skopeo inspect --raw "docker://$1" ;;
	esac
}

pull() {
	case $program in
	crane) crane pull --format oci "$1" "$2" ;;
	regctl) regctl image copy "$1" "ocidir://$2:latest" ;;
	skopeo) skopeo copy "docker://$1" "oci:$2:latest" ;;
	esac
}

push() {
	case $program in
	crane) crane push "$1" "$2" ;;
	regctl) regctl image copy "ocidir://$1:latest" "$2" ;;
	skopeo) skopeo copy "oci:$1:latest" "docker://$2" ;;
	esac
}

copy() {
	case $program in
	crane) crane copy "$1" "$2" ;;
	regctl) regctl image copy "$1" "$2" ;;
	skopeo) skopeo copy "docker://$1" "docker://$2" ;;
	esac
}

# unpack IMAGE FILE: of its blobs one is a tar file that holds the file.
unpack() {
	for blob in "$1"/blobs/sha256/*; do
		if tar -xOf "$blob" "$2" >"$2" 2>/dev/null; then return; fi
	done
	return 1
}

if [ "$program" = regctl ]; then
	tls=enabled
	if [ "$base" != "https://$host" ]; then tls=disabled; fi
	regctl registry set --skip-check --tls "$tls" --blob-max 1048576 --blob-chunk 16777216 "$host" # four pieces of large
fi

case $mode in
get) show "$host/small" ;;
all)
	pull "$host/small" small
	push small "$host/$new"
	copy "$host/$new" "$host/copy-of-$new"
	pull "$host/copy-of-$new" copy
	unpack copy download.bin
	;;
large-upload)
	pull "$host/large" large
	export XDG_DATA_HOME="$PWD/elsewhere" # or skopeo has the registry copy what it has
	push large "$host/$new"
	;;
large-download)
	pull "$host/large" large
	unpack large large-download.bin
	;;
redirect)
	pull "$host/moved" moved
	unpack moved download.bin
	;;
*)
	echo "no such mode" >&2
	exit 64
	;;
esac
