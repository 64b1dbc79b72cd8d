package manifest

import (
	"fmt"
	"strings"
)

// serviceHost is the variable that Kubernetes sets to the address of keybearer's
// Service in each container that starts after it, as other values refer to it. So
// the app needs no name server, which would be a way out.
func (p Params) serviceHost() string {
	variable := strings.ToUpper(strings.ReplaceAll(p.proxyName(), "-", "_"))
	return "$(" + variable + "_SERVICE_HOST)"
}

// deployments renders the format deployment.
func deployments(p Params) ([]object, error) {
	app, proxy := labels(p.Name), labels(p.proxyName())
	apps, proxies := peer{PodSelector: &selector{app}}, peer{PodSelector: &selector{proxy}}
	listener := []policyPort{{"TCP", port}}
	return []object{
		{p.introAuthority() + "\n" + p.intro(), p.configMap()},
		{"The app finds keybearer by the variables that this sets in its containers: it has to\n" +
			"be there first. (On a cluster with IPv6 alone, put [ ] around the address.)",
			service{
				typeMeta{"v1", "Service"}, meta{p.proxyName(), proxy},
				serviceSpec{proxy, []servicePort{{"proxy", port}}},
			}},
		{"The app reaches keybearer and nothing else, name servers included.",
			newPolicy(p.Name, app, traffic{Egress: []egressRule{{[]peer{proxies}, listener}}})},
		{"Whoever reaches keybearer can use the credentials: only the app does. Keybearer\n" +
			"reaches name servers and the ports of upstreams on public addresses; add the\n" +
			"networks of upstreams inside.",
			newPolicy(p.proxyName(), proxy, traffic{
				Ingress: []ingressRule{{[]peer{apps}, listener}},
				Egress:  p.upstreams(),
			})},
		{value: newDeployment(p.proxyName(), proxy, p.proxyPod())},
		{value: newDeployment(p.Name, app, p.appPod())},
	}, nil
}

// introAuthority is how the authority comes to keybearer and its certificate to
// the app, which share no directory.
func (p Params) introAuthority() string {
	return "Create the authority first, and hand its key to keybearer and its certificates to\n" +
		"the app:\n" +
		"  keybearer ca init --ca-dir authority --client-dir client --mounted-at " + ClientDir + "\n" +
		"  kubectl create secret generic " + p.authorityName() + " --from-file=authority\n" +
		"  kubectl create configmap " + p.clientName() + " --from-file=client"
}

func (p Params) authorityName() string { return p.proxyName() + "-authority" }
func (p Params) clientName() string    { return p.proxyName() + "-client" }

func newDeployment(name string, labels map[string]string, spec podSpec) deployment {
	return deployment{
		typeMeta{"apps/v1", "Deployment"}, meta{name, labels},
		deploymentSpec{1, selector{labels}, podTemplate{meta{Labels: labels}, spec}},
	}
}

// proxyPod is keybearer alone. Before it starts, the authority is copied to where
// others cannot read the key: the files of a Secret are always their group's, too.
func (p Params) proxyPod() podSpec {
	const source = "/run/authority"
	keybearer := p.proxyContainer("0.0.0.0", stateDir+"/client")
	keybearer.Args = append(keybearer.Args, "--allow-remote") // the policy says who is remote
	keybearer.Ports = []portNumber{{"proxy", port}}

	copies := container{
		Name:            "authority",
		Image:           p.Image,
		ImagePullPolicy: "IfNotPresent",
		Args:            []string{"ca", "import", source},
		Env:             p.proxySettings("0.0.0.0", stateDir+"/client"),
		VolumeMounts: []volumeMount{
			{"keybearer-config", configDir, true},
			{"keybearer-state", stateDir, false},
			{"keybearer-authority", source, true},
		},
		SecurityContext: keybearer.SecurityContext,
	}
	const ownerAndGroup = 0o440
	spec := p.podSpec(append(p.proxyVolumes(), volume{
		Name:   "keybearer-authority",
		Secret: &secretVolume{SecretName: p.authorityName(), DefaultMode: ownerAndGroup},
	})...)
	spec.InitContainers = []container{copies}
	spec.Containers = []container{keybearer}
	return spec
}

// appPod is the app alone. It has no direct way to any host, so no_proxy is not
// for it: keybearer tunnels those hosts.
func (p Params) appPod() podSpec {
	spec := p.podSpec(volume{Name: "keybearer-client", ConfigMap: &configMapVolume{p.clientName()}})
	spec.EnableServiceLinks = true
	spec.Containers = []container{p.appContainer(fmt.Sprintf("http://%s:%d", p.serviceHost(), port), local)}
	return spec
}

// local is what a client that is shut in reaches without a proxy.
var local = []string{"localhost", "127.0.0.1", "::1"}
