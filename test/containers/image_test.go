//go:build containers

package containers

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// The image is small, and its program is not root's.
//
// seen red: USER taken out of the Dockerfile.
func TestImage(t *testing.T) {
	m := needMachine(t)
	const megabyte = 1_000_000
	var images []struct {
		Size   int
		User   string
		Config struct{ Entrypoint, Cmd []string }
	}
	m.inspect(t, &images, "image", "inspect", image)
	if got := images[0]; got.Size >= 20*megabyte || got.User != "65532:65532" {
		t.Errorf("the image has %d bytes and the user %q, want less than 20 MB and 65532:65532", got.Size, got.User)
	}
	t.Logf("%.1f MB", float64(images[0].Size)/megabyte)
}

// Serve writes to its two volumes alone, and the health check of the image finds it
// well once it is, and not before.
//
// seen red: --chown taken out of the Dockerfile.
func TestServeInContainer(t *testing.T) {
	m := needMachine(t)
	config := filepath.Join(t.TempDir(), "keybearer.yaml")
	if err := os.WriteFile(config, []byte(rules), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := m.podman("run", "--rm", "--network", "none", image, "healthcheck", "--listen", "127.0.0.1:3128"); err == nil {
		t.Error("healthcheck finds a proxy where there is none")
	}
	const name = "serve"
	m.must(t, "run", "--detach", "--name", name, "--network", "none", "--read-only", "--cap-drop", "all",
		"--env", "API_KEY="+canary, "--volume", config+":/etc/keybearer/keybearer.yaml:ro",
		"--volume", "state:/var/lib/keybearer", "--volume", "client:/run/keybearer", image)
	defer m.must(t, "rm", "--force", "--volumes", name)
	await(t, func() error {
		_, err := m.podman("healthcheck", "run", name)
		return err
	})
	var volumes []struct{ Mountpoint string }
	m.inspect(t, &volumes, "volume", "inspect", "client")
	for _, file := range []string{"ca.pem", "added.pem", "bundle.pem", "truststore.p12", "wgetrc"} {
		if _, err := os.Stat(filepath.Join(volumes[0].Mountpoint, file)); err != nil {
			t.Errorf("clients do not get their file: %v", err)
		}
	}
	if files, _ := filepath.Glob(filepath.Join(volumes[0].Mountpoint, "signer*")); len(files) > 0 {
		t.Errorf("clients get the key: %s", files)
	}
}

// What the deployment format does in keybearer's pod: the authority comes from a
// volume whose files belong to root and to the group, and serve uses it.
//
// seen red: the copy with the modes of the volume.
func TestAuthorityFromSecret(t *testing.T) {
	m := needMachine(t)
	const user, name = 65532, "imported"
	dir := t.TempDir()
	config, authority := filepath.Join(dir, "keybearer.yaml"), filepath.Join(dir, "authority")
	key := filepath.Join(authority, "signer.pem")
	if err := os.WriteFile(config, []byte(rules), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := m.run("", m.keybearer, "ca", "init", "--config", config, "--ca-dir", authority); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Chmod(authority, 0o755), os.Chown(key, 0, user), os.Chmod(key, 0o440)); err != nil {
		t.Fatal(err)
	}
	options := []string{"--network", "none", "--read-only", "--cap-drop", "all", "--env", "API_KEY=" + canary,
		"--env", "KEYBEARER_CLIENT_DIR=/var/lib/keybearer/client", "--env", "KEYBEARER_LISTEN=0.0.0.0:3128",
		"--volume", config + ":/etc/keybearer/keybearer.yaml:ro", "--volume", "imported:/var/lib/keybearer"}

	m.must(t, slices.Concat([]string{"run", "--rm", "--volume", authority + ":/run/authority:ro"}, options,
		[]string{image, "ca", "import", "/run/authority"})...)
	m.must(t, slices.Concat([]string{"run", "--detach", "--name", name}, options, []string{image, "serve", "--allow-remote"})...)
	defer m.must(t, "rm", "--force", "--volumes", name)
	await(t, func() error {
		_, err := m.podman("healthcheck", "run", name)
		return err
	})
	want, err := os.ReadFile(filepath.Join(authority, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	var volumes []struct{ Mountpoint string }
	m.inspect(t, &volumes, "volume", "inspect", "imported")
	if got, err := os.ReadFile(filepath.Join(volumes[0].Mountpoint, "client", "ca.pem")); !bytes.Equal(got, want) {
		t.Errorf("serve has another authority: %v\n%s", err, m.log(name))
	}
}

// inspect decodes what podman says about something.
func (m *machine) inspect(t *testing.T, into any, args ...string) {
	t.Helper()
	if err := json.Unmarshal([]byte(m.must(t, args...)), into); err != nil {
		t.Fatal(err)
	}
}

func (m *machine) must(t *testing.T, args ...string) string {
	t.Helper()
	out, err := m.podman(args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// await asks until there is no error.
func await(t *testing.T, ask func() error) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		err := ask()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}
