// App is what runs in the containers of the test: as the app, an ordinary program
// that calls an API and then looks everywhere for the credential; as the upstream,
// the API.
package main

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

func main() {
	log.SetFlags(0)
	var err error
	switch os.Args[1] {
	case "call":
		err = call(os.Args[2])
	case "upstream":
		err = upstream(os.Args[2])
	default:
		err = fmt.Errorf("unknown mode %q", os.Args[1])
	}
	if err != nil {
		log.Fatal(err)
	}
}

// Report is what the app prints, as one line of JSON.
type Report struct {
	Status    int
	Body      string
	User      int
	Env       []string
	Files     map[string][]byte // by path, what can be read
	Processes map[string][]byte // command line and environment of each, by path
}

// call knows nothing of a proxy but its environment.
func call(target string) error {
	if err := awaitProxy(); err != nil {
		return err
	}
	r := Report{User: os.Getuid(), Env: os.Environ(), Files: map[string][]byte{}, Processes: map[string][]byte{}}
	if err := r.get(target); err != nil {
		return err
	}
	for _, pattern := range []string{"/proc/[0-9]*/cmdline", "/proc/[0-9]*/environ"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			return err
		}
		for _, path := range paths {
			r.Processes[path], _ = os.ReadFile(path)
		}
	}
	if err := r.readFiles(); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

// get asks until the upstream, which starts at the same time, is there.
func (r *Report) get(target string) error {
	for range 100 {
		response, err := http.Get(target)
		if err != nil {
			return err
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil {
			return err
		}
		if r.Status, r.Body = response.StatusCode, string(body); r.Status != http.StatusBadGateway {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	return nil
}

// awaitProxy waits for a proxy that starts at the same time.
func awaitProxy() error {
	u, err := url.Parse(os.Getenv("HTTPS_PROXY"))
	if err != nil {
		return err
	}
	for range 100 {
		var conn net.Conn
		if conn, err = net.Dial("tcp", u.Host); err == nil {
			return conn.Close()
		}
		time.Sleep(100 * time.Millisecond)
	}
	return err
}

// readFiles reads all that is no device and not the kernel's, but this program.
func (r *Report) readFiles() error {
	const enough = 1 << 20
	return filepath.WalkDir("/", func(path string, d fs.DirEntry, err error) error {
		switch {
		case path == "/proc" || path == "/sys" || path == "/dev":
			return fs.SkipDir
		case err != nil || d.IsDir() || path == os.Args[0]:
			return nil // what it may not look into it does not learn from
		}
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Size() < enough {
			r.Files[path], _ = os.ReadFile(path)
		}
		return nil
	})
}

// upstream serves api.example.test with the certificate and the key in its
// environment. It accepts requests whose credential has the given hash.
func upstream(address string) error {
	cert, err := tls.X509KeyPair([]byte(os.Getenv("CERTIFICATE")), []byte(os.Getenv("KEY")))
	if err != nil {
		return err
	}
	server := &http.Server{
		Addr:      address,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			key := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
			if hash := sha256.Sum256([]byte(key)); hex.EncodeToString(hash[:]) != os.Getenv("ACCEPT") {
				http.Error(w, "the credential is wrong", http.StatusUnauthorized)
				return
			}
			io.WriteString(w, "welcome")
		}),
	}
	return server.ListenAndServeTLS("", "")
}
