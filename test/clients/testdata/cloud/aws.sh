#!/bin/sh
# aws.sh PROGRAM CLIENT MODE BASE: the AWS command line with a store at the endpoint BASE,
# see ../../upstream_aws_test.go. What copies files is its CLIENT default, in Python, or
# crt, in C; the rest is the same.
#
#	get             list the bucket named bucket
#	all             that, and copy a file there and another one here
#	large-upload    copy large.bin there, in parts of 8 MiB, several at once
#	large-download  copy large.bin here, the same way
#	continue        copy a file there; the store is busy when it is first asked
#	hang-up         end the program while it copies a file here
set -eu
program=$1 client=$2 mode=$3 base=$4

# It signs with this key, and does nothing without one.
export AWS_ACCESS_KEY_ID=bogus-of-the-client AWS_SECRET_ACCESS_KEY=bogus-of-the-client
export AWS_CONFIG_FILE="$PWD/aws.config" AWS_SHARED_CREDENTIALS_FILE=/dev/null AWS_EC2_METADATA_DISABLED=true
cat >aws.config <<-end
	[default]
	region = us-east-1
	s3 =
	  addressing_style = path
	  preferred_transfer_client = $client
end

s3() {
	"$program" --endpoint-url "$base" s3 "$@"
}

# copy says nothing of its progress.
copy() {
	s3 cp --no-progress "$@"
}

case $mode in
get) s3 ls s3://bucket ;;
all)
	s3 ls s3://bucket
	copy upload.bin s3://bucket/upload.bin
	copy s3://bucket/download.bin download.bin
	;;
large-upload) copy large.bin s3://bucket/large.bin ;;
large-download) copy s3://bucket/large.bin large-download.bin ;;
continue) copy upload.bin s3://bucket/continue.bin ;;
hang-up)
	mkfifo copy
	# Without a function's shell between, which would get the signal.
	"$program" --endpoint-url "$base" s3 cp s3://bucket/forever.bin - >copy &
	head -c 1 copy >first
	kill $!
	;;
*)
	echo "no such mode" >&2
	exit 64
	;;
esac
