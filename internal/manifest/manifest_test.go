package manifest

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"keybearer/internal/clientenv"
)

var update = flag.Bool("update", false, "rewrite the files of testdata")

// full has everything, with text that somebody might expand.
func full() Params {
	return Params{
		Name: "agent", Image: "keybearer:1.2.3", AppImage: "agent:latest", AppArgs: []string{"--price", "$(HOME)", "$5"},
		Config: []byte("rules:\n  - {name: a, match_hosts: [api.example.com], inject_headers: {X-Key: \"${API_KEY}\"}}\n"),
		File:   "rules.yaml", UpstreamCA: []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
		Secrets: []Secret{
			{Name: "API_KEY", Env: "API_KEY"},
			{Name: "OTHER", Env: "OTHER_ENV"},
			{Name: "SAME", Env: "OTHER_ENV"},
			{Name: "GITHUB", File: "/run/secrets/github"},
			{Name: "GITHUB_2", File: "/run/secrets/github"},
			{Name: "NPM", File: "/run/secrets/npm"},
			{Name: "CORP", File: "/vault/corp/key"},
		},
		Client: clientenv.Params{
			NoProxy:      []string{".internal.example.com", "localhost"},
			CAFile:       ClientDir + "/added.pem",
			BundleFile:   ClientDir + "/bundle.pem",
			Placeholders: map[string]string{"GH_TOKEN": "placeholder-$(GH_TOKEN)-$$"},
		},
		Ports:    []int{443, 8443},
		Networks: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")},
	}
}

func render(t *testing.T, format string, p Params) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, format, p); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// What is rendered is what somebody has looked at, and what test/manifests decodes.
func TestGolden(t *testing.T) {
	classic := full()
	classic.ClassicSidecar = true
	for _, tt := range []struct {
		name, format string
		params       Params
	}{
		{"pod", "pod", full()},
		{"pod-classic", "pod", classic},
		{"deployment", "deployment", full()},
		{"agent-sandbox", "agent-sandbox", full()},
		{"compose", "compose", full()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, file := render(t, tt.format, tt.params), filepath.Join("testdata", tt.name+".golden.yaml")
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%s is another; look at what has changed after go test -update", file)
			}
		})
	}
}

// node is any mapping.
type node = map[string]any

// In Kubernetes the app's container gets no variable from a Secret and mounts
// nothing but the certificates, to read.
//
// seen red: appContainer with the volumes of proxyContainer.
func TestAppIsGivenNothing(t *testing.T) {
	for _, format := range []string{"pod", "deployment", "agent-sandbox"} {
		for _, classic := range []bool{false, true} {
			p := full()
			p.ClassicSidecar = classic
			apps := 0
			for _, c := range containers(decode(t, render(t, format, p))) {
				if c["name"] != "app" {
					continue
				}
				apps++
				for _, v := range c["env"].([]any) {
					if v.(node)["valueFrom"] != nil {
						t.Errorf("%s: the app is given %v", format, v)
					}
				}
				want := []any{node{"name": "keybearer-client", "mountPath": "/run/keybearer", "readOnly": true}}
				if got := c["volumeMounts"].([]any); !equal(got, want) {
					t.Errorf("%s: the app mounts %v", format, got)
				}
			}
			if apps != 1 {
				t.Errorf("%s: %d containers of the app", format, apps)
			}
		}
	}
}

// The like for compose; and its network has no way out.
func TestComposeAppIsGivenNothing(t *testing.T) {
	file := decode(t, render(t, "compose", full()))[0]
	app := file["services"].(node)["app"].(node)
	for name, value := range app["environment"].(node) {
		if value == nil {
			t.Errorf("the app is given %s of the shell", name)
		}
	}
	if !equal(app["volumes"], []any{"client:/run/keybearer:ro"}) || app["secrets"] != nil {
		t.Errorf("the app mounts %v and %v", app["volumes"], app["secrets"])
	}
	if !equal(app["networks"], []any{"inside"}) || !equal(file["networks"].(node)["inside"], node{"internal": true}) {
		t.Errorf("the app is on %v of %v", app["networks"], file["networks"])
	}
}

// Every container, ours and theirs, does without what "restricted" forbids.
func TestRestricted(t *testing.T) {
	for _, format := range []string{"pod", "deployment", "agent-sandbox"} {
		for _, c := range containers(decode(t, render(t, format, full()))) {
			s := c["securityContext"].(node)
			if s["runAsNonRoot"] != true || s["allowPrivilegeEscalation"] != false ||
				!equal(s["capabilities"], node{"drop": []any{"ALL"}}) ||
				s["readOnlyRootFilesystem"] != (c["name"] != "app") {
				t.Errorf("%s: container %s has %v", format, c["name"], s)
			}
		}
	}
}

