//go:build clients

package clients

import (
	"archive/tar"
	"bufio"
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// images is a registry. It moves the blobs of the repository moved to another host, as
// registries do that keep them in a bucket. Where keybearer adds no credential it asks
// for one.
func (u *upstream) images(w http.ResponseWriter, r *http.Request) {
	u.remember(r)
	blob := strings.HasPrefix(r.URL.Path, "/v2/moved/blobs/")
	injected := r.Host == imagesHost && r.TLS != nil
	switch _, _, ok := r.BasicAuth(); {
	case injected && blob:
		http.Redirect(w, r, "https://"+unmatchedHost+r.URL.RequestURI(), http.StatusTemporaryRedirect)
	case !injected && !blob && !ok:
		u.note(r, challenged)
		w.Header().Set("WWW-Authenticate", `Basic realm="images"`)
		http.Error(w, "who are you?", http.StatusUnauthorized)
	default:
		u.askRegistry(w, r)
	}
}

// tokens is the same registry at a host that wants a token of another one, tokensHost,
// as Docker Hub does.
func (u *upstream) tokens(w http.ResponseWriter, r *http.Request) {
	u.remember(r)
	switch {
	case r.Host == tokensHost:
		writeJSON(w, map[string]any{"token": shortLived, "expires_in": 300})
	case r.Header.Get("Authorization") != "Bearer "+shortLived:
		w.Header().Set("WWW-Authenticate", `Bearer realm="https://`+tokensHost+`/token",service="images"`)
		http.Error(w, "who are you?", http.StatusUnauthorized)
	default:
		u.askRegistry(w, r)
	}
}

const shortLived = "a-token-for-five-minutes"

// askRegistry passes a request on to theRegistry.
func (u *upstream) askRegistry(w http.ResponseWriter, r *http.Request) {
	registry, err := theRegistry()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	body := &countingReader{Reader: r.Body}
	r.Body = io.NopCloser(body)
	(&httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(registry)
			p.Out.Host = p.In.Host // for Location
			p.Out.Header.Set("X-Forwarded-Proto", "https")
			p.Out.Header.Del("Authorization") // it has been looked at
		},
		ModifyResponse: func(response *http.Response) error {
			switch {
			case response.StatusCode == http.StatusCreated && r.URL.Query().Has("mount"):
				u.note(r, mounted)
			case response.StatusCode == http.StatusAccepted && body.n > 1<<20:
				u.note(r, piece)
			}
			return nil
		},
	}).ServeHTTP(w, r)
}

// What they note.
const (
	challenged = "was told to say who it is"
	mounted    = "took a blob from another repository"
	piece      = "brought a large piece of a layer"
)

// countingReader counts what is read.
type countingReader struct {
	io.Reader
	n int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += int64(n)
	return n, err
}

// remember takes from the path what is another in each run, before the client has an
// answer and may be gone.
func (u *upstream) remember(r *http.Request) {
	u.change(r, func(seen *request) {
		for _, name := range varying {
			seen.path = name.pattern.ReplaceAllString(seen.path, name.text)
		}
		if !strings.Contains(r.UserAgent(), "crane") {
			seen.answer = "" // they do not print heads
		}
	})
}

var varying = []struct {
	pattern *regexp.Regexp
	text    string
}{
	{regexp.MustCompile(`sha256:[0-9a-f]{64}`), "DIGEST"},
	{regexp.MustCompile(`uploads/[^/]+$`), "uploads/ID"},
	{regexp.MustCompile(`new-[0-9-]+`), "new"},
}

