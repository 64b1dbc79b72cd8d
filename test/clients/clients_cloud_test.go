//go:build clients

package clients

var cloudClients = []client{
	{
		name: "aws s3", command: shell("cloud/aws.sh", aws, "default"), tool: "aws", proto: http1, api: &storeExample,
		variables: []string{"HTTPS_PROXY", "AWS_CA_BUNDLE"},
		not:       notForAWS,
	},
	{
		name: "aws s3, CRT", command: shell("cloud/aws.sh", aws, "crt"), tool: "aws CRT", proto: http1, api: &storeExample,
		variables: []string{"HTTPS_PROXY", "AWS_CA_BUNDLE"},
		not:       all(notForAWS, because("the CRT sends no Expect", "continue")),
	},
}

var notForAWS = all(
	because("the command line prints nothing of a stream before it has much of it", "stream", "events"),
	because("Amazon S3 has no WebSocket", "websocket"),
	because("the command line asks the endpoint that it is given and no other", "redirect"),
	because("the command line itself asks for Accept-Encoding: identity", "gzip"),
	because("the command line does not show trailers", "trailers"),
)

var cloudTools = []tool{
	{name: "aws", present: []string{aws, "--version"}, debian: []string{"awscli"}},
	{name: "aws CRT", present: []string{"/usr/bin/python3", "-c", "import awscrt; print('awscrt', awscrt.__version__)"}, debian: []string{"awscli", "python3-awscrt"}},
}

var cloudAPIs []*api

// aws is Debian's, if it is there, so that it is the same on every machine.
var aws = firstOf("/usr/bin/aws", "aws")
