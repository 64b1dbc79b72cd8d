package cli

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"keybearer/internal/config"
)

var update = flag.Bool("update", false, "rewrite the manifests of examples")

// The app gets what keybearer env prints for a client that finds its certificates in
// the same place.
//
// seen red: a file that keybearer env had learnt of and the manifest had not.
func TestManifestHasEnv(t *testing.T) {
	run := func(args string) []byte {
		var stdout, stderr bytes.Buffer
		if code := Main(strings.Fields(args+" --config ../../examples/github.yaml"), strings.NewReader(""), &stdout, &stderr); code != 0 {
			t.Fatalf("%s: exit code %d: %s", args, code, stderr.Bytes())
		}
		return stdout.Bytes()
	}
	var want map[string]string
	if err := json.Unmarshal(run("env --format json --mounted-at /run/keybearer"), &want); err != nil {
		t.Fatal(err)
	}
	documents := bytes.Split(run("manifest --app-image agent"), []byte("\n---\n"))
	var pod struct {
		Spec struct {
			Containers []struct {
				Env []struct{ Name, Value string }
			}
		}
	}
	if err := yaml.Unmarshal(documents[len(documents)-1], &pod); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, v := range pod.Spec.Containers[0].Env {
		got[v.Name] = v.Value
	}
	if !maps.Equal(got, want) {
		t.Errorf("the app gets\n%v\nand keybearer env prints\n%v", got, want)
	}
}

// The policy opens the ports that the configuration needs, and no others.
func TestPorts(t *testing.T) {
	const rule = "rules: [{name: a, match_hosts: [\"%s\"], inject_headers: {X-Key: k}, allow_plaintext: %t}]\n"
	for name, tt := range map[string]struct {
		text string
		want []int
	}{
		"any host":       {fmt.Sprintf(rule, "a.example.com", false), []int{80, 443}},
		"rules alone":    {fmt.Sprintf(rule, "a.example.com", false) + "unmatched_hosts: deny", []int{443}},
		"plaintext":      {fmt.Sprintf(rule, "a.example.com", true) + "unmatched_hosts: deny", []int{80, 443}},
		"of a rule":      {fmt.Sprintf(rule, "a.example.com:8443", false), []int{80, 443, 8443}},
		"every":          {fmt.Sprintf(rule, "a.example.com:*", false), nil},
		"no_proxy":       {"no_proxy: [\"git.example.com:22\", 10.0.0.0/8, \"::1\"]", []int{22, 80, 443}},
		"of a vault":     {strings.Replace(fmt.Sprintf(rule, "a.example.com", false), "X-Key: k", `X-Key: "${K}"`, 1) + "unmatched_hosts: deny\nsecrets: {K: {http: {url: \"https://vault.example.com:8200/k\"}}}", []int{443, 8200}},
		"upstream_proxy": {"upstream_proxy: http://proxy.example.com:3128\nunmatched_hosts: deny", []int{443, 3128}},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := config.Load(config.Options{Path: "-", Stdin: strings.NewReader(tt.text)})
			if err != nil {
				t.Fatal(err)
			}
			if got := ports(c); !slices.Equal(got, tt.want) {
				t.Errorf("ports %v, want %v", got, tt.want)
			}
		})
	}
}

// The manifests of examples are what keybearer manifest prints for the policy beside
// them.
func TestExamplesAreManifests(t *testing.T) {
	for file, args := range map[string]string{
		"kubernetes/pod.yaml":           "--format pod --app-image curlimages/curl:latest -- sleep infinity",
		"kubernetes/deployment.yaml":    "--format deployment --app-image curlimages/curl:latest -- sleep infinity",
		"kubernetes/agent-sandbox.yaml": "--format agent-sandbox --app-image curlimages/curl:latest -- sleep infinity",
		"docker-compose.yaml":           "--format compose --app-image curlimages/curl:latest -- -sS https://api.openai.com/v1/models",
	} {
		t.Run(file, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			args := append([]string{"manifest", "--config", "../../examples/openai.yaml"}, strings.Fields(args)...)
			if code := Main(args, strings.NewReader(""), &stdout, &stderr); code != 0 {
				t.Fatalf("exit code %d: %s", code, stderr.Bytes())
			}
			path := filepath.Join("../../examples", file)
			if *update {
				if err := os.WriteFile(path, stdout.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(stdout.Bytes(), want) {
				t.Errorf("%s is another; look at what has changed after go test ./internal/cli -run TestExamplesAreManifests -update", path)
			}
		})
	}
}