// inAnyOrder checks a client that asks for several things at once: what it has asked
// for is compared when sorted. A request before a challenge needs no bogus credential.
func inAnyOrder() map[string]func(outcome) error {
	checks := map[string]func(outcome) error{}
	for _, s := range situations {
		checks[s.name] = func(o outcome) error {
			var requests []request
			for _, r := range o.requests {
				if r.note != challenged {
					requests = append(requests, r)
				} else if err := checkNoSecret(r); err != nil {
					return err
				}
			}
			o.requests = requests
			slices.SortStableFunc(o.requests, func(a, b request) int {
				return cmp.Or(cmp.Compare(a.host, b.host), cmp.Compare(a.path, b.path), cmp.Compare(a.method, b.method))
			})
			return s.check(o)
		}
	}
	return checks
}

// checkCopied: what was pulled in the end is what was there at first, and the copy
// took its layer from the other repository.
func checkCopied(o outcome) error {
	if o.noted(mounted) == 0 {
		return fmt.Errorf("no request %s", mounted)
	}
	return checkDownload(o)
}

// checkPieces: the large layer came in so many.
func checkPieces(want int) func(outcome) error {
	return func(o outcome) error {
		if got := o.noted(piece); got != want {
			return fmt.Errorf("%d requests %s, want %d", got, piece, want)
		}
		return nil
	}
}

// noted counts requests with the note.
func (o outcome) noted(note string) int {
	n := 0
	for _, r := range o.requests {
		if r.note == note {
			n++
		}
	}
	return n
}

// theRegistry starts the program in the module registry, once for all scenes, and
// returns where it is. It ends with this process, which holds its standard input.
// There are the images small and moved with downloadData, and large.
var theRegistry = sync.OnceValues(func() (*url.URL, error) {
	cmd := exec.Command(filepath.Join(theDir, "registry"), filepath.Join(theDir, "images"))
	_, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go cmd.Wait()
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("the registry did not say where it listens: %w", err)
	}
	base := &url.URL{Scheme: "http", Host: strings.TrimSpace(line)}
	large, err := os.ReadFile(filepath.Join(theDir, "large.bin"))
	return base, errors.Join(err,
		pushImage(base, "small", "download.bin", downloadData),
		pushImage(base, "moved", "download.bin", downloadData),
		pushImage(base, "large", "large-download.bin", large))
})

// pushImage makes an image of one layer, with one file in it.
func pushImage(base *url.URL, repository, file string, data []byte) error {
	var layer bytes.Buffer
	t := tar.NewWriter(&layer)
	t.WriteHeader(&tar.Header{Name: file, Mode: 0o644, Size: int64(len(data))})
	t.Write(data)
	t.Close()
	config := fmt.Appendf(nil, `{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[%q]}}`, digest(layer.Bytes()))
	type descriptor struct {
		MediaType string `json:"mediaType"`
		Size      int    `json:"size"`
		Digest    string `json:"digest"`
	}
	describe := func(kind string, data []byte) descriptor {
		return descriptor{"application/vnd.oci.image." + kind, len(data), digest(data)}
	}
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
		"config": describe("config.v1+json", config), "layers": []any{describe("layer.v1.tar", layer.Bytes())},
	})
	place := base.JoinPath("v2", repository)
	return errors.Join(err,
		pushBlob(place, config),
		pushBlob(place, layer.Bytes()),
		put(place.JoinPath("manifests", "latest"), "application/vnd.oci.image.manifest.v1+json", manifest))
}

func digest(data []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(data)) }

func pushBlob(place *url.URL, data []byte) error {
	response, err := http.Post(place.String()+"/blobs/uploads/", "", nil)
	if err != nil {
		return err
	}
	response.Body.Close()
	upload, err := response.Location()
	if err != nil {
		return err
	}
	query := upload.Query()
	query.Set("digest", digest(data))
	upload.RawQuery = query.Encode()
	return put(upload, "application/octet-stream", data)
}

func put(place *url.URL, mediaType string, data []byte) error {
	request, err := http.NewRequest(http.MethodPut, place.String(), bytes.NewReader(data))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", mediaType)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusCreated {
		text, _ := io.ReadAll(response.Body)
		return fmt.Errorf("PUT %s: %s %s", place, response.Status, text)
	}
	return nil
}
