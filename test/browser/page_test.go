//go:build browser

package browser

import (
	"encoding/base64"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// The page does what testdata/page.test.mjs says, and no secret is in what the browser
// got or in the log.
func TestPage(t *testing.T) {
	w := newWorld(t)
	cmd := exec.CommandContext(t.Context(), "node", "--test", "--test-reporter=spec", "testdata/page.test.mjs")
	cmd.Env = append(os.Environ(), "PAGE=http://"+w.admin+"/", "CONTROL=http://"+w.address+"/", "MODULES="+theModules,
		"CANARIES="+strings.Join(everyForm(), " "))
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		t.Errorf("testdata/page.test.mjs: %v", err)
	}
	for _, form := range everyForm() {
		if strings.Contains(w.logged(), form) {
			t.Errorf("a secret is in the log")
		}
	}
}

// everyForm are the secrets, plain and as base64 at each offset.
func everyForm() (forms []string) {
	for _, secret := range canaries {
		forms = append(forms, secret)
		for offset := range 3 {
			encoded := base64.RawStdEncoding.EncodeToString([]byte("   "[:offset] + secret))
			forms = append(forms, encoded[4:len(encoded)-4]) // without what the neighbours take part in
		}
	}
	return forms
}
