package rules

import (
	"cmp"
	"iter"
	"slices"
	"strings"
)

// An index finds the patterns that may match a host without trying them all:
// exact hosts and the bases of the others are keys of maps, so ten thousand
// rules cost what one costs.
type index struct {
	exact map[string][]*hostPattern
	below map[string][]*hostPattern // by base; "" for patterns without one
}

func newIndex(patterns []hostPattern) *index {
	x := &index{exact: map[string][]*hostPattern{}, below: map[string][]*hostPattern{}}
	for i := range patterns {
		p := &patterns[i]
		if p.host != "" {
			x.exact[p.host] = append(x.exact[p.host], p)
		} else {
			x.below[p.base] = append(x.below[p.base], p)
		}
	}
	for _, lists := range []map[string][]*hostPattern{x.exact, x.below} {
		for _, list := range lists {
			slices.SortStableFunc(list, func(a, b *hostPattern) int { return cmp.Compare(a.order, b.order) })
		}
	}
	return x
}

// candidates yields lists of patterns, each in order, that hold every pattern
// that matches host. Those in the lists still have to be asked.
func (x *index) candidates(host string) iter.Seq[[]*hostPattern] {
	return func(yield func([]*hostPattern) bool) {
		if list := x.exact[host]; list != nil && !yield(list) {
			return
		}
		if len(x.below) == 0 {
			return
		}
		for rest := host; rest != ""; {
			_, rest, _ = strings.Cut(rest, ".")
			if list := x.below[rest]; list != nil && !yield(list) {
				return
			}
		}
	}
}

// find returns the pattern of lowest order that names the target. named is
// whether any that does is not broad.
func (x *index) find(t Target, plaintext bool) (first *hostPattern, named bool) {
	for list := range x.candidates(t.host) {
		for _, p := range list {
			if first != nil && named && p.order >= first.order {
				break
			}
			if p.port.names(t.port, plaintext) && p.matches(t) {
				if first == nil || p.order < first.order {
					first = p
				}
				named = named || !p.broad
			}
		}
	}
	return first, named
}
