// Package manifests decodes what keybearer manifest has rendered with the types of
// those who will read it: Kubernetes, docker compose. It is a module of its own, and
// "make test-manifests" runs it on the golden files of internal/manifest and on the
// manifests of examples, which the tests there hold to what is rendered.
package manifests

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	compose "github.com/compose-spec/compose-go/v2/types"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// sandboxTemplate is the SandboxTemplate of extensions.agents.x-k8s.io/v1beta1, as
// far as we use it, in the types of Kubernetes: agent-sandbox has its Go module in no
// the Go module of agent-sandbox.
type sandboxTemplate struct {
	meta.TypeMeta   `json:",inline"`
	meta.ObjectMeta `json:"metadata"`
	Spec            struct {
		PodTemplate   core.PodTemplateSpec `json:"podTemplate"`
		NetworkPolicy struct {
			Ingress []networking.NetworkPolicyIngressRule `json:"ingress"`
			Egress  []networking.NetworkPolicyEgressRule  `json:"egress"`
		} `json:"networkPolicy"`
	} `json:"spec"`
}

// kinds are what a manifest may hold.
var kinds = map[string]func() any{
	"v1 ConfigMap":                       func() any { return new(core.ConfigMap) },
	"v1 Service":                         func() any { return new(core.Service) },
	"v1 Pod":                             func() any { return new(core.Pod) },
	"apps/v1 Deployment":                 func() any { return new(apps.Deployment) },
	"networking.k8s.io/v1 NetworkPolicy": func() any { return new(networking.NetworkPolicy) },
	"extensions.agents.x-k8s.io/v1beta1 SandboxTemplate": func() any { return new(sandboxTemplate) },
}

// Every field is one that Kubernetes knows, with a value of its type, and what refers
// to something refers to what is there.
//
// seen red: a field of internal/manifest spelt wrongly; a mount of a volume left out.
func TestKubernetes(t *testing.T) {
	files := glob(t, "../../internal/manifest/testdata/*.golden.yaml", "../../examples/kubernetes/*.yaml")
	pods := 0
	for _, file := range files {
		if strings.HasPrefix(filepath.Base(file), "compose") {
			continue
		}
		t.Run(filepath.Base(file), func(t *testing.T) {
			objects := decode(t, file)
			for _, object := range objects {
				if spec, labels := podOf(object); spec != nil {
					pods++
					checkPod(t, spec)
					checkSelected(t, objects, object, labels)
				}
			}
		})
	}
	if len(files) < 8 || pods < 9 {
		t.Errorf("%d files with %d pods: some are missing", len(files), pods)
	}
}

func glob(t *testing.T, patterns ...string) (files []string) {
	t.Helper()
	for _, pattern := range patterns {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(found), err)
		}
		files = append(files, found...)
	}
	return files
}

// decode returns the objects of a file, each strictly decoded as its kind.
func decode(t *testing.T, file string) (objects []any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for document := range bytes.SplitSeq(text, []byte("\n---\n")) {
		var head meta.TypeMeta
		if err := yaml.Unmarshal(document, &head); err != nil {
			t.Fatal(err)
		}
		kind := head.APIVersion + " " + head.Kind
		if kinds[kind] == nil {
			t.Fatalf("unexpected object %q", kind)
		}
		object := kinds[kind]()
		if err := yaml.UnmarshalStrict(document, object); err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		objects = append(objects, object)
	}
	return objects
}

// podOf returns the pod that an object makes, if it makes one.
func podOf(object any) (*core.PodSpec, map[string]string) {
	switch o := object.(type) {
	case *core.Pod:
		return &o.Spec, o.Labels
	case *apps.Deployment:
		return &o.Spec.Template.Spec, o.Spec.Template.Labels
	case *sandboxTemplate:
		return &o.Spec.PodTemplate.Spec, o.Spec.PodTemplate.Labels
	}
	return nil, nil
}

func checkPod(t *testing.T, spec *core.PodSpec) {
	t.Helper()
	volumes := map[string]bool{}
	for _, v := range spec.Volumes {
		volumes[v.Name] = true
	}
	for _, c := range slices.Concat(spec.InitContainers, spec.Containers) {
		if c.RestartPolicy != nil && *c.RestartPolicy != core.ContainerRestartPolicyAlways {
			t.Errorf("container %s: restartPolicy %s", c.Name, *c.RestartPolicy)
		}
		for _, m := range c.VolumeMounts {
			if !volumes[m.Name] {
				t.Errorf("container %s mounts %s, which is no volume", c.Name, m.Name)
			}
		}
		if p := c.LivenessProbe; p != nil && (p.Exec == nil || c.StartupProbe.Exec == nil || c.ReadinessProbe.Exec == nil) {
			t.Errorf("container %s: a probe asks from outside of the pod", c.Name)
		}
	}
	for _, v := range spec.Volumes {
		if v.Secret != nil && (*v.Secret.DefaultMode != 0o440 || spec.SecurityContext.FSGroup == nil) {
			t.Errorf("volume %s: mode %o, or no group that can read it", v.Name, *v.Secret.DefaultMode)
		}
	}
}

