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
	for _, file := range glob(t, examples+"/*") {
		name := filepath.Base(file)
		t.Run(name, func(t *testing.T) {
			switch name {
			case "docker-compose.yaml":
				file = composeConfig(t, file)
			case "github-actions.yaml":
				file = workflowConfig(t, file)
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
	if slices.ContainsFunc(app.Volumes, func(v string) bool { return strings.HasPrefix(v, "authority:") }) {
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

// workflowConfig returns the file that KEYBEARER_CONFIG names.
func workflowConfig(t *testing.T, file string) string {
	var doc struct {
		Env  map[string]string
		Jobs map[string]struct {
			Steps []struct{ Run string }
		}
	}
	decodeFile(t, file, &doc)
	for job, want := range map[string]string{"run": "keybearer run -- ", "background": "keybearer serve "} {
		found := false
		for _, step := range doc.Jobs[job].Steps {
			found = found || strings.Contains(step.Run, want)
		}
		if !found {
			t.Errorf("job %s has no step with %q", job, want)
		}
	}
	return filepath.Join("..", "..", doc.Env["KEYBEARER_CONFIG"])
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
