package manifest

// sandbox is a SandboxTemplate of kubernetes-sigs/agent-sandbox.
type sandbox struct {
	typeMeta `yaml:",inline"`
	Metadata meta        `yaml:"metadata"`
	Spec     sandboxSpec `yaml:"spec"`
}

type sandboxSpec struct {
	PodTemplate   podTemplate `yaml:"podTemplate"`
	NetworkPolicy traffic     `yaml:"networkPolicy"` // the controller adds the rest
}

// sandboxTemplate renders the format agent-sandbox. What one says of traffic
// replaces what the controller permits by itself: from the sandbox router, as
// here, and to all ports of public addresses, which here are fewer.
func sandboxTemplate(p Params) ([]object, error) {
	router := peer{PodSelector: &selector{map[string]string{"app": "sandbox-router"}}}
	return []object{
		{p.intro(), p.configMap()},
		{"Each sandbox of this template has a keybearer of its own, with an authority of its\n" +
			"own, as its sidecar.\n\n" + sharedNetwork, sandbox{
			typeMeta: typeMeta{"extensions.agents.x-k8s.io/v1beta1", "SandboxTemplate"},
			Metadata: meta{Name: p.Name},
			Spec: sandboxSpec{
				PodTemplate: podTemplate{meta{Labels: labels(p.Name)}, p.sidecarPod()},
				NetworkPolicy: traffic{
					Ingress: []ingressRule{{From: []peer{router}}},
					Egress:  p.upstreams(),
				},
			},
		}},
	}, nil
}
