//go:build clients

package clients

import (
	"cmp"
	"path/filepath"
)

var packagesClients = []client{
	{
		name: "apt", command: shell("packages/apt.sh"), tool: "apt", proto: http1, api: &debianExample,
		variables: []string{"https_proxy", "APT_CONFIG"},
		not: because("apt reads a repository and downloads from it: it has no such request",
			"large-upload", "stream", "events", "websocket", "continue", "gzip", "trailers", "hang-up"),
	},
	{
		name: "crane", command: shell("packages/images.sh", "crane"), tool: "crane", proto: http2, api: &images,
		variables: []string{"HTTPS_PROXY", "SSL_CERT_FILE"},
		not:       notForImages, checks: inAnyOrder(),
	},
	{
		name: "skopeo", command: shell("packages/images.sh", "skopeo"), tool: "skopeo", proto: http1, api: &images,
		variables: []string{"HTTPS_PROXY", "SSL_CERT_FILE"},
		not:       notForImages, checks: inAnyOrder(),
	},
}

var notForImages = all(
	because("the registry's protocol has no such request", "stream", "events", "websocket", "continue", "gzip", "trailers", "hang-up"),
	because("it asks over TLS first, also when it is told that it need not, and keybearer answers", "plain-http"),
)

var packagesTools = []tool{
	{name: "apt", present: []string{"apt-get", "--version"}},
	{name: "distribution", present: []string{"test", "-x", "$dir/registry"}, build: buildRegistry},
	{name: "crane", present: []string{"$dir/crane", "version"}},
	{name: "skopeo", present: []string{"skopeo", "--version"}, debian: []string{"skopeo"}},
}

// buildRegistry makes the programs of the module registry in dir.
func buildRegistry(dir string) error {
	return cmp.Or(
		quietly("registry", "go", "build", "-o", filepath.Join(dir, "registry"), "."),
		quietly("registry", "go", "build", "-o", filepath.Join(dir, "crane"), "github.com/google/go-containerregistry/cmd/crane"))
}

var packagesAPIs = []*api{&images}

const imagesHost = "images.example.test"

// images is a registry of container images.
var images = api{
	host: imagesHost, path: "",
	rule: `inject_headers: {Authorization: "Bearer ${REGISTRY_TOKEN}"}`,
	name: "Authorization", secret: "REGISTRY_TOKEN", value: "Bearer %s",
	serve: (*upstream).images,
	modes: map[string]steps{
		"get": {requests: []string{}},
		"all": {[]string{}, checkDownload}, "large-upload": {[]string{}, checkNoted(stored)}, "large-download": {[]string{}, checkLargeDownload}, "redirect": {[]string{}, checkDownload},
	},
}
