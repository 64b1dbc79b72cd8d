// Package manifest renders keybearer and an app beside it as containers: what
// each of them gets, and above all what the app does not get.
//
// [Write] turns [Params] into the objects of one format. Whatever the format, it
// holds that
//
//   - secrets, policy and the key of the authority are in keybearer's container
//     alone; the app shares nothing with it but the directory with certificates,
//     which are public, and reads that only;
//   - no secret is in what is written: the operator creates the Secret;
//   - the app gets the environment that keybearer env would print.
//
// # What keeps the app from going around the proxy
//
// A pod has one network, whoever is in it: no NetworkPolicy tells the sidecar of
// the formats pod and agent-sandbox from the app beside it. The app gains nothing
// by going around the proxy, as it has no credential, but it can: what these
// formats write limits the pod to the ports that keybearer itself needs, on public
// addresses. In the formats deployment and compose keybearer is alone in its
// network place, and the app reaches it and nothing else, not even a name server.
//
// # How
//
// Objects are structs and encoded by yaml.v3; no text is put together by hand. The
// types have the few fields that are needed, under the names of the Kubernetes and
// Compose specifications. test/manifests decodes what comes out strictly with the
// types of their authors.
package manifest

import (
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"path"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"keybearer/internal/clientenv"
)

// Params say what to render.
type Params struct {
	Name     string   // of the app; its objects are called that, those of keybearer NAME-keybearer
	Image    string   // keybearer's
	AppImage string   // the app's
	AppArgs  []string // for the app; nil: those of its image

	Config     []byte // the configuration, as written; it holds no secrets
	File       string // its name without a directory, for compose
	UpstreamCA []byte // PEM: upstream_ca; nil: none
	Secrets    []Secret

	// Client is what the app needs in its environment, with files in ClientDir.
	// ProxyURL is not looked at, and NoProxy only where the app has another way.
	Client clientenv.Params

	Ports    []int          // of upstreams; nil: every port
	Networks []netip.Prefix // private ones in which upstreams may be

	// ClassicSidecar makes keybearer an ordinary container of the pod, for what
	// knows no native sidecars: Kubernetes before 1.29, and podman. The app then
	// has its certificates when it starts, and may have to wait for the proxy.
	ClassicSidecar bool
}

// Secret is where keybearer looks for a secret of the rules, as the configuration
// has it: in exactly one of these places.
type Secret struct {
	Name string // in the rules; the key in the Kubernetes Secret
	Env  string // a variable
	File string // an absolute path
}

// ClientDir is where the app finds its certificates, and keybearer writes them.
const ClientDir = "/run/keybearer"

// Where keybearer's container has what. The image has the same.
const (
	program      = "/usr/bin/keybearer"
	rootsDir     = "/etc/ssl/certs"
	configDir    = "/etc/keybearer"
	configFile   = "keybearer.yaml"
	upstreamFile = "upstream-ca.pem"
	stateDir     = "/var/lib/keybearer" // of keybearer alone
	authorityDir = stateDir + "/ca"     // the volume itself is open to others, and no place for a key
	port         = 3128
	user         = 65532
)

// formats are the renderings of Write.
var formats = []struct {
	name   string
	render func(Params) ([]object, error)
}{
	{"pod", pods},
	{"deployment", deployments},
	{"agent-sandbox", sandboxTemplate},
	{"compose", composeFile},
}

// object is one document of the output, with what a reader has to know about it.
type object struct {
	comment string // lines of text, without #
	value   any
}

// Formats returns the formats that Write knows:
//
//	pod            a Pod with keybearer as its sidecar
//	deployment     keybearer as a Deployment of its own, and the app's
//	agent-sandbox  a SandboxTemplate of kubernetes-sigs/agent-sandbox
//	compose        a file for docker compose
func Formats() []string {
	var names []string
	for _, f := range formats {
		names = append(names, f.name)
	}
	return names
}

