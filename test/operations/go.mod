// Not part of keybearer: Grafana's types are of no use to it.
module keybearer-operations

go 1.26.0

require (
	github.com/grafana/grafana-foundation-sdk/go v0.0.22
	gopkg.in/yaml.v3 v3.0.1
)
