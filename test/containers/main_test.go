//go:build containers

// Package containers builds the image of the Dockerfile and runs it with podman: by
// itself, and next to an app in the pod that keybearer manifest renders. "make
// test-containers" runs it.
//
// Nothing is pulled, for want of a registry: the stage of the Dockerfile that
// compiles is replaced by a directory with the program, and the app and the
// upstream are a program of testdata in an image of its own. The containers have no
// network but loopback. Images, containers and volumes are in a store of their own,
// which goes when the test ends.
package containers

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Images of the test. Not latest: for that podman would ask a registry.
const (
	image    = "localhost/keybearer:test"
	appImage = "localhost/app:test"
)

// theMachine is the tests' own; theReason says why there is none.
var (
	theMachine *machine
	theReason  error
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "keybearer-test-containers-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "test-containers:", err)
		os.Exit(1)
	}
	theMachine, theReason = newMachine(dir)
	code := m.Run()
	if theMachine != nil {
		if err := theMachine.close(); err != nil {
			fmt.Fprintln(os.Stderr, "test-containers: clean up:", err)
			code = 1
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, "test-containers: clean up:", err)
		code = 1
	}
	os.Exit(code)
}

// needMachine skips a test that cannot run here, which where CI is set is a failure.
func needMachine(t *testing.T) *machine {
	t.Helper()
	if theMachine != nil {
		return theMachine
	}
	if os.Getenv("CI") != "" {
		t.Fatal(theReason)
	}
	t.Skip(theReason)
	return nil
}

// machine is podman with a store of its own.
type machine struct {
	dir       string
	keybearer string // the program
	environ   []string
	cgroups   []string // that were there before
}

// newMachine installs what is missing, and builds programs and images.
func newMachine(dir string) (*machine, error) {
	if os.Getuid() != 0 {
		return nil, errors.New("containers are run as root; run make test-containers as root")
	}
	if err := install(); err != nil {
		return nil, err
	}
	m := &machine{dir: dir, keybearer: filepath.Join(dir, "image", "out", "keybearer"), cgroups: cgroups()}
	if err := m.configure(); err != nil {
		return nil, err
	}
	if err := m.build(); err != nil {
		return nil, err
	}
	if out, err := m.podman("run", "--rm", "--network", "none", image, "version"); err != nil {
		return nil, fmt.Errorf("no container can be run here: %w\n%s", err, out)
	}
	return m, nil
}

// install gets what is missing from Debian.
func install() error {
	packages := map[string]string{
		"podman": "podman", "buildah": "buildah", "runc": "runc",
		"/usr/libexec/podman/catatonit": "catatonit",
		"/usr/lib/podman/netavark":      "netavark",
	}
	var missing []string
	for program, name := range packages {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	slices.Sort(missing)
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("not installed: %s; there is no apt-get here, install them by hand", strings.Join(missing, " "))
	}
	fmt.Println("installing", strings.Join(missing, " "))
	for _, args := range [][]string{{"update", "-q"}, append([]string{"install", "-q", "-y", "--no-install-recommends"}, missing...)} {
		cmd := exec.Command("apt-get", append([]string{"-o", "DPkg::Lock::Timeout=300"}, args...)...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("apt-get %s: %w\n%s", args[0], err, out)
		}
	}
	return nil
}

// configure writes podman's settings. Its locks are in files, as those in shared
// memory would be those of the machine's own podman; its limits are below those
// that a container may have inherited.
func (m *machine) configure() error {
	containers, storage := filepath.Join(m.dir, "containers.conf"), filepath.Join(m.dir, "storage.conf")
	m.environ = append(os.Environ(), "CONTAINERS_CONF="+containers, "CONTAINERS_STORAGE_CONF="+storage)
	return errors.Join(
		os.WriteFile(containers, fmt.Appendf(nil, `[containers]
default_ulimits = ["nofile=20000:20000", "nproc=10000:10000"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
tmp_dir = %[1]q
volume_path = %[2]q
`, filepath.Join(m.dir, "tmp"), filepath.Join(m.dir, "volumes")), 0o600),
		os.WriteFile(storage, fmt.Appendf(nil, `[storage]
driver = "vfs"
graphroot = %[1]q
runroot = %[2]q
`, filepath.Join(m.dir, "root"), filepath.Join(m.dir, "run")), 0o600))
}

// build makes the programs and the images. The one of keybearer is the Dockerfile's
// last stage, with a directory in place of the first.
func (m *machine) build() error {
	const root = "../.."
	context, app := filepath.Join(m.dir, "image"), filepath.Join(m.dir, "app")
	for _, dir := range []string{filepath.Join(context, "etc/ssl/certs"), filepath.Join(context, "out/empty"), app} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	roots, err := os.ReadFile("/etc/ssl/certs/ca-certificates.crt")
	if err != nil {
		return err
	}
	buildah := []string{"buildah", "build", "--quiet", "--isolation", "chroot", "--format", "docker"}
	return errors.Join(
		os.WriteFile(filepath.Join(context, "etc/ssl/certs/ca-certificates.crt"), roots, 0o644),
		os.WriteFile(filepath.Join(app, "Dockerfile"), []byte("FROM scratch\nCOPY app /app\nENTRYPOINT [\"/app\"]\n"), 0o644),
		m.run(root, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", m.keybearer, "."),
		m.run("", "go", "build", "-o", filepath.Join(app, "app"), "./testdata/app"),
		m.run(root, append(buildah, "--build-context", "build="+context, "--tag", image, ".")...),
		m.run(app, append(buildah, "--tag", appImage, ".")...))
}

// run runs a command quietly.
func (m *machine) run(dir string, command ...string) error {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir, cmd.Env = dir, append(slices.Clone(m.environ), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(command, " "), err, out)
	}
	return nil
}

// podman returns what a command of podman prints to standard output. Without
// systemd it complains of timers that nobody here needs: what it says on standard
// error is only told if it fails.
func (m *machine) podman(args ...string) (string, error) {
	return m.podmanWith("", args...)
}

func (m *machine) podmanWith(stdin string, args ...string) (string, error) {
	var stderr strings.Builder
	cmd := exec.Command("podman", args...)
	cmd.Env, cmd.Stdin, cmd.Stderr = m.environ, strings.NewReader(stdin), &stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("podman %s: %w\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return string(out), err
}

// close ends what still runs in the store.
func (m *machine) close() error {
	_, pods := m.podman("pod", "rm", "--all", "--force")
	_, containers := m.podman("rm", "--all", "--force")
	for _, cgroup := range cgroups() {
		if !slices.Contains(m.cgroups, cgroup) {
			os.Remove(cgroup) // one that a process is in stays
		}
	}
	return errors.Join(pods, containers)
}

// cgroups are those of podman, inner ones first. It leaves them when they are empty.
func cgroups() (found []string) {
	for _, pattern := range []string{"/libpod_parent/*/*", "/libpod_parent/*", "/libpod_parent"} {
		for _, root := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/*"} { // version 2, version 1
			paths, _ := filepath.Glob(root + pattern)
			found = append(found, paths...)
		}
	}
	return slices.DeleteFunc(found, func(path string) bool {
		info, err := os.Stat(path)
		return err != nil || !info.IsDir()
	})
}
