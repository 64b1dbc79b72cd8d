//go:build clients

package clients

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
)

// indexExample is the example's host with an index of Python packages, PEP 503.
// There are three, of a file each that is beside its page: small, large and moved,
// whose file is at another host. Pip compares each file with the digest on the page.
var indexExample = exampleWith((*upstream).index, map[string]steps{
	"get":            {requests: []string{"GET /v1/simple/small/"}},
	"all":            {[]string{"GET /v1/simple/small/", "GET " + smallWheel.path()}, smallWheel.checkSaved},
	"large-download": {[]string{"GET /v1/simple/large/", "GET " + largeWheel.path()}, largeWheel.checkSaved},
	"redirect": {
		[]string{"GET /v1/simple/moved/", "GET " + movedWheel.path(), "GET https://" + unmatchedHost + movedWheel.path()},
		movedWheel.checkSaved,
	},
	"gzip": {[]string{"GET /v1/gzip", "GET " + smallWheel.path()}, checkZippedPage},
})

// exampleWith is the example's host for clients of a protocol of their own. Its
// rules are the example's: it is not to be listed with the APIs.
func exampleWith(serve func(*upstream, http.ResponseWriter, *http.Request), modes map[string]steps) api {
	a := example
	a.serve, a.modes = serve, modes
	return a
}

// wheel is a package, made when it is first asked for.
type wheel struct {
	name string
	data func() []byte
}

var (
	smallWheel = newWheel("small", 1<<10)
	movedWheel = newWheel("moved", 1<<10)
	largeWheel = newWheel("large", largeSize)
)

func newWheel(name string, size int) wheel {
	return wheel{name, sync.OnceValue(func() []byte { return packWheel(name, randomBytes(size)) })}
}

func (w wheel) file() string { return w.name + "-1.0-py3-none-any.whl" }
func (w wheel) path() string { return "/v1/simple/" + w.name + "/" + w.file() }

// page links to the file.
func (w wheel) page() string {
	return fmt.Sprintf("<!DOCTYPE html>\n<title>%[1]s</title>\n<a href=\"%[2]s#sha256=%[3]x\">%[4]s</a>\n",
		w.name, (&url.URL{Path: w.path()}).String(), sha256.Sum256(w.data()), w.file())
}

// checkSaved: the file has been downloaded, whole.
func (w wheel) checkSaved(o outcome) error {
	got, err := os.ReadFile(filepath.Join(o.dir, w.file()))
	if err != nil {
		return err
	}
	if want := w.data(); !bytes.Equal(got, want) {
		return fmt.Errorf("%s has %d bytes that differ from the %d that the upstream sent", w.file(), len(got), len(want))
	}
	return nil
}

// packWheel makes what pip takes for a package, with data in it.
func packWheel(name string, data []byte) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	var errs []error
	for _, f := range []struct {
		name string
		data []byte
	}{
		{name + "/data", data},
		{name + "-1.0.dist-info/METADATA", []byte("Metadata-Version: 2.1\nName: " + name + "\nVersion: 1.0\n")},
		{name + "-1.0.dist-info/WHEEL", []byte("Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")},
		{name + "-1.0.dist-info/RECORD", nil},
	} {
		w, err := z.CreateHeader(&zip.FileHeader{Name: f.name, Method: zip.Store})
		if err == nil {
			_, err = w.Write(f.data)
		}
		errs = append(errs, err)
	}
	if err := errors.Join(append(errs, z.Close())...); err != nil {
		panic(err) // a buffer takes all
	}
	return b.Bytes()
}

// index serves the pages and files.
func (u *upstream) index(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/v1/gzip" {
		u.zippedPage(w, r)
		return
	}
	for _, wheel := range []wheel{smallWheel, largeWheel, movedWheel} {
		switch {
		case r.URL.Path == path.Dir(wheel.path())+"/":
			w.Header().Set("Content-Type", "text/html")
			io.WriteString(w, wheel.page())
			return
		case r.URL.Path == wheel.path() && wheel.name == movedWheel.name && r.Host != unmatchedHost:
			http.Redirect(w, r, "https://"+unmatchedHost+wheel.path(), http.StatusFound)
			return
		case r.URL.Path == wheel.path():
			w.Header().Set("Content-Type", "application/octet-stream")
			w.Write(wheel.data())
			return
		}
	}
	http.NotFound(w, r)
}

// zippedPage is the page of the small package, in gzip.
func (u *upstream) zippedPage(w http.ResponseWriter, r *http.Request) {
	if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		http.Error(w, "the request accepts no gzip", http.StatusNotAcceptable)
		return
	}
	u.note(r, zipped)
	w.Header().Set("Content-Type", "text/html")
	w.Header().Set("Content-Encoding", "gzip")
	z := gzip.NewWriter(w)
	io.WriteString(z, smallWheel.page())
	z.Close()
}

// checkZippedPage: pip could read the page that came in gzip, for it has the file.
func checkZippedPage(o outcome) error {
	if note := o.requests[0].note; note != zipped {
		return fmt.Errorf("%s: the page was not sent in gzip; see scrub_responses in proxy/exchange.go", o.requests[0])
	}
	return smallWheel.checkSaved(o)
}
