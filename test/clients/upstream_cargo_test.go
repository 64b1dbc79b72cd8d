//go:build clients

package clients

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
)

// crates is a registry at /crates with an index at /crates/index, and the same in gzip
// at /crates/zipped. It takes the crate new, and it has small, moved, whose file is at
// another host, and large. Cargo compares each crate with the digest in the index.
func (u *upstream) crates(w http.ResponseWriter, r *http.Request) {
	place, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/crates/"), "/")
	switch r.Method + " " + place {
	case "GET index":
		u.crateIndex(w, r, name, w)
	case "GET zipped":
		if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			http.Error(w, "the request accepts no gzip", http.StatusNotAcceptable)
			return
		}
		u.note(r, zipped)
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		u.crateIndex(w, r, name, z)
		z.Close()
	case "GET files":
		if name == "moved" && r.Host != unmatchedHost {
			http.Redirect(w, r, "https://"+unmatchedHost+r.URL.Path, http.StatusFound)
			return
		}
		w.Write(u.crate(name))
	case "PUT api":
		if err := u.checkCrate(r.Body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		u.note(r, published)
		writeJSON(w, map[string]any{"warnings": map[string]any{"invalid_categories": []string{}, "invalid_badges": []string{}, "other": []string{}}})
	default:
		http.NotFound(w, r)
	}
}

const published = "brought a crate"

// crateIndex writes a file of the index. With each request comes a token: config.json,
// which says that one is needed, asks for it where keybearer adds none.
func (u *upstream) crateIndex(w http.ResponseWriter, r *http.Request, name string, body io.Writer) {
	name = name[strings.LastIndex(name, "/")+1:]
	switch {
	case r.Header.Get("Authorization") == "":
		u.note(r, challenged)
		w.WriteHeader(http.StatusUnauthorized)
	case name == "config.json":
		base := strings.TrimSuffix(r.URL.Path, "/"+name)
		base = "https://" + r.Host + base[:strings.LastIndex(base, "/")]
		fmt.Fprintf(body, `{"dl": "%[1]s/files/{crate}", "api": "%[1]s", "auth-required": true}`, base)
	case name != "new" || slices.ContainsFunc(u.seen(), func(r request) bool { return r.note == published }):
		fmt.Fprintf(body, `{"name": %q, "vers": "1.0.0", "deps": [], "features": {}, "yanked": false, "cksum": "%x"}`+"\n", name, sha256.Sum256(u.crate(name)))
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// crate makes the same each time.
func (u *upstream) crate(name string) []byte {
	data := downloadData
	if name == "large" {
		data, _ = os.ReadFile(u.large.path) // the client compares
	}
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.NoCompression) // the data is random
	t := tar.NewWriter(z)
	for _, file := range []struct {
		name string
		data []byte
	}{
		{"Cargo.toml", fmt.Appendf(nil, "[package]\nname = %q\nversion = \"1.0.0\"\n", name)},
		{"src/lib.rs", nil},
		{"data.bin", data},
	} {
		t.WriteHeader(&tar.Header{Name: name + "-1.0.0/" + file.name, Mode: 0o644, Size: int64(len(file.data))})
		t.Write(file.data)
	}
	t.Close()
	z.Close()
	return b.Bytes()
}

// checkCrate: the body is a description and a crate, each behind its length, and in the
// crate is what the client was to upload.
func (u *upstream) checkCrate(body io.Reader) error {
	var length uint32
	if err := binary.Read(body, binary.LittleEndian, &length); err != nil {
		return err
	}
	if _, err := io.CopyN(io.Discard, body, int64(length)); err != nil {
		return err
	}
	if err := binary.Read(body, binary.LittleEndian, &length); err != nil {
		return err
	}
	z, err := gzip.NewReader(io.LimitReader(body, int64(length)))
	if err != nil {
		return err
	}
	for files := tar.NewReader(z); ; {
		header, err := files.Next()
		if err != nil {
			return fmt.Errorf("data.bin is not in the crate: %w", err)
		}
		switch {
		case header.Name != "new-1.0.0/data.bin":
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
