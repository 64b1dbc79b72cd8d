//go:build clients

package clients

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
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
		not:       all(notForImages, alwaysTLS), checks: inAnyOrder(),
	},
	{
		name: "regctl", command: shell("packages/images.sh", "regctl"), tool: "regctl", proto: http2, api: &imagesByRegctl,
		variables: []string{"HTTPS_PROXY", "SSL_CERT_FILE"},
		not:       notForImages, checks: inAnyOrder(),
	},
	{
		name: "skopeo", command: shell("packages/images.sh", "skopeo"), tool: "skopeo", proto: http1, api: &imagesBySkopeo,
		variables: []string{"HTTPS_PROXY", "SSL_CERT_FILE"},
		not:       all(notForImages, alwaysTLS), checks: inAnyOrder(),
	},
	{
		name: "cargo", command: shell("packages/cargo.sh"), tool: "cargo", proto: http2, api: &crates,
		variables: []string{"HTTPS_PROXY", "CARGO_HTTP_CAINFO"},
		not: because("the registry's protocol has no such request",
			"stream", "events", "websocket", "continue", "trailers", "hang-up"),
		checks: inAnyOrder(),
	},
	{
		name: "go modules", command: shell("packages/modules.sh"), tool: "go", proto: http2, api: &modules,
		variables: []string{"HTTPS_PROXY", "SSL_CERT_FILE"},
		not: because("the go command reads from a proxy of modules and downloads from it: it has no such request",
			"large-upload", "stream", "events", "websocket", "continue", "trailers", "hang-up"),
		checks: map[string]func(outcome) error{"plain-http": checkPlainBare},
	},
}

var notForImages = because("the registry's protocol has no such request",
	"stream", "events", "websocket", "continue", "gzip", "trailers", "hang-up")

var alwaysTLS = because("it asks over TLS first, also when it is told that it need not, and keybearer answers", "plain-http")

var packagesTools = []tool{
	{name: "apt", present: []string{"apt-get", "--version"}},
	{name: "distribution", present: []string{"$dir/registry"}, build: buildRegistry},
	{name: "crane", present: []string{"$dir/crane", "version"}},
	{name: "regctl", present: []string{"$dir/regctl", "version"}},
	{name: "skopeo", present: []string{"skopeo", "--version"}, debian: []string{"skopeo"}},
	{name: "cargo of the system", present: []string{"cargo", "--version"}, debian: []string{"cargo"}},
	{name: "cargo", present: []string{"$dir/cargo", "--version"}, build: linkCargo},
}

