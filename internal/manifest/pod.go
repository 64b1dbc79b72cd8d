package manifest

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"keybearer/internal/clientenv"
)

func (p Params) proxyName() string { return p.Name + "-keybearer" }

func labels(name string) map[string]string {
	return map[string]string{"app.kubernetes.io/name": name}
}

// pods renders the format pod.
func pods(p Params) ([]object, error) {
	return []object{
		{p.intro(), p.configMap()},
		{sharedNetwork, newPolicy(p.Name, labels(p.Name), traffic{Egress: p.upstreams()})},
		{value: pod{
			typeMeta: typeMeta{"v1", "Pod"},
			Metadata: meta{p.Name, labels(p.Name)},
			Spec:     p.sidecarPod(),
		}},
	}, nil
}

const sharedNetwork = `A pod has one network: this policy holds for keybearer and for the app alike. It
limits both to name servers and to the ports of upstreams on public addresses, and
cannot keep the app from going there without keybearer (and without credentials).
Add the networks of upstreams inside. The format deployment keeps the app apart.`

// intro is what the operator has to do first.
func (p Params) intro() string {
	if len(p.Secrets) == 0 {
		return ""
	}
	lines := "Create the Secret first, from files with one secret each:\n" +
		"  kubectl create secret generic " + p.proxyName()
	for _, s := range p.Secrets {
		lines += " \\\n    --from-file=" + s.Name + "=FILE"
	}
	return lines
}

func (p Params) configMap() configMap {
	data := map[string]string{configFile: string(p.Config)}
	if p.UpstreamCA != nil {
		data[upstreamFile] = string(p.UpstreamCA)
	}
	return configMap{typeMeta{"v1", "ConfigMap"}, meta{Name: p.proxyName()}, data}
}

// sidecarPod is the pod of the app with keybearer in it.
func (p Params) sidecarPod() podSpec {
	keybearer := p.proxyContainer("127.0.0.1", ClientDir)
	keybearer.VolumeMounts = append(keybearer.VolumeMounts, volumeMount{Name: "keybearer-client", MountPath: ClientDir})
	app := p.appContainer(fmt.Sprintf("http://127.0.0.1:%d", port), p.Client.NoProxy)

	spec := p.podSpec(p.proxyVolumes()...)
	spec.Volumes = append(spec.Volumes, volume{Name: "keybearer-client", EmptyDir: &emptyDir{SizeLimit: "8Mi"}})
	if p.ClassicSidecar {
		spec.RestartPolicy = "OnFailure" // podman does not tell init containers from others, and would begin anew
		spec.InitContainers = []container{p.certificates(keybearer)}
		spec.Containers = []container{keybearer, app}
		return spec
	}
	keybearer.RestartPolicy = "Always" // of an init container: that makes it a sidecar
	spec.InitContainers = []container{keybearer}
	spec.Containers = []container{app}
	return spec
}

// certificates has keybearer write the certificates before the app starts: many a
// program reads them once. The proxy itself it has to wait for.
func (p Params) certificates(keybearer container) container {
	return container{
		Name: "certificates", Image: p.Image, ImagePullPolicy: keybearer.ImagePullPolicy,
		Args: []string{"ca", "path"},
		Env:  p.proxySettings("127.0.0.1", ClientDir),
		VolumeMounts: slices.DeleteFunc(slices.Clone(keybearer.VolumeMounts), func(m volumeMount) bool {
			return strings.HasPrefix(m.Name, "keybearer-secrets-")
		}),
		SecurityContext: keybearer.SecurityContext,
	}
}

// podSpec is a pod without containers.
func (p Params) podSpec(volumes ...volume) podSpec {
	spec := podSpec{
		SecurityContext: podSecurity{RunAsNonRoot: true, SeccompProfile: seccomp{"RuntimeDefault"}},
		Volumes:         volumes,
	}
	for _, v := range volumes {
		if v.Secret != nil {
			spec.SecurityContext.FSGroup = user // or its files were root's alone
		}
	}
	return spec
}

// proxyContainer is keybearer, listening on host. Its files for clients are in dir.
func (p Params) proxyContainer(host, dir string) container {
	c := container{
		Name:            "keybearer",
		Image:           p.Image,
		ImagePullPolicy: "IfNotPresent",
		Args:            []string{"serve"},
		Env:             append(p.proxySettings(host, dir), p.secretVariables()...),
		VolumeMounts: append([]volumeMount{
			{"keybearer-config", configDir, true},
			{"keybearer-state", stateDir, false},
		}, p.secretMounts()...),
		Resources:       &resources{map[string]string{"cpu": "50m", "memory": "64Mi"}},
		StartupProbe:    newProbe(1, 30),
		ReadinessProbe:  newProbe(5, 1),
		LivenessProbe:   newProbe(10, 3),
		SecurityContext: newSecurity(user),
	}
	c.SecurityContext.ReadOnlyRootFilesystem = true
	return c
}

