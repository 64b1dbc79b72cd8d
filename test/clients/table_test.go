//go:build clients

package clients

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"text/tabwriter"
)

// table is what came of each client in each situation, for people.
type table struct {
	mu    sync.Mutex
	cells map[[2]string]cell
}

// cell is one client in one situation. The zero value was not played.
type cell struct {
	state outcomeState
	text  string // the reason, for skipped and notApplicable
}

type outcomeState string

const (
	works         outcomeState = "works"
	failed        outcomeState = "FAILED"
	skipped       outcomeState = "skipped"
	notApplicable outcomeState = "-"
)

func (t *table) set(client, situation string, c cell) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.cells == nil {
		t.cells = map[[2]string]cell{}
	}
	t.cells[[2]string{client, situation}] = c
}

func (t *table) at(c client, s situation) cell {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.cells[[2]string{c.name, s.name}]
}

// complete reports whether every client was played in every situation.
func (t *table) complete() bool {
	for _, c := range clients {
		for _, s := range situations {
			if state := t.at(c, s).state; state != works && state != notApplicable {
				return false
			}
		}
	}
	return true
}

// print leaves out the clients that were not run.
func (t *table) print(w io.Writer) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := []string{"\nclient"}
	for _, s := range situations {
		row = append(row, s.name)
	}
	fmt.Fprintln(tw, strings.Join(row, "\t"))
	counts := map[outcomeState]int{}
	var reasons []string
	for _, c := range clients {
		row = []string{c.name}
		for _, s := range situations {
			cell := t.at(c, s)
			row = append(row, string(cell.state))
			counts[cell.state]++
			if cell.state == skipped && !slices.Contains(reasons, cell.text) {
				reasons = append(reasons, cell.text)
			}
		}
		if strings.Join(row[1:], "") != "" {
			fmt.Fprintln(tw, strings.Join(row, "\t"))
		}
	}
	tw.Flush()
	for _, reason := range reasons {
		fmt.Fprintln(w, "skipped for want of", reason)
	}
	fmt.Fprintf(w, "%d work, %d failed, %d skipped, %d not applicable\n",
		counts[works], counts[failed], counts[skipped], counts[notApplicable])
}

// What is between these lines of docs/clients.md is the table's.
const (
	tableBegins = "<!-- Written by make test-clients from here"
	tableEnds   = "<!-- to here -->"
)

// write puts the table, in Markdown, into its place in the file.
func (t *table) write(file string) error {
	old, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, ok := bytes.Cut(old, []byte(tableBegins))
	line, rest, ok2 := bytes.Cut(rest, []byte("\n"))
	_, after, ok3 := bytes.Cut(rest, []byte(tableEnds))
	if !ok || !ok2 || !ok3 {
		return fmt.Errorf("%s: it has no lines %q and %q to put the table between", file, tableBegins, tableEnds)
	}
	var b bytes.Buffer
	b.Write(before)
	fmt.Fprintf(&b, "%s%s\n\n", tableBegins, line)
	t.markdown(&b)
	fmt.Fprintf(&b, "%s%s", tableEnds, after)
	return os.WriteFile(file, b.Bytes(), 0o644)
}

// markdown writes two tables, or they would be too wide to read, and their notes.
func (t *table) markdown(w io.Writer) {
	notes := new(footnotes)
	fmt.Fprintf(w, "## Whose credentials go where\n\n")
	t.section(w, credentialSituations, notes)
	fmt.Fprintf(w, "\n## What goes through\n\n")
	t.section(w, featureSituations, notes)
	fmt.Fprintln(w)
	for i, text := range notes.texts {
		fmt.Fprintf(w, "%s not applicable because %s  \n", superscript(i+1), text)
	}
	fmt.Fprintf(w, "\n## Versions\n\n")
	for _, tool := range tools {
		version := theTools[tool.name].Version
		if !strings.Contains(strings.ToLower(version), tool.name) {
			version = tool.name + " " + version
		}
		fmt.Fprintf(w, "- %s\n", version)
	}
	fmt.Fprintln(w)
}

// section writes a table with a column for each of the situations.
func (t *table) section(w io.Writer, columns []situation, notes *footnotes) {
	fmt.Fprint(w, "| client |")
	for _, s := range columns {
		fmt.Fprintf(w, " %s |", s.name)
	}
	fmt.Fprintf(w, "\n|---|%s\n", strings.Repeat("---|", len(columns)))
	for _, c := range clients {
		fmt.Fprintf(w, "| %s |", c.name)
		for _, s := range columns {
			fmt.Fprintf(w, " %s |", t.text(c, s, notes))
		}
		fmt.Fprintln(w)
	}
}

// text is what stands in the cell.
func (t *table) text(c client, s situation, notes *footnotes) string {
	switch cell := t.at(c, s); {
	case cell.state == notApplicable:
		return "—" + superscript(notes.number(cell.text))
	case cell.state == works && s.name == "variables":
		return "works with `" + strings.Join(c.variables, "`, `") + "`"
	default:
		return string(cell.state)
	}
}

// footnotes are the reasons, each once, in the order of the table.
type footnotes struct{ texts []string }

func (f *footnotes) number(text string) int {
	i := slices.Index(f.texts, text)
	if i < 0 {
		i = len(f.texts)
		f.texts = append(f.texts, text)
	}
	return i + 1
}

// superscript writes a number as a footnote's.
func superscript(n int) string {
	digits := []string{"⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"}
	var b strings.Builder
	for _, d := range strconv.Itoa(n) {
		b.WriteString(digits[d-'0'])
	}
	return b.String()
}
