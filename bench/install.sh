#!/bin/sh
# Installs the peers of the comparison from Debian, as far as that is possible:
# what is missing afterwards is left out of the table, which says so.
# Their services are not started: the comparison runs its own instances.
set -u

missing=
for pair in nginx:nginx haproxy:haproxy squid:squid-openssl mitmdump:mitmproxy; do
	PATH=$PATH:/usr/sbin command -v "${pair%%:*}" >/dev/null || missing="$missing ${pair##*:}"
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
	echo "not installed, so left out:$missing (on Debian, as root: apt-get install$missing)"
	exit 0
fi

# Debian starts a service when it is installed, unless this program forbids it.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
	printf '#!/bin/sh\nexit 101\n' >$policy
	chmod 755 $policy
	trap 'rm -f $policy' EXIT
fi
log=$(mktemp)
export DEBIAN_FRONTEND=noninteractive
apt-get update >"$log" 2>&1
for package in $missing; do
	if apt-get install -y --no-install-recommends "$package" >>"$log" 2>&1; then
		echo "installed $package"
	else
		echo "could not install $package, so it is left out; see $log"
		keep=1
	fi
done
[ -n "${keep-}" ] || rm -f "$log"
