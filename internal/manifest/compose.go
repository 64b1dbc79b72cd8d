package manifest

import (
	"fmt"
	"maps"
	"slices"
)

// The Compose specification, as far as it is needed.

type compose struct {
	Name     string                    `yaml:"name"`
	Services composeServices           `yaml:"services"`
	Networks map[string]composeNetwork `yaml:"networks"`
	Volumes  map[string]struct{}       `yaml:"volumes"`
	Secrets  map[string]composeSecret  `yaml:"secrets,omitempty"`
}

// composeServices is a struct to have an order.
type composeServices struct {
	Keybearer composeService `yaml:"keybearer"`
	App       composeService `yaml:"app"`
}

type composeService struct {
	Image       string               `yaml:"image"`
	Command     []string             `yaml:"command,omitempty"`
	Environment map[string]*string   `yaml:"environment"` // nil: from the shell of docker compose
	Volumes     []string             `yaml:"volumes"`
	Secrets     []composeMount       `yaml:"secrets,omitempty"`
	Networks    []string             `yaml:"networks"`
	DependsOn   map[string]dependsOn `yaml:"depends_on,omitempty"`
	Healthcheck *healthcheck         `yaml:"healthcheck,omitempty"`
	ReadOnly    bool                 `yaml:"read_only,omitempty"`
	CapDrop     []string             `yaml:"cap_drop"`
	SecurityOpt []string             `yaml:"security_opt"`
}

type composeMount struct {
	Source string `yaml:"source"`
	Target string `yaml:"target"`
}

type dependsOn struct {
	Condition string `yaml:"condition"`
}

type healthcheck struct {
	Test     []string `yaml:"test,flow"`
	Interval string   `yaml:"interval"`
	Timeout  string   `yaml:"timeout"`
	Retries  int      `yaml:"retries"`
}

type composeNetwork struct {
	Internal bool `yaml:"internal,omitempty"`
}

type composeSecret struct {
	File string `yaml:"file"`
}

// composeFile renders the format compose. The files that it names are mounted and
// not written into it: what is written is copied into a container when it is made,
// and a container whose files are read-only refuses that.
func composeFile(p Params) ([]object, error) {
	comment := "The app is on a network without a way out but keybearer, which is on both. It gets the\n" +
		"certificates, which are public, and neither the key that signs them nor a secret.\n\n" +
		"Docker compose takes secrets from its own environment, and beside this file it wants\n" +
		"  " + p.File
	file := compose{
		Name:     p.Name,
		Services: composeServices{p.composeProxy(), p.composeApp()},
		Networks: map[string]composeNetwork{"inside": {Internal: true}, "outside": {}},
		Volumes:  map[string]struct{}{"state": {}, "client": {}},
	}
	for _, s := range p.Secrets {
		if s.File != "" {
			if file.Secrets == nil {
				file.Secrets = map[string]composeSecret{}
			}
			file.Secrets[s.Name] = composeSecret{"./secrets/" + s.Name}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(file.Secrets)) {
		comment += "\n  secrets/" + name
	}
	if p.UpstreamCA != nil {
		comment += "\n  " + upstreamFile
	}
	return []object{{comment, file}}, nil
}

func (p Params) composeProxy() composeService {
	s := composeService{
		Image:       p.Image,
		Command:     []string{"serve", "--allow-remote"}, // only the app is on the network
		Environment: map[string]*string{},
		Volumes: []string{
			"./" + dollars(p.File) + ":" + configDir + "/" + configFile + ":ro",
			"state:" + stateDir,
			"client:" + ClientDir,
		},
		Networks: []string{"inside", "outside"},
		Healthcheck: &healthcheck{
			Test: []string{"CMD", program, "healthcheck"}, Interval: "2s", Timeout: "3s", Retries: 15,
		},
		ReadOnly: true,
		CapDrop:  []string{"ALL"}, SecurityOpt: []string{"no-new-privileges:true"},
	}
	for _, v := range p.proxySettings("0.0.0.0", ClientDir) {
		s.Environment[v.Name] = &v.Value
	}
	if p.UpstreamCA != nil {
		s.Volumes = append(s.Volumes, "./"+upstreamFile+":"+configDir+"/"+upstreamFile+":ro")
	}
	for _, secret := range p.Secrets {
		if secret.File != "" {
			s.Secrets = append(s.Secrets, composeMount{secret.Name, dollars(secret.File)})
		} else {
			s.Environment[secret.Env] = nil
		}
	}
	return s
}

func (p Params) composeApp() composeService {
	s := composeService{
		Image:       p.AppImage,
		Command:     p.appArgs(),
		Environment: map[string]*string{},
		Volumes:     []string{"client:" + ClientDir + ":ro"},
		Networks:    []string{"inside"},
		DependsOn:   map[string]dependsOn{"keybearer": {"service_healthy"}},
		CapDrop:     []string{"ALL"}, SecurityOpt: []string{"no-new-privileges:true"},
	}
	noProxy := slices.Clone(local) // there is no direct way to any other host
	for _, v := range p.clientVariables(fmt.Sprintf("http://keybearer:%d", port), noProxy) {
		value := dollars(v.Value)
		s.Environment[v.Name] = &value
	}
	return s
}
