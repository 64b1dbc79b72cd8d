package cli

import (
	"io"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"weak"

	"keybearer/internal/config"
	"keybearer/secrets"
)

// A store that another one has taken the place of is forgotten, however often that
// happens: a reload a minute makes half a million a year.
//
// seen red: find with a method of sourcing for the notice.
func TestStoresAreForgotten(t *testing.T) {
	c, err := config.Load(config.Options{Path: "-", Stdin: strings.NewReader(rulesWith("${KEY}"))})
	if err != nil {
		t.Fatal(err)
	}
	s := sourcing{environ: []string{"KEY=value"}, logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
	var first weak.Pointer[secrets.Store]
	for range 3 {
		store, err := s.find(c)
		if err != nil {
			t.Fatal(err)
		}
		if s.after == nil {
			first = weak.Make(store)
		}
		s.after = store
	}
	runtime.GC()
	if first.Value() != nil {
		t.Error("the first store is held by those after it")
	}
	runtime.KeepAlive(s)
}
