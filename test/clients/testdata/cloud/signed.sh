#!/bin/sh
# signed.sh PROGRAM MODE BASE: the AWS command line with a store at the endpoint BASE that
# verifies signatures, see ../../signed_test.go. The keys are in the environment.
#
#	list       list the bucket named bucket
#	large      copy 100 MB there and back, in parts of 8 MiB, several at once
#	names      copy a file there and back whose name has characters that are encoded
#	presigned  get a file by a URL that it has signed
#	chunks     copy a file there in chunks with signatures, as other clients than this one do
set -eu
program=$1 mode=$2 base=$3
export AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null AWS_EC2_METADATA_DISABLED=true

s3() {
	"$program" --endpoint-url "$base" --region eu-central-1 s3 "$@"
}

copy() {
	s3 cp --no-progress "$@"
}

zeros=0000000000000000000000000000000000000000000000000000000000000000

# chunk writes the file $1 as one.
chunk() {
	printf '%x;chunk-signature=%s\r\n' "$(wc -c <"$1")" "$zeros"
	cat "$1"
	printf '\r\n'
}

case $mode in
list) s3 ls s3://bucket ;;
large)
	head -c 100000000 /dev/urandom >large
	copy large s3://bucket/large
	copy s3://bucket/large back
	cmp large back
	;;
names)
	echo content >file
	name="a b+c/(d)'é\$&=~,:;@?#%41.txt"
	copy file "s3://bucket/$name"
	copy "s3://bucket/$name" back
	cmp file back
	s3 ls "s3://bucket/a b+c/" | grep -qF "$name" || s3 ls "s3://bucket/a b+c/" | grep -q txt
	;;
presigned)
	echo content >file
	copy file s3://bucket/presigned
	curl -sS --fail -o back "$(s3 presign s3://bucket/presigned)"
	cmp file back
	;;
chunks)
	: >none
	head -c 65536 /dev/urandom >first
	head -c 5000000 /dev/urandom >second
	cat first second >file
	{ chunk first; chunk second; chunk none; } >body
	curl -sS --fail -X PUT --data-binary @body -H 'Content-Encoding: aws-chunked' -H 'x-amz-date: 20200101T000000Z' \
		-H "x-amz-decoded-content-length: $(wc -c <file)" -H 'x-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD' \
		-H "Authorization: AWS4-HMAC-SHA256 Credential=$AWS_ACCESS_KEY_ID/20200101/eu-central-1/s3/aws4_request, SignedHeaders=host;x-amz-date, Signature=$zeros" \
		"$base/bucket/chunks"
	copy s3://bucket/chunks back
	cmp file back
	;;
*)
	echo "no such mode" >&2
	exit 64
	;;
esac