// Write writes the objects in the given format, in one call or not at all.
func Write(w io.Writer, format string, p Params) error {
	i := slices.Index(Formats(), format)
	if i < 0 {
		return fmt.Errorf("unknown format %q; use one of %s", format, strings.Join(Formats(), ", "))
	}
	if err := p.check(); err != nil {
		return err
	}
	p.Secrets = distinct(p.Secrets)
	objects, err := formats[i].render(p)
	if err != nil {
		return fmt.Errorf("format %s: %w", format, err)
	}
	var b bytes.Buffer
	for i, o := range objects {
		if i > 0 {
			b.WriteString("---\n")
		}
		if err := o.write(&b); err != nil {
			return fmt.Errorf("format %s: %w", format, err)
		}
	}
	_, err = w.Write(b.Bytes())
	return err
}

func (o object) write(b *bytes.Buffer) error {
	for line := range strings.Lines(o.comment) {
		b.WriteString(strings.TrimRight("# "+line, " \n") + "\n")
	}
	e := yaml.NewEncoder(b)
	e.SetIndent(2)
	if err := e.Encode(o.value); err != nil {
		return err
	}
	return e.Close()
}

// name is what Kubernetes calls a label of RFC 1035, which a Service has to have.
var name = regexp.MustCompile(`^[a-z]([-a-z0-9]*[a-z0-9])?$`)

func (p Params) check() error {
	const longest = 40 // with what is appended 63, the most that a label may have
	switch {
	case !name.MatchString(p.Name) || len(p.Name) > longest:
		return fmt.Errorf("%q cannot name a Kubernetes object; use up to %d of a-z, 0-9 and -, beginning with a letter", p.Name, longest)
	case p.Image == "":
		return fmt.Errorf("there is no image of keybearer")
	case p.AppImage == "":
		return fmt.Errorf("there is no image of the app")
	}
	for _, s := range p.Secrets {
		if err := s.check(); err != nil {
			return err
		}
	}
	return nil
}

// check refuses files for which there is no place to mount a volume.
func (s Secret) check() error {
	dir, file := s.place()
	switch {
	case s.File == "":
		return nil
	case !strings.HasPrefix(s.File, "/"):
		return fmt.Errorf("secret %s: a container has no file %s; write an absolute path, for example /run/secrets/%[1]s", s.Name, s.File)
	}
	if path.Clean(s.File) != s.File || strings.ContainsAny(s.File, ":\n") || strings.HasPrefix(file, "..") {
		return fmt.Errorf("secret %s: %q is no path to mount a volume at; write another, for example /run/secrets/%[1]s", s.Name, s.File)
	}
	for _, taken := range []string{configDir, stateDir, ClientDir, path.Dir(program), rootsDir, "/dev", "/proc", "/sys"} {
		if within(taken, dir) || within(dir, taken) {
			return fmt.Errorf("secret %s: %s has no directory of its own in the container; write another path, for example /run/secrets/%[1]s", s.Name, s.File)
		}
	}
	return nil
}

// distinct leaves out secrets that have the place of an earlier one: one file, one
// variable has one value.
func distinct(secrets []Secret) (kept []Secret) {
	for _, s := range secrets {
		if !slices.ContainsFunc(kept, func(k Secret) bool { return k.Env == s.Env && k.File == s.File }) {
			kept = append(kept, s)
		}
	}
	return kept
}

// place splits the path of the file.
func (s Secret) place() (dir, file string) {
	i := strings.LastIndexByte(s.File, '/')
	return s.File[:max(i, 0)], s.File[i+1:]
}

// dollars keeps Kubernetes from expanding $(NAME), and compose $NAME: to both, two
// are one that means nothing.
func dollars(s string) string { return strings.ReplaceAll(s, "$", "$$") }

// within reports whether path is dir or something in it.
func within(path, dir string) bool { return strings.HasPrefix(path+"/", dir+"/") }