// proxySettings are variables, so that they weigh more than the configuration and
// are the same for every command in the container.
func (p Params) proxySettings(host, dir string) []envVar {
	vars := []envVar{
		{Name: "KEYBEARER_CONFIG", Value: configDir + "/" + configFile},
		{Name: "KEYBEARER_LISTEN", Value: fmt.Sprintf("%s:%d", host, port)},
		{Name: "KEYBEARER_CA_DIR", Value: authorityDir},
		{Name: "KEYBEARER_CLIENT_DIR", Value: dir},
	}
	if p.UpstreamCA != nil {
		vars = append(vars, envVar{Name: "KEYBEARER_UPSTREAM_CA", Value: configDir + "/" + upstreamFile})
	}
	return vars
}

// secretVariables are the secrets that keybearer looks for in its environment.
func (p Params) secretVariables() (vars []envVar) {
	for _, s := range p.Secrets {
		if s.Env != "" {
			vars = append(vars, envVar{Name: s.Env, ValueFrom: &envSource{keyRef{p.proxyName(), s.Name}}})
		}
	}
	return vars
}

// secretDirs are the secrets in files, by directory.
func (p Params) secretDirs() map[string][]fileItem {
	dirs := map[string][]fileItem{}
	for _, s := range p.Secrets {
		if dir, file := s.place(); s.File != "" {
			dirs[dir] = append(dirs[dir], fileItem{s.Name, file})
		}
	}
	return dirs
}

func (p Params) secretMounts() (mounts []volumeMount) {
	for i, dir := range slices.Sorted(maps.Keys(p.secretDirs())) {
		mounts = append(mounts, volumeMount{fmt.Sprintf("keybearer-secrets-%d", i), dir, true})
	}
	return mounts
}

// proxyVolumes are those of keybearer's container alone. A whole directory is
// mounted for secrets, and not a file: only so do they follow the Secret.
func (p Params) proxyVolumes() []volume {
	const ownerAndGroup = 0o440
	volumes := []volume{
		{Name: "keybearer-config", ConfigMap: &configMapVolume{p.proxyName()}},
		{Name: "keybearer-state", EmptyDir: &emptyDir{"Memory", "8Mi"}},
	}
	dirs := p.secretDirs()
	for i, dir := range slices.Sorted(maps.Keys(dirs)) {
		volumes = append(volumes, volume{
			Name:   fmt.Sprintf("keybearer-secrets-%d", i),
			Secret: &secretVolume{p.proxyName(), dirs[dir], ownerAndGroup},
		})
	}
	return volumes
}

// appContainer is the app. Its user is not keybearer's, which would be no harm
// with processes kept apart, but is one thing less to think of.
func (p Params) appContainer(proxyURL string, noProxy []string) container {
	const appUser = 1000
	c := container{
		Name:            "app",
		Image:           p.AppImage,
		ImagePullPolicy: "IfNotPresent",
		Args:            p.appArgs(),
		VolumeMounts:    []volumeMount{{"keybearer-client", ClientDir, true}},
		SecurityContext: newSecurity(appUser),
	}
	for _, v := range p.clientVariables(proxyURL, noProxy) {
		// One reference is meant to be expanded.
		value := strings.ReplaceAll(dollars(v.Value), dollars(p.serviceHost()), p.serviceHost())
		c.Env = append(c.Env, envVar{Name: v.Name, Value: value})
	}
	return c
}

func (p Params) appArgs() (args []string) {
	for _, arg := range p.AppArgs {
		args = append(args, dollars(arg))
	}
	return args
}

// clientVariables are what the app needs in its environment.
func (p Params) clientVariables(proxyURL string, noProxy []string) []clientenv.Variable {
	client := p.Client
	client.ProxyURL, client.NoProxy = proxyURL, noProxy
	return clientenv.Variables(client)
}

// newProbe asks keybearer in its own container: it may listen on loopback.
func newProbe(period, failures int) *probe {
	return &probe{execAction{[]string{program, "healthcheck"}}, period, 3, failures}
}

// newSecurity is what the Pod Security Standard "restricted" asks for.
func newSecurity(user int) security {
	return security{
		RunAsNonRoot: true, RunAsUser: user, RunAsGroup: user,
		Capabilities: capabilities{Drop: []string{"ALL"}},
	}
}
