package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

const examples = "../../examples"

// Each example loads without a warning; those for other programs refer to
// examples that do.
func TestExamples(t *testing.T) {
	for _, file := range glob(t, examples+"/*.yaml") {
		name := filepath.Base(file)
		t.Run(name, func(t *testing.T) {
			switch name {
			case "docker-compose.yaml":
				file = composeConfig(t, file)
			case "github-actions.yaml", "gitlab-ci.yaml":
				t.Skip("not a configuration; test/clients runs its steps")
			}
			c, err := Load(Options{Path: file, Strict: true})
			if err != nil {
				t.Fatal(err)
			}
			if len(c.Set.Rules()) == 0 {
				t.Error("no rules")
			}
		})
	}
}

// composeConfig returns the file that is mounted where KEYBEARER_CONFIG says.
func composeConfig(t *testing.T, file string) string {
	var doc struct {
		Services map[string]struct {
			Environment map[string]string
			Volumes     []string
		}
		Volumes, Networks map[string]any
	}
	decodeFile(t, file, &doc)
	proxy, app := doc.Services["keybearer"], doc.Services["app"]
	for name := range app.Environment {
		if strings.Contains(name, "KEY") {
			t.Errorf("the app is given %s", name)
		}
	}
	if slices.ContainsFunc(app.Volumes, func(v string) bool { return strings.HasPrefix(v, "state:") }) {
		t.Error("the app mounts the keys of the authority")
	}
	for _, v := range proxy.Volumes {
		if source, ok := strings.CutSuffix(v, ":"+proxy.Environment["KEYBEARER_CONFIG"]+":ro"); ok {
			return filepath.Join(filepath.Dir(file), source)
		}
	}
	t.Fatal("no configuration is mounted")
	return ""
}

func decodeFile(t *testing.T, file string, into any) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatal(err)
	}
}
