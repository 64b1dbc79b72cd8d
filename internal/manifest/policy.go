package manifest

type networkPolicy struct {
	typeMeta `yaml:",inline"`
	Metadata meta              `yaml:"metadata"`
	Spec     networkPolicySpec `yaml:"spec"`
}

type networkPolicySpec struct {
	PodSelector selector `yaml:"podSelector"`
	PolicyTypes []string `yaml:"policyTypes"`
	traffic     `yaml:",inline"`
}

// traffic is what is permitted; the rest is not.
type traffic struct {
	Ingress []ingressRule `yaml:"ingress,omitempty"`
	Egress  []egressRule  `yaml:"egress,omitempty"`
}

type ingressRule struct {
	From  []peer       `yaml:"from"`
	Ports []policyPort `yaml:"ports,omitempty"`
}

type egressRule struct {
	To    []peer       `yaml:"to,omitempty"`
	Ports []policyPort `yaml:"ports,omitempty"`
}

type peer struct {
	PodSelector *selector `yaml:"podSelector,omitempty"`
	IPBlock     *ipBlock  `yaml:"ipBlock,omitempty"`
}

type ipBlock struct {
	CIDR   string   `yaml:"cidr"`
	Except []string `yaml:"except,omitempty"`
}

type policyPort struct {
	Protocol string `yaml:"protocol"`
	Port     int    `yaml:"port"`
}

// newPolicy is a NetworkPolicy for the pods with the given labels. A direction is
// restricted if anything is said about it.
func newPolicy(name string, pods map[string]string, t traffic) networkPolicy {
	var types []string
	if t.Ingress != nil {
		types = append(types, "Ingress")
	}
	if t.Egress != nil {
		types = append(types, "Egress")
	}
	return networkPolicy{
		typeMeta: typeMeta{"networking.k8s.io/v1", "NetworkPolicy"},
		Metadata: meta{Name: name},
		Spec:     networkPolicySpec{PodSelector: selector{pods}, PolicyTypes: types, traffic: t},
	}
}

// notPublic are the networks that a wrong name must not lead into: private ones,
// and those of the node and of the cloud's metadata. keybearer refuses them, too,
// unless they are named; the policy holds for the app as well.
var notPublic = struct{ v4, v6 []string }{
	v4: []string{"10.0.0.0/8", "100.64.0.0/10", "168.63.129.16/32", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.168.0.0/16"},
	v6: []string{"64:ff9b::/96", "64:ff9b:1::/48", "fc00::/7", "fe80::/10"},
}

// upstreams are name servers and the ports of upstreams.
func (p Params) upstreams() []egressRule {
	to := []peer{
		{IPBlock: &ipBlock{"0.0.0.0/0", notPublic.v4}},
		{IPBlock: &ipBlock{"::/0", notPublic.v6}},
	}
	for _, network := range p.Networks {
		to = append(to, peer{IPBlock: &ipBlock{CIDR: network.String()}})
	}
	var ports []policyPort
	for _, port := range p.Ports {
		ports = append(ports, policyPort{"TCP", port})
	}
	return []egressRule{
		{Ports: []policyPort{{"UDP", 53}, {"TCP", 53}}},
		{To: to, Ports: ports},
	}
}
