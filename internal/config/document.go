package config

import (
	"reflect"

	"gopkg.in/yaml.v3"

	"keybearer/rules"
)

// plainFile is a file whose root is the policy.
type plainFile struct {
	proxyConfig `yaml:",inline"`
	ownKeys     `yaml:",inline"`
}

// sandboxFile is a LangSmith template or sandbox document, with our own keys
// beside its own if one likes. Those of its own fields whose type is known are
// checked and then, like all others, ignored.
type sandboxFile struct {
	ProxyConfig proxyConfig `yaml:"proxy_config" doc:"The policy."`
	ownKeys     `yaml:",inline"`

	Name                   string            `yaml:"name" doc:"LangSmith: ignored."`
	Image                  string            `yaml:"image" doc:"LangSmith: ignored."`
	Description            string            `yaml:"description" doc:"LangSmith: ignored."`
	ID                     string            `yaml:"id" doc:"LangSmith: ignored."`
	RegistryName           string            `yaml:"registry_name" doc:"LangSmith: ignored."`
	TemplateName           string            `yaml:"template_name" doc:"LangSmith: ignored."`
	Snapshot               string            `yaml:"snapshot" doc:"LangSmith: ignored."`
	SnapshotID             string            `yaml:"snapshot_id" doc:"LangSmith: ignored."`
	SnapshotName           string            `yaml:"snapshot_name" doc:"LangSmith: ignored."`
	Resources              *resources        `yaml:"resources" doc:"LangSmith: ignored."`
	VolumeMounts           []volumeMount     `yaml:"volume_mounts" doc:"LangSmith: ignored."`
	EnvVars                map[string]string `yaml:"env_vars" doc:"LangSmith: ignored."`
	Labels                 map[string]string `yaml:"labels" doc:"LangSmith: ignored."`
	VCPUs                  int64             `yaml:"vcpus" doc:"LangSmith: ignored."`
	CPUMillicores          int64             `yaml:"cpu_millicores" doc:"LangSmith: ignored."`
	MemBytes               int64             `yaml:"mem_bytes" doc:"LangSmith: ignored."`
	FSCapacityBytes        int64             `yaml:"fs_capacity_bytes" doc:"LangSmith: ignored."`
	TTLSeconds             int64             `yaml:"ttl_seconds" doc:"LangSmith: ignored."`
	IdleTTLSeconds         int64             `yaml:"idle_ttl_seconds" doc:"LangSmith: ignored."`
	DeleteAfterStopSeconds int64             `yaml:"delete_after_stop_seconds" doc:"LangSmith: ignored."`
	WaitForReady           bool              `yaml:"wait_for_ready" doc:"LangSmith: ignored."`
}

// proxyConfig is the policy and the one key of LangSmith's ProxyConfig that
// has no meaning for rules.Compile.
type proxyConfig struct {
	rules.Config `yaml:",inline"`
	Description  string `yaml:"description" doc:"For people."`
}

// ownKeys are those that LangSmith does not know.
type ownKeys struct {
	Secrets      map[string]source `yaml:"secrets" doc:"Where secrets come from, by name; a secret that is not listed is looked up in secrets_dir, env_file and the environment."`
	settingsKeys `yaml:",inline"`
}

type resources struct {
	CPU     string `yaml:"cpu" doc:"LangSmith: ignored."`
	Memory  string `yaml:"memory" doc:"LangSmith: ignored."`
	Storage string `yaml:"storage" doc:"LangSmith: ignored."`
}

type volumeMount struct {
	VolumeName string `yaml:"volume_name" doc:"LangSmith: ignored."`
	MountPath  string `yaml:"mount_path" doc:"LangSmith: ignored."`
}

// unsupported are the keys of LangSmith documents that keybearer knows and does
// not implement. They are errors: a rule that silently does nothing is worse
// than none. Empty values, which API answers are full of, are accepted.
var unsupported = map[reflect.Type]map[string]string{
	reflect.TypeFor[rules.RuleConfig](): {
		"azure":   "not implemented by keybearer yet; requests cannot be signed for Azure: remove the rule",
		"rewrite": "not implemented by keybearer; a request goes to the host that the client names: remove the rule, or have clients name the other host",
	},
	reflect.TypeFor[rules.HeaderConfig](): {"is_set": isSet},
	reflect.TypeFor[rules.SecretConfig](): {"is_set": isSet},
	reflect.TypeFor[rules.GCPConfig](): {
		"workload_identity": "not implemented by keybearer yet; use service_account_json",
	},
	reflect.TypeFor[rules.AWSConfig](): {
		"role_arn":      roleARN,
		"subject_scope": roleARN,
	},
}

const (
	isSet   = "LangSmith returns this in place of a value that it keeps to itself; remove it and write the value as {NAME}"
	roleARN = "not implemented by keybearer; LangSmith assumes the role with a token of its own: use access_key_id, secret_access_key and session_token, " +
		"which secrets may fetch (exec, http)"
)

// document is either kind of file, decoded.
type document struct {
	policy   rules.Config
	secrets  map[string]source
	settings settingsKeys
}

// document decodes root. policyPath is what precedes the paths of the policy.
func (d *decoder) document(root *yaml.Node) (doc document, policyPath string) {
	if lookUp(root, "proxy_config") == nil {
		var f plainFile
		d.value(root, "", reflect.ValueOf(&f).Elem(), field{})
		return document{f.Config, f.Secrets, f.settingsKeys}, ""
	}
	var f sandboxFile
	d.value(root, "", reflect.ValueOf(&f).Elem(), field{})
	return document{f.ProxyConfig.Config, f.Secrets, f.settingsKeys}, "proxy_config."
}
