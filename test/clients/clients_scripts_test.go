//go:build clients

package clients

import "slices"

var scriptsClients = []client{
	{
		name: "ruby Net::HTTP", command: script("ruby", "client.rb"), tool: "ruby", proto: http1, api: &example,
		variables: []string{"http_proxy", "SSL_CERT_FILE"}, // for https:// as well
		not: all(
			because("Net::HTTP has no WebSocket", "websocket"),
			because("Net::HTTP does not show trailers", "trailers"),
		),
	},
	{
		name: "php curl h1", command: script("php", "client.php", "1.1"), tool: "php", proto: http1, api: &example,
		variables: []string{"HTTPS_PROXY", "PHP_INI_SCAN_DIR"},
		not:       because("PHP's curl extension has no WebSocket", "websocket"),
	},
	{
		name: "php curl h2", command: script("php", "client.php", "2"), tool: "php", proto: http2, api: &example,
		variables: []string{"HTTPS_PROXY", "PHP_INI_SCAN_DIR"},
		not:       onlyH2,
	},
	{
		name: "perl LWP", command: script("perl", "client.pl"), tool: "perl", proto: http1, api: &example,
		variables: []string{"https_proxy", "PERL_LWP_ENV_PROXY", "PERL_LWP_SSL_CA_FILE"},
		not: all(
			because("LWP has no WebSocket", "websocket"),
			because("LWP does not show trailers", "trailers"),
		),
	},
}

var scriptsTools = []tool{
	{name: "ruby", present: []string{"ruby", "--version"}, debian: []string{"ruby"}},
	{name: "php", present: []string{"php", "-r", "echo 'PHP ', PHP_VERSION, ', libcurl ', curl_version()['version'];"}, debian: []string{"php-cli", "php-curl"}},
	{
		name: "perl", present: []string{"perl", "-MLWP::UserAgent", "-MLWP::Protocol::https", "-e", "print qq(perl $^V, LWP $LWP::VERSION)"},
		debian: []string{"libwww-perl", "liblwp-protocol-https-perl"},
	},
}

func script(program, file string, option ...string) func(*scene) []string {
	return func(*scene) []string { return slices.Concat([]string{program, testdata(file)}, option) }
}
