// Command bench compares keybearer with other proxies on one machine, in one run.
//
// It starts nginx as an upstream that answers only requests with the right
// Authorization field, starts each proxy so that it puts that field in, drives
// them in turn with one load generator (package load), and asks the kernel how
// much processor time and memory each proxy took. It prints a table, and with -o
// writes it to a file together with the machine and the versions.
//
//	make bench               everything, at most 8 minutes
//	BENCH=quick make bench   at most 2 minutes
//	go run . -only nginx,keybearer -measure request,new -rounds 5
//
// What is not installed is left out. Everything happens on loopback and in a
// temporary directory; every process that is started is ended.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

type options struct {
	quick, grow    bool
	rounds         int
	window, limit  time.Duration
	only, measures string
	keybearer, out string
	before         string
}

func main() {
	o := options{quick: os.Getenv("BENCH") == "quick"}
	flag.IntVar(&o.rounds, "rounds", 3, "how often to measure each; the table has the medians")
	flag.DurationVar(&o.window, "window", 0, "how long a measure takes (default 1.5s, quick 300ms)")
	flag.StringVar(&o.only, "only", "", "the peers to run, separated by commas (default all)")
	flag.StringVar(&o.measures, "measure", "", "the measures to make, separated by commas (default all): "+names())
	flag.StringVar(&o.keybearer, "keybearer", "", "keybearer's binary (default: build it)")
	flag.StringVar(&o.before, "before", "", "another binary of keybearer to compare with, as the peer before")
	flag.StringVar(&o.out, "o", "", "write the report to this file too")
	flag.Parse()
	o.grow, o.limit = !o.quick, 9*time.Minute
	if o.quick {
		o.limit = 100 * time.Second
	}
	if o.window == 0 {
		o.window = 1500 * time.Millisecond
		if o.quick {
			o.window = 300 * time.Millisecond
		}
	}
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func names() string {
	var all []string
	for _, m := range measures {
		all = append(all, m.name)
	}
	return strings.Join(append(all, "idle", "growth"), " ")
}

func (o options) wants(list, name string) bool {
	return list == "" || slices.Contains(strings.Split(list, ","), name)
}

func run(o options) error {
	e := &env{begin: time.Now(), lastPort: 20000 + os.Getpid()%9000}
	var err error
	if e.dir, err = os.MkdirTemp("", "keybearer-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(e.dir)
	defer e.processes.stopAll()
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-interrupted
		e.processes.stopAll()
		os.RemoveAll(e.dir)
		os.Exit(1)
	}()
	if err := e.setUp(o); err != nil {
		return err
	}

	r := newResults()
	running := e.startPeers(o, r)
	for round := range o.rounds {
		e.round(o, r, running, round == 0)
		fmt.Fprintf(os.Stderr, "round %d of %d done after %.0f s\n", round+1, o.rounds, time.Since(e.begin).Seconds())
	}
	for _, i := range running {
		i.stop()
	}
	if o.grow && o.wants(o.measures, "growth") && o.wants(o.only, "keybearer") {
		e.measureGrowth(o, r)
	}
	return e.report(o, r)
}

// setUp makes the certificates, files and programs, and starts the upstreams.
func (e *env) setUp(o options) (err error) {
	if err := os.Chmod(e.dir, 0o755); err != nil { // the daemons change their user
		return err
	}
	wd, err := os.Getwd()
	if err != nil {
		return err
	}
	e.repo = filepath.Dir(wd)
	if e.ca, err = newAuthority("bench upstreams"); err != nil {
		return err
	}
	if e.interceptor, err = newAuthority("bench interception"); err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(e.dir, "mitm"), 0o755); err != nil {
		return err
	}
	if err := e.ca.write(e.dir); err != nil {
		return err
	}
	if err := e.interceptor.write(filepath.Join(e.dir, "mitm")); err != nil {
		return err
	}
	if err := e.ca.leaf(filepath.Join(e.dir, "upstream.pem"), "*.bench.test", "*."+freshHost); err != nil {
		return err
	}
	if err := e.writeHosts(); err != nil {
		return err
	}
	if err := writeFiles(e.dir); err != nil {
		return err
	}
	if err := e.build(o); err != nil {
		return err
	}
	if e.find("nginx") == "" {
		return fmt.Errorf("nginx, the upstream, is not installed")
	}
	if err := e.startSink(); err != nil {
		return err
	}
	return e.startUpstream()
}

func (e *env) writeHosts() error {
	var hosts strings.Builder
	fmt.Fprintf(&hosts, "127.0.0.1 %s %s %s\n", apiHost, sinkHost, rawHost)
	for n := range freshHosts {
		fmt.Fprintf(&hosts, "127.0.0.1 %s\n", freshName(n))
	}
	return os.WriteFile(filepath.Join(e.dir, "hosts"), []byte(hosts.String()), 0o644)
}

// build builds keybearer as it is released, and the peers that are ours.
func (e *env) build(o options) error {
	bin := filepath.Join(e.dir, "bin")
	e.keybearer = o.keybearer
	commands := [][]string{{"-o", bin + "/", "./peers/..."}}
	if e.keybearer == "" {
		e.keybearer = filepath.Join(bin, "keybearer")
		commands = append(commands, []string{"-C", e.repo, "-o", e.keybearer, "."})
	}
	for _, c := range commands {
		argv := []string{"build"}
		if c[0] == "-C" { // must come first
			argv, c = append(argv, c[:2]...), c[2:]
		}
		cmd := exec.Command("go", append(append(argv, "-trimpath", "-ldflags=-s -w"), c...)...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out)
		}
	}
	return nil
}