// linkCargo makes cargo and rustc in dir links to the real ones: rustup's look for them
// in the user's home directory, and clients have one of their own.
func linkCargo(dir string) error {
	for _, name := range []string{"cargo", "rustc"} {
		program, err := exec.LookPath(name)
		if out, rustupErr := exec.Command("rustup", "which", name).Output(); rustupErr == nil {
			program, err = strings.TrimSpace(string(out)), nil
		}
		if err != nil {
			return err
		}
		if err := os.Symlink(program, filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	version, err := exec.Command(filepath.Join(dir, "cargo"), "--version").Output()
	if err != nil {
		return fmt.Errorf("cargo --version: %w", err)
	}
	var major, minor int
	if _, err := fmt.Sscanf(string(version), "cargo %d.%d", &major, &minor); err != nil || major < 1 || major == 1 && minor < 74 {
		return fmt.Errorf("it is too old for a sparse index that asks for a token: %s; Debian 12 has a newer one in the package cargo-web", version)
	}
	return nil
}

// buildRegistry makes the programs of the module registry in dir.
func buildRegistry(dir string) error {
	return cmp.Or(
		quietly("registry", "go", "build", "-o", filepath.Join(dir, "registry"), "."),
		quietly("registry", "go", "build", "-o", filepath.Join(dir, "crane"), "github.com/google/go-containerregistry/cmd/crane"),
		quietly("registry", "go", "build", "-o", filepath.Join(dir, "regctl"), "github.com/regclient/regclient/cmd/regctl"))
}

var packagesAPIs = []*api{&images, &tokens, &crates, &modules}

// crates is a registry of Rust's. It takes the token without a word in front.
var crates = api{
	host: "crates.example.test", path: "/crates",
	rule: `inject_headers: {Authorization: "${CRATES_TOKEN}"}`,
	name: "Authorization", secret: "CRATES_TOKEN", value: "%s",
	unscrubbed: []string{"/crates/zipped/config.json", "/crates/zipped/sm/al/small"},
	serve:      (*upstream).crates,
	modes: map[string]steps{ // sorted as inAnyOrder does
		"get": {requests: crateRequests("GET", "index/config.json", "index/sm/al/small")},
		"all": {slices.Concat(
			crateRequests("PUT", "api/v1/crates/new"),
			crateRequests("GET", "files/small", "index/3/n/new", "index/config.json", "index/sm/al/small"),
		), checkDownload},
		"large-upload": {requests: slices.Concat(
			crateRequests("PUT", "api/v1/crates/new"),
			crateRequests("GET", "index/3/n/new", "index/config.json"))},
		"large-download": {crateRequests("GET", "files/large", "index/config.json", "index/la/rg/large"), checkLargeDownload},
		"redirect": {append(crateRequests("GET", "files/moved", "index/config.json", "index/mo/ve/moved"),
			"GET https://"+unmatchedHost+"/crates/files/moved"), checkDownload},
		"gzip": {crateRequests("GET", "zipped/config.json", "zipped/sm/al/small"), checkGzip},
	},
}

func crateRequests(method string, paths ...string) []string {
	for i, path := range paths {
		paths[i] = method + " /crates/" + path
	}
	return paths
}

// modules is a proxy of Go modules.
var modules = api{
	host: "modules.example.test", path: "/modules",
	rule: `basic_auth: {username: somebody, password: "${MODULES_TOKEN}"}`,
	name: "Authorization", secret: "MODULES_TOKEN", value: "basic somebody:%s",
	unscrubbed: []string{"/modules/example.test/zipped/@v/list"},
	serve:      (*upstream).modules,
	modes: map[string]steps{
		"get":            {requests: moduleRequests("small", "list", "v1.0.0.info", "v1.0.0.mod")},
		"all":            {moduleRequests("small", "list", "v1.0.0.info", "v1.0.0.mod", "v1.0.0.zip"), checkDownload},
		"large-download": {moduleRequests("large", "v1.0.0.info", "v1.0.0.mod", "v1.0.0.zip"), checkLargeDownload},
		"redirect": {append(moduleRequests("moved", "v1.0.0.info", "v1.0.0.mod", "v1.0.0.zip"),
			"GET https://"+unmatchedHost+"/modules/example.test/moved/@v/v1.0.0.zip"), checkDownload},
		"gzip": {moduleRequests("zipped", "list", "v1.0.0.info", "v1.0.0.mod"), checkZippedList},
	},
}

func moduleRequests(name string, files ...string) []string {
	for i, file := range files {
		files[i] = "GET /modules/example.test/" + name + "/@v/" + file
	}
	return files
}

const imagesHost = "images.example.test"

// images is a registry of container images.
var images = api{
	host: imagesHost, path: "",
	rule: `inject_headers: {Authorization: "Bearer ${REGISTRY_TOKEN}"}`,
	name: "Authorization", secret: "REGISTRY_TOKEN", value: "Bearer %s",
	serve: (*upstream).images,
	modes: imageModes(pinged, copiedByMount, pushedLarge, 1),
}

// tokens is where a registry at another host sends its clients, see
// TestImagesWithTokens.
var tokens = api{
	host: tokensHost, path: "",
	rule: `match_paths: [/token]
    basic_auth: {username: somebody, password: "${HUB_PASSWORD}"}`,
	name: "Authorization", secret: "HUB_PASSWORD", value: "basic somebody:%s",
	serve: (*upstream).tokens,
}

const tokensHost = "tokens.example.test"

// imagesByRegctl is the same for regctl, which uploads in pieces of 16 MiB, and
// imagesBySkopeo for skopeo, podman and buildah, which share a library.
var (
	imagesByRegctl = imagesWith(imageModes(nil, copiedByMount, pushedLarge, 4))
	imagesBySkopeo = imagesWith(imageModes(pinged,
		slices.Concat(
			of("copy-of-new", "GET blobs/DIGEST", "HEAD blobs/DIGEST", "POST blobs/uploads/", "PATCH blobs/uploads/ID", "PUT blobs/uploads/ID",
				"GET manifests/latest", "PUT manifests/latest"),
			of("new", "GET blobs/DIGEST", "HEAD blobs/DIGEST", "POST blobs/uploads/", "PATCH blobs/uploads/ID", "PUT blobs/uploads/ID",
				"GET manifests/latest", "PUT manifests/latest"),
			of("small", "GET blobs/DIGEST", "HEAD blobs/DIGEST", "GET manifests/latest")),
		slices.Concat(
			pulled("large"),
			of("new", "HEAD blobs/DIGEST", "POST blobs/uploads/", "PATCH blobs/uploads/ID", "PUT blobs/uploads/ID", "PUT manifests/latest")),
		1))
)

func imagesWith(modes map[string]steps) api {
	a := images
	a.modes = modes
	return a
}

// imageModes adds to two that differ those that are the same for all, each sorted as
// inAnyOrder does. The large layer is pushed in so many pieces.
func imageModes(ping, all, largeUpload []string, pieces int) map[string]steps {
	return map[string]steps{
		"get":            {requests: []string{"GET /v2/small/manifests/latest"}},
		"all":            {slices.Concat(ping, all), checkCopied},
		"large-upload":   {slices.Concat(ping, largeUpload), checkPieces(pieces)},
		"large-download": {slices.Concat(ping, pulled("large")), checkLargeDownload},
		"redirect": {
			slices.Concat(ping, pulled("moved"), []string{"GET https://" + unmatchedHost + "/v2/moved/blobs/DIGEST"}),
			checkDownload,
		},
	}
}

var pinged = []string{"GET /v2/"}

var copiedByMount = slices.Concat(
	of("copy-of-new", "GET blobs/DIGEST", "HEAD blobs/DIGEST", "POST blobs/uploads/", "GET manifests/latest", "HEAD manifests/latest", "PUT manifests/latest"),
	of("new", "HEAD blobs/DIGEST", "POST blobs/uploads/", "PATCH blobs/uploads/ID", "PUT blobs/uploads/ID",
		"GET manifests/latest", "HEAD manifests/latest", "PUT manifests/latest"),
	pulled("small"))

var pushedLarge = slices.Concat(
	pulled("large"),
	of("new", "HEAD blobs/DIGEST", "POST blobs/uploads/", "PATCH blobs/uploads/ID", "PUT blobs/uploads/ID", "HEAD manifests/latest", "PUT manifests/latest"))

func pulled(repository string) []string {
	return of(repository, "GET blobs/DIGEST", "GET manifests/latest")
}

// of puts a repository into the paths of requests.
func of(repository string, requests ...string) []string {
	for i, r := range requests {
		requests[i] = strings.Replace(r, " ", " /v2/"+repository+"/", 1)
	}
	return requests
}
