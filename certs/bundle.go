package certs

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// SystemRoots returns the system's trusted roots as PEM and the file they came
// from. It looks at well-known places and not at SSL_CERT_FILE, which may name
// a bundle of ours. The error is [fs.ErrNotExist] where the system keeps its
// roots elsewhere, as Windows does, or has none, as an empty container.
func SystemRoots() (pem []byte, path string, err error) {
	return firstBundle(systemBundles)
}

// Bundle returns one PEM file of the certificates in roots and extra, followed
// by a's root. Each appears once. Comments and anything that is not a
// certificate, such as a private key in the same file, are left out.
func Bundle(a *Authority, roots []byte, extra ...[]byte) []byte {
	var out bytes.Buffer
	seen := make(map[string]bool)
	add := func(data []byte) {
		for {
			var block *pem.Block
			block, data = pem.Decode(data)
			if block == nil {
				return
			}
			if block.Type != certificateBlock || seen[string(block.Bytes)] {
				continue
			}
			seen[string(block.Bytes)] = true
			_ = pem.Encode(&out, &pem.Block{Type: certificateBlock, Bytes: block.Bytes}) // a Buffer takes all
		}
	}
	add(roots)
	for _, data := range extra {
		add(data)
	}
	add(a.PEM())
	return out.Bytes()
}

// firstBundle returns the first of paths that holds a certificate.
func firstBundle(paths []string) ([]byte, string, error) {
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, "", fmt.Errorf("system roots: %w", err)
		}
		if bytes.Contains(data, []byte("-----BEGIN "+certificateBlock+"-----")) {
			return data, path, nil
		}
	}
	return nil, "", fmt.Errorf("system roots: %w: looked for %s: install ca-certificates",
		fs.ErrNotExist, strings.Join(paths, ", "))
}
