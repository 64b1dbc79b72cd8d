//go:build clients

package clients

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// bogus is in the credential of every client.
const bogus = "bogus-of-the-client"

// canaries are the secrets of the apis by name, new in every run.
var canaries = map[string]string{}

func makeCanaries() {
	for _, a := range apis {
		canaries[a.secret] = "canary-" + rand.Text()
	}
}

// form is a way to write a secret.
type form struct{ name, text string }

// forms lists how a secret may hide in other text. Base64 has three, by where the
// secret begins in what is encoded; the characters at either end that depend on
// the neighbours are left out.
func forms(secret string) []form {
	list := []form{{"in plain", secret}, {"in hex", hex.EncodeToString([]byte(secret))}}
	for skip := range 3 {
		encoded := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("x", skip) + secret))
		first := (skip*8 + 5) / 6
		last := (skip + len(secret)) * 8 / 6
		list = append(list, form{"in base64", encoded[first:last]})
	}
	return list
}

// leak says which secret is in the text and how it is written, "" for none.
func leak(text []byte) string {
	s := string(text)
	for name, secret := range canaries {
		for _, f := range forms(secret) {
			if strings.Contains(s, f.text) {
				return name + " " + f.name
			}
		}
	}
	return ""
}

// leakInFiles looks into all files below dir but the largest, which are random and
// compared as a whole.
func leakInFiles(dir string) (file, found string) {
	filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil
		}
		if info, err := d.Info(); err != nil || info.Size() >= largeSize {
			return nil
		}
		data, err := os.ReadFile(path)
		if err == nil && found == "" {
			file, found = path, leak(data)
		}
		return nil
	})
	return file, found
}

// hide takes the secrets out of a text for people.
func hide(text string) string {
	for name, secret := range canaries {
		for _, f := range forms(secret) {
			text = strings.ReplaceAll(text, f.text, "[the secret "+name+" "+f.name+"]")
		}
	}
	return text
}