// Values reach the app as they are: Kubernetes expands $(NAME), compose $NAME.
func TestNothingExpanded(t *testing.T) {
	for format, want := range map[string]string{
		"pod":        "value: placeholder-$$(GH_TOKEN)-$$$$\n",
		"deployment": "value: http://$(AGENT_KEYBEARER_SERVICE_HOST):3128\n",
		"compose":    "GH_TOKEN: placeholder-$$(GH_TOKEN)-$$$$\n",
	} {
		if got := string(render(t, format, full())); !strings.Contains(got, want) {
			t.Errorf("%s: there is no %q in\n%s", format, want, got)
		}
	}
}

func TestRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*Params)
		want   string
	}{
		"name with a dot":   {func(p *Params) { p.Name = "a.b" }, "cannot name a Kubernetes object"},
		"name with a digit": {func(p *Params) { p.Name = "1a" }, "beginning with a letter"},
		"long name":         {func(p *Params) { p.Name = strings.Repeat("a", 41) }, "up to 40"},
		"no image":          {func(p *Params) { p.AppImage = "" }, "no image of the app"},
		"relative file":     {func(p *Params) { p.Secrets = []Secret{{Name: "KEY", File: "secrets/key"}} }, "write an absolute path, for example /run/secrets/KEY"},
		"file in the root":  {func(p *Params) { p.Secrets = []Secret{{Name: "KEY", File: "/key"}} }, "no directory of its own"},
		"beside the config": {func(p *Params) { p.Secrets = []Secret{{Name: "KEY", File: "/etc/keybearer/secrets/key"}} }, "no directory of its own"},
		"above the state":   {func(p *Params) { p.Secrets = []Secret{{Name: "KEY", File: "/var/lib/key"}} }, "no directory of its own"},
		"for clients":       {func(p *Params) { p.Secrets = []Secret{{Name: "KEY", File: "/run/keybearer/key"}} }, "no directory of its own"},
	} {
		t.Run(name, func(t *testing.T) {
			p := full()
			tt.change(&p)
			var b bytes.Buffer
			if err := Write(&b, "pod", p); err == nil || !strings.Contains(err.Error(), tt.want) || b.Len() > 0 {
				t.Errorf("Write: %v and %d bytes, want an error with %q", err, b.Len(), tt.want)
			}
		})
	}
	if err := Write(io.Discard, "helm", full()); err == nil || !strings.Contains(err.Error(), "use one of pod, deployment, agent-sandbox, compose") {
		t.Errorf("unknown format: %v", err)
	}
}

// A policy that names no port permits every port.
func TestEveryPort(t *testing.T) {
	p := full()
	p.Ports = nil
	for _, object := range decode(t, render(t, "pod", p)) {
		if object["kind"] == "NetworkPolicy" {
			if rule := object["spec"].(node)["egress"].([]any)[1].(node); rule["ports"] != nil || rule["to"] == nil {
				t.Errorf("egress: %v", rule)
			}
		}
	}
}

func decode(t *testing.T, text []byte) (objects []node) {
	t.Helper()
	for d := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var object node
		if err := d.Decode(&object); errors.Is(err, io.EOF) {
			return objects
		} else if err != nil {
			t.Fatal(err)
		}
		objects = append(objects, object)
	}
}

// containers are those anywhere in v.
func containers(v any) (found []node) {
	switch v := v.(type) {
	case []node:
		for _, e := range v {
			found = append(found, containers(e)...)
		}
	case node:
		for key, e := range v {
			if list, ok := e.([]any); ok && (key == "containers" || key == "initContainers") {
				for _, c := range list {
					found = append(found, c.(node))
				}
				continue
			}
			found = append(found, containers(e)...)
		}
	}
	return found
}

func equal(a, b any) bool {
	x, errX := yaml.Marshal(a)
	y, errY := yaml.Marshal(b)
	return errX == nil && errY == nil && slices.Equal(x, y)
}

// Nothing that hands out credentials to a whole machine is public.
//
// Seen red: without the wire server of Azure, Oracle's metadata and NAT64.
func TestNotPublic(t *testing.T) {
	for _, addr := range []string{
		"169.254.169.254", "100.100.100.200", "192.0.0.192", "168.63.129.16",
		"fd00:ec2::254", "fd20:ce::254", "64:ff9b::a9fe:a9fe",
	} {
		closed := slices.ContainsFunc(slices.Concat(notPublic.v4, notPublic.v6), func(network string) bool {
			return netip.MustParsePrefix(network).Contains(netip.MustParseAddr(addr))
		})
		if !closed {
			t.Errorf("the policy lets %s through", addr)
		}
	}
}

// A volume for a secret hides nothing of the image, and has a path that Kubernetes takes.
//
// Seen red: all of them.
func TestSecretPlaces(t *testing.T) {
	for _, file := range []string{
		"/usr/bin/key", "/etc/ssl/certs/key", "/proc/key", "/run/../etc/keybearer/key", "/run/secrets//key",
		"/run/a:b/key", "/run/secrets/..data",
	} {
		if err := (Secret{Name: "KEY", File: file}).check(); err == nil {
			t.Errorf("%s has a place", file)
		}
	}
}
