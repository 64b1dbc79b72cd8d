//go:build containers

package containers

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"keybearer/certs"
)

// canary is the credential. Keybearer's container and the upstream know it.
const canary = "canary-9c41e07b5d"

const (
	rules = `rules:
  - name: api
    match_hosts: ["api.example.test:8443"]
    inject_headers: {Authorization: "Bearer ${API_KEY}"}
`
	target = "https://api.example.test:8443/"
)

// report is what the app prints, see testdata/app.
type report struct {
	Status    int
	Body      string
	User      int
	Env       []string
	Files     map[string][]byte
	Processes map[string][]byte
}

// In the pod that keybearer manifest renders, the app calls the API with a
// credential that is nowhere in its container. (Debian 12's podman knows no native
// sidecar: it would wait for the end of an init container that serves. So this is
// the pod with --classic-sidecar.)
//
// seen red: the variable of the secret given to the app; the volume of the
// certificates taken from it.
func TestPod(t *testing.T) {
	m := needMachine(t)
	r := m.play(t)

	if r.Status != 200 || r.Body != "welcome" || r.User == 0 {
		t.Errorf("user %d gets %d %q, want one that is not root, 200 and welcome", r.User, r.Status, r.Body)
	}
	for _, form := range forms(canary) {
		if strings.Contains(strings.Join(r.Env, "\n"), form) {
			t.Errorf("the credential is in the app's environment, as %s", form)
		}
		for path, data := range merge(r.Files, r.Processes) {
			if bytes.Contains(data, []byte(form)) || strings.Contains(path, form) {
				t.Errorf("the app can read the credential in %s, as %s", path, form)
			}
		}
	}
	for path, data := range r.Files {
		if bytes.Contains(data, []byte("PRIVATE KEY")) {
			t.Errorf("the app can read a key in %s", path)
		}
	}
	// It has looked indeed, and sees no process but its own.
	if len(r.Files["/run/keybearer/bundle.pem"]) == 0 || len(r.Processes) != 2 || len(r.Processes["/proc/1/environ"]) == 0 {
		t.Errorf("the app has read %d files, and of processes %d", len(r.Files), len(r.Processes))
	}
	m.checkProxy(t)
}

// checkProxy looks at keybearer's container.
func (m *machine) checkProxy(t *testing.T) {
	t.Helper()
	// The probe's command. Podman would run it with a shell, which is not there.
	m.must(t, "exec", "app-keybearer", "/usr/bin/keybearer", "healthcheck")
	var containers []struct {
		Config        struct{ User string }
		HostConfig    struct{ ReadonlyRootfs bool }
		EffectiveCaps []string
	}
	m.inspect(t, &containers, "container", "inspect", "app-keybearer")
	if c := containers[0]; !c.HostConfig.ReadonlyRootfs || c.Config.User != "65532:65532" || len(c.EffectiveCaps) > 0 {
		t.Errorf("keybearer runs with more than it needs: %+v", c)
	}
	await(t, func() error { // the record comes after the response
		if log := m.log("app-keybearer"); !strings.Contains(log, `"injected":"Authorization"`) {
			return fmt.Errorf("the log does not tell of the injection:\n%s", log)
		}
		return nil
	})
	if log := m.log("app-keybearer"); strings.Contains(log, canary) {
		t.Errorf("the log tells the credential:\n%s", log)
	}
}

