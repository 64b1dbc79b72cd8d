//go:build clients

package clients

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"strings"
)

var npmRegistry = api{
	host: "registry.example.test", path: "/npm",
	rule: `inject_headers: {Authorization: "Bearer ${NPM_TOKEN}"}`,
	name: "Authorization", secret: "NPM_TOKEN", value: "Bearer %s",
	unscrubbed: []string{"/npm/zipped"},
	serve:      (*upstream).npm,
	modes: npmModes(map[string]steps{
		"all": {[]string{
			"GET /npm/@keybearer/test", "GET /npm/@keybearer/test/-/1.0.0.tgz", "POST /npm/-/npm/v1/security/advisories/bulk",
			"GET /npm/@keybearer/new", "PUT /npm/@keybearer/new",
		}, checkDownload},
		"large-upload": {requests: []string{"GET /npm/@keybearer/new", "PUT /npm/@keybearer/new"}},
	}),
}

// npmInstalls is the same for those that only install.
var npmInstalls = api{
	host: npmRegistry.host, path: npmRegistry.path,
	rule: npmRegistry.rule, name: npmRegistry.name, secret: npmRegistry.secret, value: npmRegistry.value,
	unscrubbed: npmRegistry.unscrubbed,
	serve:      npmRegistry.serve,
	modes: npmModes(map[string]steps{
		"all": {[]string{"GET /npm/@keybearer/test", "GET /npm/@keybearer/test/-/1.0.0.tgz"}, checkDownload},
	}),
}

// npmModes adds the modes that are the same for all of them.
func npmModes(modes map[string]steps) map[string]steps {
	maps.Copy(modes, map[string]steps{
		"get":            {requests: []string{"GET /npm/@keybearer/test"}},
		"large-download": {[]string{"GET /npm/@keybearer/large", "GET /npm/@keybearer/large/-/1.0.0.tgz"}, checkLargeDownload},
		"redirect": {[]string{
			"GET /npm/@keybearer/moved", "GET /npm/@keybearer/moved/-/1.0.0.tgz",
			"GET https://" + unmatchedHost + "/npm/@keybearer/elsewhere/-/1.0.0.tgz",
		}, checkDownload},
		"gzip": {[]string{"GET /npm/zipped"}, checkGzip},
	})
	return modes
}

// npm is a registry at /npm. It takes @keybearer/new, and it has
//
//	@keybearer/test   with downloadData
//	@keybearer/large  with the large file
//	@keybearer/moved  as test, but its tarball is on another host
//	zipped            of which there is a description, encoded
func (u *upstream) npm(w http.ResponseWriter, r *http.Request) {
	if !strings.HasPrefix(r.UserAgent(), "npm/") {
		u.silent(r) // of the head
	}
	// The name of a package is one segment, as the client wrote it.
	switch r.Method + " " + strings.ReplaceAll(strings.TrimPrefix(r.URL.EscapedPath(), "/npm/"), "%2F", "%2f") {
	case "GET @keybearer%2ftest":
		packument(w, r, "@keybearer/test", downloadData)
	case "GET @keybearer%2fmoved":
		packument(w, r, "@keybearer/moved", downloadData)
	case "GET @keybearer%2flarge":
		u.largePackage(w, r, packument)
	case "GET @keybearer/test/-/1.0.0.tgz":
		sendTarball(w, r, "@keybearer/test", downloadData)
	case "GET @keybearer/moved/-/1.0.0.tgz":
		http.Redirect(w, r, "https://"+unmatchedHost+"/npm/@keybearer/elsewhere/-/1.0.0.tgz", http.StatusFound)
	case "GET @keybearer/elsewhere/-/1.0.0.tgz":
		sendTarball(w, r, "@keybearer/moved", downloadData)
	case "GET @keybearer/large/-/1.0.0.tgz":
		u.largePackage(w, r, sendTarball)
	case "GET zipped":
		u.zippedPackument(w, r)
	case "POST -/npm/v1/security/advisories/bulk":
		advisories(w, r)
	case "PUT @keybearer%2fnew":
		if err := u.checkPublished(r.Body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusCreated)
		writeJSON(w, map[string]any{"ok": true})
	default:
		http.NotFound(w, r)
	}
}

