package telemetry

import (
	"bytes"
	"io"
)

// helps say in one line what each metric is. It is the list of what is written, too:
// of the library's, those that Prometheus' own client has, and whose names its linter
// accepts. docs/operations.md has more words for ours.
var helps = map[string]string{
	"keybearer_requests_total":                      "Exchanges, tunnels and refused connections that have ended. error is the RFC 9209 type, empty if all went well.",
	"keybearer_request_duration_seconds":            "Time from the head of a request to the end of its response, by rule. Tunnels are not in it.",
	"keybearer_first_byte_seconds":                  "Time from the head of a request to the head of its response, by rule.",
	"keybearer_upstream_connect_seconds":            "Time to reach an upstream: DNS and TCP. Connections that were kept are not in it.",
	"keybearer_upstream_handshake_seconds":          "Time to agree on TLS with an upstream.",
	"keybearer_received_bytes_total":                "Bytes of bodies and tunnels from clients, counted when the exchange or tunnel ends.",
	"keybearer_sent_bytes_total":                    "Bytes of bodies and tunnels to clients, counted when the exchange or tunnel ends.",
	"keybearer_masked_total":                        "Injected values that a response repeated, and that were masked in it.",
	"keybearer_connections":                         "Open connections of clients. The verdict none is of those that are neither tunnelled nor intercepted: plain http, refused, or not decided yet.",
	"keybearer_connections_opened_total":            "Connections of clients that were tunnelled or intercepted.",
	"keybearer_upstream_idle_connections":           "Connections to upstreams over HTTP/1.1 that are kept for the next request.",
	"keybearer_leaves_minted_total":                 "Certificates made for hosts.",
	"keybearer_leaves_reused_total":                 "Certificates found in the cache.",
	"keybearer_authority_expires_timestamp_seconds": "When the certificate of the authority expires, as Unix time.",
	"keybearer_log_lines_dropped_total":             "Lines that did not get into the log or the access log: the reader was too slow, or could not be written to.",
	"keybearer_reloads_total":                       "Attempts to put another configuration or other secrets in force.",
	"keybearer_last_reload_successful":              "1 if the newest configuration is in force, 0 if it was rejected.",
	"keybearer_policy_loaded_timestamp_seconds":     "When what is in force was loaded, as Unix time.",
	"keybearer_rules":                               "Enabled rules.",
	"keybearer_rules_refusing":                      "Enabled rules that refuse their requests for want of a secret or a valid client certificate.",
	"keybearer_secret_usable":                       "1 if the secret can be injected, 0 if not.",
	"keybearer_secret_modified_timestamp_seconds":   "When the secret's file was changed or it was fetched, as Unix time; the start of the process for what cannot change.",
	"keybearer_build_info":                          "1, with the version as a label.",

	"process_cpu_seconds_total":     "Time on processors, user and system.",
	"process_resident_memory_bytes": "Resident memory.",
	"process_start_time_seconds":    "When the process started, as Unix time.",
	"process_open_fds":              "Open file descriptors.",
	"process_max_fds":               "Most file descriptors that may be open.",

	"go_info":                         "1, with the version of Go as a label.",
	"go_goroutines":                   "Goroutines.",
	"go_threads":                      "Threads of the operating system that were created.",
	"go_gomaxprocs":                   "Threads that run Go code at one time.",
	"go_memlimit_bytes":               "GOMEMLIMIT, which Go's memory is kept within.",
	"go_memstats_alloc_bytes":         "Bytes of objects on the heap.",
	"go_memstats_alloc_bytes_total":   "Bytes that were allocated.",
	"go_memstats_mallocs_total":       "Objects that were allocated.",
	"go_memstats_frees_total":         "Objects that were freed.",
	"go_memstats_heap_objects":        "Objects on the heap.",
	"go_memstats_heap_inuse_bytes":    "Bytes of the heap's spans that are in use.",
	"go_memstats_heap_idle_bytes":     "Bytes of the heap's spans that are not.",
	"go_memstats_heap_released_bytes": "Bytes of them that the operating system has back.",
	"go_memstats_stack_inuse_bytes":   "Bytes of stacks.",
	"go_memstats_next_gc_bytes":       "Size of the heap at which the next collection begins.",
	"go_memstats_sys_bytes":           "Bytes that Go has from the operating system.",
	"go_gc_duration_seconds":          "Pauses of garbage collections.",
	"go_gc_cpu_seconds_total":         "Time on processors for garbage collection.",
	"go_sched_latencies_seconds":      "Time that goroutines were ready to run and did not.",
}

// describe copies metrics in the text format, each under its help, which the library
// leaves empty.
func describe(w io.Writer, text []byte) {
	var out bytes.Buffer
	listed := false
	for line := range bytes.Lines(text) {
		if name, ok := bytes.CutPrefix(line, []byte("# HELP ")); ok {
			name = bytes.TrimSpace(name)
			var help string
			if help, listed = helps[string(name)]; listed {
				out.WriteString("# HELP " + string(name) + " " + help + "\n")
			}
			continue
		}
		if listed {
			out.Write(line)
		}
	}
	w.Write(out.Bytes()) // who does not read has no use for an error
}