// play runs the pod and returns what the app has found.
func (m *machine) play(t *testing.T) report {
	dir := t.TempDir()
	pod := filepath.Join(dir, "pod.yaml")
	authority, err := certs.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	manifest := m.render(t, dir, authority)
	if err := os.WriteFile(pod, manifest, 0o600); err != nil {
		t.Fatal(err)
	}
	// A Kubernetes Secret, as this podman wants it.
	secret, err := json.Marshal(map[string][]byte{"API_KEY": []byte(canary)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.podmanWith(string(secret), "secret", "create", "app-keybearer", "-"); err != nil {
		t.Fatal(err)
	}
	if _, err := m.podman("kube", "play", "--network", "none", pod); err != nil {
		t.Fatalf("%v\n%s", err, m.logs())
	}
	if code := m.must(t, "wait", "app-app"); strings.TrimSpace(code) != "0" {
		t.Fatalf("the app ended with %s\n%s", code, m.logs())
	}
	var r report
	if err := json.Unmarshal([]byte(m.must(t, "logs", "app-app")), &r); err != nil {
		t.Fatalf("%v\n%s", err, m.logs())
	}
	return r
}

// log is what a container has written to standard output and standard error.
func (m *machine) log(name string) string {
	cmd := exec.Command("podman", "logs", name)
	cmd.Env = m.environ
	out, err := cmd.CombinedOutput()
	if err != nil {
		return err.Error() + "\n" + string(out)
	}
	return string(out)
}

func (m *machine) logs() string {
	var all strings.Builder
	for _, name := range []string{"app-certificates", "app-keybearer", "app-upstream", "app-app"} {
		all.WriteString("== " + name + "\n" + m.log(name))
	}
	return all.String()
}

// render is keybearer manifest, and what the test adds to the pod: the upstream, and
// where keybearer finds it, in a pod without a network.
func (m *machine) render(t *testing.T, dir string, authority *certs.Authority) []byte {
	t.Helper()
	ca := filepath.Join(dir, "upstream-ca.pem")
	config := filepath.Join(dir, "keybearer.yaml")
	if err := errors.Join(os.WriteFile(ca, authority.PEM(), 0o600), os.WriteFile(config, []byte(rules), 0o600)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(m.keybearer, "manifest", "--classic-sidecar", "--config", config, "--upstream-ca", ca,
		"--image", image, "--app-image", appImage, "--", "call", target)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	for d := yaml.NewDecoder(bytes.NewReader(out)); ; {
		var object map[string]any
		if err := d.Decode(&object); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		switch object["kind"] {
		case "NetworkPolicy":
			continue // podman has none
		case "Pod":
			addUpstream(t, object, authority)
		}
		if err := e.Encode(object); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func addUpstream(t *testing.T, pod map[string]any, authority *certs.Authority) {
	t.Helper()
	leaf, err := authority.Leaf("api.example.test")
	if err != nil {
		t.Fatal(err)
	}
	var chain bytes.Buffer
	for _, der := range leaf.Certificate {
		pem.Encode(&chain, &pem.Block{Type: "CERTIFICATE", Bytes: der})
	}
	key, err := x509.MarshalPKCS8PrivateKey(leaf.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	accept := sha256.Sum256([]byte(canary))
	variable := func(name, value string) map[string]string { return map[string]string{"name": name, "value": value} }

	spec := pod["spec"].(map[string]any)
	containers := spec["containers"].([]any)
	keybearer := containers[0].(map[string]any)
	keybearer["args"] = append(keybearer["args"].([]any), "--resolve", "api.example.test:8443:127.0.0.1:8443")
	spec["containers"] = append(containers, map[string]any{
		"name": "upstream", "image": appImage, "args": []string{"upstream", "127.0.0.1:8443"},
		"env": []any{
			variable("CERTIFICATE", chain.String()),
			variable("KEY", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))),
			variable("ACCEPT", hex.EncodeToString(accept[:])),
		},
		"securityContext": map[string]any{"runAsUser": 1001},
	})
}

// forms are the ways in which a credential may be written.
func forms(secret string) []string {
	all := []string{secret, hex.EncodeToString([]byte(secret))}
	for _, before := range []string{"", "B", "Be"} { // each alignment; the ends differ
		text := base64.StdEncoding.EncodeToString([]byte(before + secret))
		all = append(all, text[4:len(text)-4])
	}
	return all
}

func merge(maps ...map[string][]byte) map[string][]byte {
	all := map[string][]byte{}
	for _, m := range maps {
		for name, data := range m {
			all[name] = data
		}
	}
	return all
}
