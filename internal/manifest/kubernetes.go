package manifest

import "gopkg.in/yaml.v3"

// The objects of Kubernetes, as far as they are needed.

type meta struct {
	Name   string            `yaml:"name,omitempty"`
	Labels map[string]string `yaml:"labels,omitempty"`
}

type configMap struct {
	typeMeta `yaml:",inline"`
	Metadata meta              `yaml:"metadata"`
	Data     map[string]string `yaml:"data"`
}

type typeMeta struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string `yaml:"kind"`
}

type pod struct {
	typeMeta `yaml:",inline"`
	Metadata meta    `yaml:"metadata"`
	Spec     podSpec `yaml:"spec"`
}

type podTemplate struct {
	Metadata meta    `yaml:"metadata"`
	Spec     podSpec `yaml:"spec"`
}

type podSpec struct {
	AutomountServiceAccountToken bool        `yaml:"automountServiceAccountToken"`
	EnableServiceLinks           bool        `yaml:"enableServiceLinks"`
	ShareProcessNamespace        bool        `yaml:"shareProcessNamespace"`
	RestartPolicy                string      `yaml:"restartPolicy,omitempty"`
	SecurityContext              podSecurity `yaml:"securityContext"`
	InitContainers               []container `yaml:"initContainers,omitempty"`
	Containers                   []container `yaml:"containers"`
	Volumes                      []volume    `yaml:"volumes"`
}

type podSecurity struct {
	RunAsNonRoot   bool    `yaml:"runAsNonRoot"`
	FSGroup        int     `yaml:"fsGroup,omitempty"`
	SeccompProfile seccomp `yaml:"seccompProfile"`
}

type seccomp struct {
	Type string `yaml:"type"`
}

type container struct {
	Name            string        `yaml:"name"`
	Image           string        `yaml:"image"`
	ImagePullPolicy string        `yaml:"imagePullPolicy"`
	RestartPolicy   string        `yaml:"restartPolicy,omitempty"`
	Command         []string      `yaml:"command,omitempty"`
	Args            []string      `yaml:"args,omitempty"`
	Ports           []portNumber  `yaml:"ports,omitempty"`
	Env             []envVar      `yaml:"env,omitempty"`
	VolumeMounts    []volumeMount `yaml:"volumeMounts"`
	Resources       *resources    `yaml:"resources,omitempty"`
	StartupProbe    *probe        `yaml:"startupProbe,omitempty"`
	ReadinessProbe  *probe        `yaml:"readinessProbe,omitempty"`
	LivenessProbe   *probe        `yaml:"livenessProbe,omitempty"`
	SecurityContext security      `yaml:"securityContext"`
}

type portNumber struct {
	Name          string `yaml:"name"`
	ContainerPort int    `yaml:"containerPort"`
}

type envVar struct {
	Name      string     `yaml:"name"`
	Value     string     `yaml:"value,omitempty"`
	ValueFrom *envSource `yaml:"valueFrom,omitempty"`
}

type envSource struct {
	SecretKeyRef keyRef `yaml:"secretKeyRef"`
}

type keyRef struct {
	Name string `yaml:"name"`
	Key  string `yaml:"key"`
}

type volumeMount struct {
	Name      string `yaml:"name"`
	MountPath string `yaml:"mountPath"`
	ReadOnly  bool   `yaml:"readOnly,omitempty"`
}

type resources struct {
	Requests map[string]string `yaml:"requests"`
}

type probe struct {
	Exec             execAction `yaml:"exec"`
	PeriodSeconds    int        `yaml:"periodSeconds"`
	TimeoutSeconds   int        `yaml:"timeoutSeconds"`
	FailureThreshold int        `yaml:"failureThreshold"`
}

type execAction struct {
	Command []string `yaml:"command"`
}

type security struct {
	RunAsNonRoot             bool         `yaml:"runAsNonRoot"`
	RunAsUser                int          `yaml:"runAsUser"`
	RunAsGroup               int          `yaml:"runAsGroup"`
	ReadOnlyRootFilesystem   bool         `yaml:"readOnlyRootFilesystem"`
	AllowPrivilegeEscalation bool         `yaml:"allowPrivilegeEscalation"`
	Capabilities             capabilities `yaml:"capabilities"`
}

type capabilities struct {
	Drop []string `yaml:"drop"`
}

type volume struct {
	Name      string           `yaml:"name"`
	ConfigMap *configMapVolume `yaml:"configMap,omitempty"`
	EmptyDir  *emptyDir        `yaml:"emptyDir,omitempty"`
	Secret    *secretVolume    `yaml:"secret,omitempty"`
}

type configMapVolume struct {
	Name string `yaml:"name"`
}

type emptyDir struct {
	Medium    string `yaml:"medium,omitempty"`
	SizeLimit string `yaml:"sizeLimit"`
}

type secretVolume struct {
	SecretName  string     `yaml:"secretName"`
	Items       []fileItem `yaml:"items,omitempty"`
	DefaultMode mode       `yaml:"defaultMode"`
}

type fileItem struct {
	Key  string `yaml:"key"`
	Path string `yaml:"path"`
}

// mode is written as people write it.
type mode uint32

// MarshalYAML implements [yaml.Marshaler].
func (m mode) MarshalYAML() (any, error) {
	const octal = 8
	digits := []byte{'0'}
	for shift := 6; shift >= 0; shift -= 3 {
		digits = append(digits, byte('0'+m>>shift%octal))
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: string(digits)}, nil
}

type deployment struct {
	typeMeta `yaml:",inline"`
	Metadata meta           `yaml:"metadata"`
	Spec     deploymentSpec `yaml:"spec"`
}

type deploymentSpec struct {
	Replicas int         `yaml:"replicas"`
	Selector selector    `yaml:"selector"`
	Template podTemplate `yaml:"template"`
}

type selector struct {
	MatchLabels map[string]string `yaml:"matchLabels"`
}

type service struct {
	typeMeta `yaml:",inline"`
	Metadata meta        `yaml:"metadata"`
	Spec     serviceSpec `yaml:"spec"`
}

type serviceSpec struct {
	Selector map[string]string `yaml:"selector"`
	Ports    []servicePort     `yaml:"ports"`
}

type servicePort struct {
	Name string `yaml:"name"`
	Port int    `yaml:"port"`
}
