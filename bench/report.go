package main

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime"
	"strings"
	"time"
	"unicode/utf8"
)

// report prints the tables, and writes them with all that belongs to them.
func (e *env) report(o options, r *results) error {
	binary := 0.0
	if info, err := os.Stat(e.keybearer); err == nil {
		binary = float64(info.Size())
	}
	var b strings.Builder
	e.preamble(&b, o, r)
	section(&b, "Comparison", r.table())
	if r.ours() != nil {
		section(&b, "Targets (DESIGN 12)", r.goalTable(binary))
	}
	if len(r.growth) > 0 {
		section(&b, "Cost as it grows", r.growthTable())
	}
	for _, n := range r.notes {
		fmt.Fprintf(&b, "- note: %s\n", firstLine(n))
	}
	fmt.Print(b.String())
	if o.out == "" {
		return nil
	}
	return e.save(o.out, b.String())
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s
}

// preamble says where, when and with what.
func (e *env) preamble(w io.Writer, o options, r *results) {
	var versions []string
	for _, p := range r.peers {
		versions = append(versions, strings.TrimPrefix(p.version(e), "nginx version: "))
	}
	fmt.Fprintf(w, "%s UTC, %d rounds of %v; %s, %d cores, Linux %s, %s.\n", time.Now().UTC().Format("2006-01-02 15:04"), o.rounds, o.window,
		cpuModel(), runtime.NumCPU(), output("uname", "-r"), runtime.Version())
	fmt.Fprintf(w, "Upstream: nginx. Peers: %s.\n", strings.Join(versions, "; "))
	for _, l := range r.left {
		fmt.Fprintf(w, "Left out: %s.\n", l)
	}
}

func cpuModel() string {
	b, _ := os.ReadFile("/proc/cpuinfo")
	m := regexp.MustCompile(`(?m)^model name\s*: (.*)$`).FindSubmatch(b)
	if m == nil {
		return runtime.GOARCH
	}
	return string(m[1])
}

// section writes a table that is Markdown and can be read on a terminal.
func section(w io.Writer, title string, rows [][]string) {
	fmt.Fprintf(w, "\n### %s\n\n", title)
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for n, row := range rows {
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i == 0 {
				fmt.Fprintf(w, "| %s%s ", cell, pad)
			} else {
				fmt.Fprintf(w, "| %s%s ", pad, cell)
			}
		}
		fmt.Fprintln(w, "|")
		if n == 0 {
			for i, width := range widths {
				if i == 0 {
					fmt.Fprintf(w, "|%s", strings.Repeat("-", width+2))
				} else {
					fmt.Fprintf(w, "|%s:", strings.Repeat("-", width+1))
				}
			}
			fmt.Fprintln(w, "|")
		}
	}
	fmt.Fprintln(w)
}

// The figures stand between two marks in the document; the words around them are
// written by people.
const (
	beginMark = "<!-- written by make bench -->\n"
	endMark   = "<!-- end -->\n"
)

func (e *env) save(name, text string) error {
	old, err := os.ReadFile(name)
	if os.IsNotExist(err) {
		old = []byte(beginMark + endMark)
	} else if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(old), beginMark)
	_, after, ok2 := strings.Cut(rest, endMark)
	if !ok || !ok2 {
		return fmt.Errorf("%s has no place for the figures: %q and %q", name, strings.TrimSpace(beginMark), strings.TrimSpace(endMark))
	}
	return os.WriteFile(name, []byte(before+beginMark+text+endMark+after), 0o644)
}
