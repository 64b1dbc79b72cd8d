//go:build clients

package clients

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"net/http"
	"strings"
)

// debianExample is the example's host with a repository of Debian packages. It is
// not signed, apt is told to trust it; each file is compared with the digest in the
// index, the index with the one in Release.
var debianExample = exampleWith((*upstream).debian, map[string]steps{
	"get":            {requests: debianRequests()},
	"all":            {debianRequests("GET "+debianPool+"small.deb", "GET "+debianPool+"other.deb"), checkDownload},
	"large-download": {debianRequests("GET " + debianPool + "large.deb"), checkLargeDownload},
	"redirect": {
		debianRequests("GET "+debianPool+"moved.deb", "GET https://"+unmatchedHost+debianPool+"moved.deb"),
		checkDownload,
	},
})

const (
	debianRoot = "/v1/debian/"
	debianPool = debianRoot + "pool/"
)

// debianRequests are those of an update, which looks for signatures as well, and more.
func debianRequests(more ...string) []string {
	const dist = "GET " + debianRoot + "dists/stable/"
	return append([]string{dist + "InRelease", dist + "Release", dist + "Release.gpg", dist + "main/binary-amd64/Packages.gz"}, more...)
}

// debian serves the repository. To apt a package is a file of a length and a digest.
func (u *upstream) debian(w http.ResponseWriter, r *http.Request) {
	switch name := strings.TrimPrefix(r.URL.Path, debianRoot); name {
	case "dists/stable/Release":
		fmt.Fprint(w, "Suite: stable\nCodename: stable\nArchitectures: amd64\nComponents: main\nDate: Thu, 01 Jan 2026 00:00:00 UTC\nSHA256:\n")
		index := u.debianIndex()
		for suffix, data := range map[string][]byte{"": index, ".gz": gzipped(index)} {
			fmt.Fprintf(w, " %x %d main/binary-amd64/Packages%s\n", sha256.Sum256(data), len(data), suffix)
		}
	case "dists/stable/main/binary-amd64/Packages.gz":
		w.Header().Set("Content-Type", "application/gzip")
		w.Write(gzipped(u.debianIndex()))
	case "pool/small.deb", "pool/other.deb":
		w.Write(downloadData)
	case "pool/large.deb":
		http.ServeFile(w, r, u.large.path)
	case "pool/moved.deb":
		if r.Host == unmatchedHost {
			w.Write(downloadData)
			return
		}
		http.Redirect(w, r, "https://"+unmatchedHost+r.URL.Path, http.StatusFound)
	default:
		http.NotFound(w, r)
	}
}

// debianIndex describes the packages.
func (u *upstream) debianIndex() []byte {
	var b bytes.Buffer
	for _, name := range []string{"small", "other", "moved", "large"} {
		size, sum := len(downloadData), sha256.Sum256(downloadData)
		if name == "large" {
			size, sum = largeSize, u.large.sum
		}
		fmt.Fprintf(&b, "Package: %s\nVersion: 1.0\nArchitecture: amd64\nMaintainer: nobody\nDescription: a test\n"+
			"Filename: pool/%s.deb\nSize: %d\nSHA256: %x\n\n", name, name, size, sum)
	}
	return b.Bytes()
}

// gzipped compresses, the same each time.
func gzipped(data []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write(data) // a buffer takes all
	z.Close()
	return b.Bytes()
}
