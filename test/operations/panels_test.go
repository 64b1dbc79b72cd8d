package operations

// A panel shows queries over time, or their last value.
type panel struct {
	title, about string
	unit         string // as Grafana names it
	last         bool   // a number instead of a plot
	bad          float64
	badBelow     bool // a value is bad below, not from, bad on
	queries      []query
}

// query is in PromQL; $i stands for the instances that were chosen.
type query struct{ expr, legend string }

type row struct {
	title  string
	panels []panel
}

// rows are the dashboard, from top to bottom.
var rows = []row{
	{"At a glance", []panel{
		{title: "Requests", about: "Exchanges, tunnels and refused connections that ended, per second.", unit: "reqps", last: true,
			queries: []query{{`sum(rate(keybearer_requests_total{$i}[$__rate_interval]))`, ""}}},
		{title: "With a problem", about: "The share of them that was refused or failed. See Problems by reason.", unit: "percentunit", last: true, bad: .05,
			queries: []query{{`sum(rate(keybearer_requests_total{$i,error!=""}[$__rate_interval])) / sum(rate(keybearer_requests_total{$i}[$__rate_interval]))`, ""}}},
		{title: "Secrets that cannot be used", about: "The rules that need them refuse their requests.", unit: "short", last: true, bad: 1,
			queries: []query{{`count(keybearer_secret_usable{$i}) - sum(keybearer_secret_usable{$i})`, ""}}},
		{title: "Newest configuration rejected", about: "Instances on which an older one is in force. Their logs say why.", unit: "short", last: true, bad: 1,
			queries: []query{{`count(keybearer_last_reload_successful{$i}) - sum(keybearer_last_reload_successful{$i})`, ""}}},
		{title: "Open connections", about: "Of clients.", unit: "short", last: true,
			queries: []query{{`sum(keybearer_connections{$i})`, ""}}},
		{title: "Authority expires in", about: "Afterwards no client trusts it. See docs/operations.md.", unit: "s", last: true, bad: 30 * 86400, badBelow: true,
			queries: []query{{`min(keybearer_authority_expires_timestamp_seconds{$i}) - time()`, ""}}},
	}},
	{"Traffic", []panel{
		{title: "Requests by rule", about: "Without a name: no rule acted.", unit: "reqps",
			queries: []query{{`sum by (rule) (rate(keybearer_requests_total{$i}[$__rate_interval]))`, "{{rule}}"}}},
		{title: "Requests by status", about: "Without a number: no response was sent.", unit: "reqps",
			queries: []query{{`sum by (status) (rate(keybearer_requests_total{$i}[$__rate_interval]))`, "{{status}}"}}},
		{title: "Problems by reason", about: "Refused and failed requests, by RFC 9209 type.", unit: "reqps",
			queries: []query{{`sum by (rule, error) (rate(keybearer_requests_total{$i,error!=""}[$__rate_interval]))`, "{{error}} {{rule}}"}}},
		{title: "401 and 403 of upstreams", about: "A key that an upstream does not take, by rule.", unit: "reqps",
			queries: []query{{`sum by (rule, status) (rate(keybearer_requests_total{$i,rule!="",error="",status=~"401|403"}[$__rate_interval]))`, "{{status}} {{rule}}"}}},
		{title: "Duration of requests", about: "To the end of the response. Tunnels are not in it.", unit: "s",
			queries: quantiles("keybearer_request_duration_seconds", "rule", "{{rule}} ")},
		{title: "Until the response begins", about: "Nearly all of it is the upstream's: keybearer adds a tenth of a millisecond.", unit: "s",
			queries: quantiles("keybearer_first_byte_seconds", "rule", "{{rule}} ")},
		{title: "Connecting to upstreams", about: "DNS and TCP, for connections that are new.", unit: "s",
			queries: quantiles("keybearer_upstream_connect_seconds", "", "")},
		{title: "TLS with upstreams", about: "For connections that are new.", unit: "s",
			queries: quantiles("keybearer_upstream_handshake_seconds", "", "")},
	}},
	{"Connections and bytes", []panel{
		{title: "Open connections by verdict", about: "none: plain http, refused, or not decided yet.", unit: "short",
			queries: []query{{`sum by (verdict) (keybearer_connections{$i})`, "{{verdict}}"}}},
		{title: "New connections", about: "Few requests for each connection are what costs most.", unit: "cps",
			queries: []query{{`sum by (verdict) (rate(keybearer_connections_opened_total{$i}[$__rate_interval]))`, "{{verdict}}"}}},
		{title: "Bytes from clients", about: "Bodies and tunnels, told when they end.", unit: "Bps",
			queries: []query{{`sum by (verdict) (rate(keybearer_received_bytes_total{$i}[$__rate_interval]))`, "{{verdict}}"}}},
		{title: "Bytes to clients", about: "Bodies and tunnels, told when they end.", unit: "Bps",
			queries: []query{{`sum by (verdict) (rate(keybearer_sent_bytes_total{$i}[$__rate_interval]))`, "{{verdict}}"}}},
		{title: "Idle connections to upstreams", about: "Over HTTP/1.1, kept for the next request.", unit: "short",
			queries: []query{{`sum by (instance) (keybearer_upstream_idle_connections{$i})`, "{{instance}}"}}},
		{title: "Certificates for hosts", about: "Many that are new: clients go to ever other hosts of a wildcard rule.", unit: "short",
			queries: []query{
				{`sum(rate(keybearer_leaves_minted_total{$i}[$__rate_interval]))`, "minted per second"},
				{`sum(rate(keybearer_leaves_reused_total{$i}[$__rate_interval]))`, "reused per second"},
			}},
		{title: "Masked values", about: "An upstream repeated a secret, and the client got asterisks.", unit: "short",
			queries: []query{{`sum by (rule) (rate(keybearer_masked_total{$i}[$__rate_interval]))`, "{{rule}}"}}},
		{title: "Lost log lines", about: "The reader of a log was too slow, or its disk full.", unit: "short",
			queries: []query{{`sum by (instance) (rate(keybearer_log_lines_dropped_total{$i}[$__rate_interval]))`, "{{instance}}"}}},
	}},
	{"Configuration and secrets", []panel{
		{title: "Age of secrets", about: "Since the file was changed; since the start of keybearer for variables.", unit: "s",
			queries: []query{{`time() - keybearer_secret_modified_timestamp_seconds{$i}`, "{{secret}} {{instance}}"}}},
		{title: "Secrets usable", about: "0: the rules that need it refuse their requests.", unit: "short",
			queries: []query{{`keybearer_secret_usable{$i}`, "{{secret}} {{instance}}"}}},
		{title: "Rules", about: "That are enabled, and those of them that refuse.", unit: "short",
			queries: []query{
				{`sum by (instance) (keybearer_rules{$i})`, "{{instance}}"},
				{`sum by (instance) (keybearer_rules_refusing{$i})`, "refusing {{instance}}"},
			}},
		{title: "Reloads", about: "Rejected: the older configuration stays in force.", unit: "short",
			queries: []query{{`sum by (result) (increase(keybearer_reloads_total{$i}[$__rate_interval]))`, "{{result}}"}}},
		{title: "Time since the last reload", about: "Of what is in force.", unit: "s",
			queries: []query{{`time() - keybearer_policy_loaded_timestamp_seconds{$i}`, "{{instance}}"}}},
		{title: "Versions", about: "Of the instances.", unit: "short",
			queries: []query{{`sum by (version) (keybearer_build_info{$i})`, "{{version}}"}}},
	}},
	{"Process", []panel{
		{title: "Memory", about: "Resident, and what Go has of it.", unit: "bytes",
			queries: []query{
				{`process_resident_memory_bytes{$i}`, "resident {{instance}}"},
				{`go_memstats_heap_inuse_bytes{$i}`, "heap {{instance}}"},
				{`go_memstats_stack_inuse_bytes{$i}`, "stacks {{instance}}"},
				{`go_memlimit_bytes{$i} < 2^62`, "limit {{instance}}"},
			}},
		{title: "Processors", about: "Busy, of those of the machine.", unit: "short",
			queries: []query{
				{`rate(process_cpu_seconds_total{$i}[$__rate_interval])`, "{{instance}}"},
				{`rate(go_gc_cpu_seconds_total{$i}[$__rate_interval])`, "collector {{instance}}"},
			}},
		{title: "Descriptors", about: "A tunnel and a busy intercepted connection have two.", unit: "short",
			queries: []query{
				{`process_open_fds{$i}`, "{{instance}}"},
				{`process_max_fds{$i}`, "limit {{instance}}"},
			}},
		{title: "Goroutines and threads", about: "They follow the connections. If they grow and those do not, report it.", unit: "short",
			queries: []query{
				{`go_goroutines{$i}`, "goroutines {{instance}}"},
				{`go_threads{$i}`, "threads {{instance}}"},
			}},
		{title: "Waiting for a processor", about: "99th percentile for goroutines that are ready to run: high when the machine is too small.", unit: "s",
			queries: []query{{`histogram_quantile(0.99, sum by (le, instance) (rate(go_sched_latencies_seconds_bucket{$i}[$__rate_interval])))`, "{{instance}}"}}},
		{title: "Uptime", about: "Since the start of the process.", unit: "s",
			queries: []query{{`time() - process_start_time_seconds{$i}`, "{{instance}}"}}},
	}},
}

// quantiles are the median, the 95th and the 99th percentile of a histogram.
func quantiles(histogram, by, legend string) (all []query) {
	labels := "le"
	if by != "" {
		labels += ", " + by
	}
	for _, q := range []struct{ value, name string }{{"0.5", "50 %"}, {"0.95", "95 %"}, {"0.99", "99 %"}} {
		all = append(all, query{"histogram_quantile(" + q.value + ", sum by (" + labels + ") (rate(" + histogram + "_bucket{$i}[$__rate_interval])))", legend + q.name})
	}
	return all
}
