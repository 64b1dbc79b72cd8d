//go:build clients

package clients

import (
	"archive/zip"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// modules is a proxy of Go modules at /modules. It has example.test/small, moved,
// whose file is at another host, large, and zipped, whose versions come in gzip.
func (u *upstream) modules(w http.ResponseWriter, r *http.Request) {
	name, file, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/modules/example.test/"), "/@v/")
	if file != "list" {
		u.silent(r) // go prints nothing of it; it looks for the right files in the archive
	}
	switch {
	case name == "zipped" && file == "list":
		if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			http.Error(w, "the request accepts no gzip", http.StatusNotAcceptable)
			return
		}
		u.note(r, zipped)
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		fmt.Fprintf(z, "v1.0.0\nv1.0.1-%s\n", w.Header().Get("X-Answer"))
		z.Close()
	case file == "list":
		fmt.Fprintf(w, "v1.0.0\nv1.0.1-%s\n", w.Header().Get("X-Answer"))
	case file == "v1.0.0.info":
		writeJSON(w, map[string]string{"Version": "v1.0.0", "Time": "2026-01-01T00:00:00Z"})
	case file == "v1.0.0.mod":
		fmt.Fprintf(w, "module example.test/%s\n", name)
	case file == "v1.0.0.zip" && name == "moved" && r.Host != unmatchedHost:
		http.Redirect(w, r, "https://"+unmatchedHost+r.URL.Path, http.StatusFound)
	case file == "v1.0.0.zip":
		u.module(w, name)
	default:
		http.NotFound(w, r)
	}
}

// module writes the archive.
func (u *upstream) module(w io.Writer, name string) {
	z := zip.NewWriter(w)
	create := func(file string) io.Writer {
		f, err := z.CreateHeader(&zip.FileHeader{Name: "example.test/" + name + "@v1.0.0/" + file, Method: zip.Store})
		if err != nil {
			panic(http.ErrAbortHandler) // the client has gone
		}
		return f
	}
	fmt.Fprintf(create("go.mod"), "module example.test/%s\n", name)
	if data := create("data.bin"); name != "large" {
		data.Write(downloadData)
	} else if f, err := os.Open(u.large.path); err == nil {
		io.Copy(data, f) // the client's file is compared
		f.Close()
	}
	z.Close()
}

// checkZippedList: the list came in gzip, go's other requests need not.
func checkZippedList(o outcome) error {
	o.requests = o.requests[:1]
	return checkGzip(o)
}

// checkPlainBare: as checkPlain, for a client that sends its own credential over TLS alone.
func checkPlainBare(o outcome) error {
	if o.err != nil {
		return fmt.Errorf("the client failed: %w", o.err)
	}
	for _, r := range o.requests {
		if err := checkNoSecret(r); err != nil {
			return err
		}
	}
	if err := o.checkRequests(o.api.modes[o.mode].requests); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return o.scene.log.await(ctx, o.logged, `"plaintext_not_injected"`)
}