// checkSelected demands that a policy holds for the pod, and that a Deployment knows
// its own. The controller of agent-sandbox sees to that itself.
func checkSelected(t *testing.T, objects []any, of any, labels map[string]string) {
	t.Helper()
	if _, ok := of.(*sandboxTemplate); ok {
		return
	}
	if d, ok := of.(*apps.Deployment); ok && !covers(d.Spec.Selector, labels) {
		t.Errorf("%s does not select its own pods", d.Name)
	}
	for _, object := range objects {
		if p, ok := object.(*networking.NetworkPolicy); ok && covers(&p.Spec.PodSelector, labels) &&
			slices.Contains(p.Spec.PolicyTypes, networking.PolicyTypeEgress) && len(p.Spec.Egress) > 0 {
			return
		}
	}
	t.Errorf("no NetworkPolicy limits the pods with %v", labels)
}

func covers(s *meta.LabelSelector, labels map[string]string) bool {
	for name, value := range s.MatchLabels {
		if labels[name] != value {
			return false
		}
	}
	return len(s.MatchLabels) > 0
}

// In the deployment format the app has one way out, to keybearer's pods.
func TestNoOtherWayOut(t *testing.T) {
	const file = "../../examples/kubernetes/deployment.yaml"
	found := false
	for _, object := range decode(t, file) {
		p, ok := object.(*networking.NetworkPolicy)
		if !ok || p.Name != "app" {
			continue
		}
		found = true
		got := fmt.Sprintf("%d rules", len(p.Spec.Egress))
		for _, rule := range p.Spec.Egress {
			for _, to := range rule.To {
				got += fmt.Sprintf(", to %v", to.PodSelector.MatchLabels)
			}
			for _, port := range rule.Ports {
				got += fmt.Sprintf(", port %s", port.Port)
			}
		}
		if want := "1 rules, to map[app.kubernetes.io/name:app-keybearer], port 3128"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if !found {
		t.Errorf("%s holds no policy for the app", file)
	}
}

// Docker compose reads its file, and expands nothing in it.
func TestCompose(t *testing.T) {
	for _, file := range []string{"../../internal/manifest/testdata/compose.golden.yaml", "../../examples/docker-compose.yaml"} {
		t.Run(filepath.Base(file), func(t *testing.T) {
			project := load(t, file)
			app, keybearer := project.Services["app"], project.Services["keybearer"]
			if len(app.Networks) != 1 || !project.Networks["inside"].Internal || len(keybearer.Networks) != 2 {
				t.Errorf("networks: app %v, keybearer %v, %+v", app.Networks, keybearer.Networks, project.Networks)
			}
			if len(app.Secrets) > 0 || len(app.Volumes) != 1 || !app.Volumes[0].ReadOnly || app.Volumes[0].Source != "client" {
				t.Errorf("the app mounts %v, %v", app.Volumes, app.Secrets)
			}
		})
	}
	app := load(t, "../../internal/manifest/testdata/compose.golden.yaml").Services["app"]
	if want := []string{"--price", "$(HOME)", "$5"}; !slices.Equal(app.Command, want) {
		t.Errorf("command %q, want %q", app.Command, want)
	}
	if got, want := *app.Environment["GH_TOKEN"], "placeholder-$(GH_TOKEN)-$$"; got != want {
		t.Errorf("GH_TOKEN=%q, want %q", got, want)
	}
}

func load(t *testing.T, file string) *compose.Project {
	t.Helper()
	project, err := loader.LoadWithContext(context.Background(), compose.ConfigDetails{
		WorkingDir:  filepath.Dir(file),
		ConfigFiles: []compose.ConfigFile{{Filename: file}},
		Environment: compose.Mapping{"API_KEY": "a", "OTHER_ENV": "b", "OPENAI_API_KEY": "c"},
	}, func(o *loader.Options) { o.SetProjectName("test", true) })
	if err != nil {
		t.Fatal(err)
	}
	return project
}