// packument sends what a registry knows of the package with the data.
func packument(w http.ResponseWriter, r *http.Request, name string, data []byte) {
	writeJSON(w, npmDocument(name, "hello "+w.Header().Get("X-Answer"), map[string]any{
		"integrity": integrity(packageOf(name, data)),
		"tarball":   "https://" + r.Host + "/npm/" + name + "/-/1.0.0.tgz",
	}))
}

// zippedPackument notes what checkGzip looks for.
func (u *upstream) zippedPackument(w http.ResponseWriter, r *http.Request) {
	if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		http.Error(w, "the request accepts no gzip", http.StatusNotAcceptable)
		return
	}
	answer := w.Header().Get("X-Answer")
	u.change(r, func(seen *request) { seen.note, seen.answer = zipped, answer })
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Encoding", "gzip")
	z := gzip.NewWriter(w)
	json.NewEncoder(z).Encode(npmDocument("zipped", "decoded "+answer, map[string]any{}))
	z.Close()
}

func npmDocument(name, description string, dist map[string]any) map[string]any {
	version := map[string]any{"name": name, "version": "1.0.0", "description": description, "dist": dist}
	return map[string]any{
		"name": name, "description": description,
		"dist-tags": map[string]any{"latest": "1.0.0"},
		"versions":  map[string]any{"1.0.0": version},
		"time":      map[string]any{"1.0.0": "2020-01-01T00:00:00Z"}, // some do not take what is a day old
	}
}

func sendTarball(w http.ResponseWriter, _ *http.Request, name string, data []byte) {
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Write(packageOf(name, data))
}

// largePackage has send answer for the package with the large file.
func (u *upstream) largePackage(w http.ResponseWriter, r *http.Request, send func(http.ResponseWriter, *http.Request, string, []byte)) {
	data, err := os.ReadFile(u.large.path)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	send(w, r, "@keybearer/large", data)
}

// advisories knows of none. npm compresses the question.
func advisories(w http.ResponseWriter, r *http.Request) {
	z, err := gzip.NewReader(r.Body)
	if err == nil {
		_, err = io.Copy(io.Discard, z)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	writeJSON(w, map[string]any{})
}

// packageOf makes the same tarball of the same data each time.
func packageOf(name string, data []byte) []byte {
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.NoCompression) // the data is random
	t := tar.NewWriter(z)
	for _, file := range []struct {
		name string
		data []byte
	}{
		{"package.json", fmt.Appendf(nil, `{"name": %q, "version": "1.0.0"}`, name)},
		{"data.bin", data},
	} {
		t.WriteHeader(&tar.Header{Name: "package/" + file.name, Mode: 0o644, Size: int64(len(file.data))})
		t.Write(file.data)
	}
	t.Close()
	z.Close()
	return b.Bytes()
}

func integrity(data []byte) string {
	sum := sha512.Sum512(data)
	return "sha512-" + base64.StdEncoding.EncodeToString(sum[:])
}

// checkPublished: the document holds a tarball of the digest that it names, and in
// it is what the client was to upload.
func (u *upstream) checkPublished(body io.Reader) error {
	var document struct {
		Versions    map[string]struct{ Dist struct{ Integrity string } }
		Attachments map[string]struct{ Data []byte } `json:"_attachments"`
	}
	if err := json.NewDecoder(body).Decode(&document); err != nil {
		return err
	}
	data := document.Attachments["@keybearer/new-1.0.0.tgz"].Data
	if got, want := integrity(data), document.Versions["1.0.0"].Dist.Integrity; got != want {
		return fmt.Errorf("the attachment's digest is %s, the document says %s", got, want)
	}
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return err
	}
	files := tar.NewReader(z)
	for {
		header, err := files.Next()
		if err != nil {
			return fmt.Errorf("package/data.bin is not in the package: %w", err)
		}
		switch {
		case header.Name != "package/data.bin":
			continue
		case header.Size == largeSize:
			return u.large.same(files)
		}
		if got, err := io.ReadAll(files); err != nil || !bytes.Equal(got, uploadData) {
			return fmt.Errorf("%d bytes came of %d, or others: %w", len(got), len(uploadData), err)
		}
		return nil
	}
}
