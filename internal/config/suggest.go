package config

import "strings"

// closest returns the name that word was probably meant to be, or "".
func closest(word string, names []string) string {
	word = strings.ReplaceAll(strings.ToLower(word), "-", "_")
	best, least := "", 1+max(1, min(len(word), 12)/4)
	for _, name := range names {
		d := distance(word, name)
		if strings.HasSuffix(name, "_"+word) || strings.HasPrefix(name, word+"_") {
			d = min(d, 1) // hosts for match_hosts
		}
		if d < least {
			best, least = name, d
		}
	}
	return best
}

// distance is the number of insertions, deletions, substitutions and swaps of
// neighbours between a and b (optimal string alignment). Words longer than any
// key are infinitely far: the cost is quadratic.
func distance(a, b string) int {
	const longest = 40
	if len(a) > longest || len(b) > longest {
		return longest
	}
	var rows [3][longest + 1]int
	before, last, row := &rows[0], &rows[1], &rows[2]
	for j := range len(b) + 1 {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

// oneOf writes alternatives for people: a, b or c.
func oneOf(values []string) string {
	if len(values) == 1 {
		return values[0]
	}
	n := len(values) - 1
	return strings.Join(values[:n], ", ") + " or " + values[n]
}
