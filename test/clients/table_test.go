//go:build clients

package clients

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// table is what came of each client in each situation, for people.
type table struct {
	results map[[2]string]string
}

func (t *table) set(client, situation, result string) {
	if t.results == nil {
		t.results = map[[2]string]string{}
	}
	t.results[[2]string{client, situation}] = result
}

// print leaves out the clients that were not run.
func (t *table) print(w io.Writer) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := []string{"\nclient"}
	for _, s := range situations {
		row = append(row, s.name)
	}
	fmt.Fprintln(tw, strings.Join(row, "\t"))
	counts := map[string]int{}
	var reasons []string
	for _, c := range clients {
		row = []string{c.name}
		for _, s := range situations {
			word, reason, _ := strings.Cut(t.results[[2]string{c.name, s.name}], ": ")
			row = append(row, word)
			counts[word]++
			if reason != "" && !slices.Contains(reasons, reason) {
				reasons = append(reasons, reason)
			}
		}
		if strings.Join(row[1:], "") != "" {
			fmt.Fprintln(tw, strings.Join(row, "\t"))
		}
	}
	tw.Flush()
	for _, reason := range reasons {
		fmt.Fprintln(w, "skipped for want of:", reason)
	}
	fmt.Fprintf(w, "%d passed, %d failed, %d skipped\n", counts["ok"], counts["FAILED"], counts["skipped"])
}
