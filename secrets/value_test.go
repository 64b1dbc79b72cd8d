package secrets

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"strings"
	"testing"
	"text/template"
)

const canary = "s3cr3t-canary-value"

// holder keeps a Value in every kind of place that fmt looks into.
type holder struct {
	Exported Value
	private  Value // fmt calls no methods on this one
	pointer  *Value
	slice    []Value
	byName   map[string]Value
	byValue  map[Value]bool
	boxed    any
}

func newHolder() holder {
	v := newValue(canary)
	return holder{v, v, &v, []Value{v}, map[string]Value{"k": v}, map[Value]bool{v: true}, v}
}

// TestValueFormats tries every verb with every flag, directly and inside of
// everything else.
func TestValueFormats(t *testing.T) {
	v := newValue(canary)
	h := newHolder()
	containers := map[string]any{
		"pointer": &v, "pointer to pointer": func() **Value { p := &v; return &p }(),
		"struct": h, "pointer to struct": &h, "slice": []Value{v}, "array": [1]Value{v},
		"map": map[string]Value{"a": v}, "key": map[Value]int{v: 1}, "any": []any{v, &v},
		"anonymous": struct{ v Value }{v}, "embedded": struct{ Value }{v}, "error": fmt.Errorf("wrapped: %v", v),
		"joined": errors.Join(errors.New("a"), fmt.Errorf("%+v", h)),
	}
	for _, flags := range []string{"", "+", "#", "-", " ", "0", "+#", "20", ".3", "-30.2"} {
		for _, verb := range "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" {
			format := "%" + flags + string(verb)
			got := fmt.Sprintf(format, v)
			if !strings.ContainsRune("Tpw", verb) && got != redacted { // fmt keeps these three to itself
				t.Errorf("%s = %q, want %q", format, got, redacted)
			}
			clean(t, format, got)
			for name, c := range containers {
				clean(t, format+" of "+name, fmt.Sprintf(format, c))
			}
		}
	}
	if got := fmt.Sprint(v) + v.String() + fmt.Sprintln(v); got != redacted+redacted+redacted+"\n" {
		t.Errorf("printed: %q", got)
	}
}

// TestValueMarshals tries the encoders and loggers of the standard library.
func TestValueMarshals(t *testing.T) {
	v := newValue(canary)
	h := newHolder()
	type public struct {
		V Value
		P *Value
		M map[string]Value
		K map[Value]int
	}
	type element struct{ V Value } // encoding/xml knows no maps
	p := public{v, &v, map[string]Value{"a": v}, map[Value]int{v: 1}}
	tests := []struct {
		name string
		do   func(*bytes.Buffer) error
		want string // "" = anything but the secret
	}{
		{"json", func(b *bytes.Buffer) error { return json.NewEncoder(b).Encode(v) }, `"[redacted]"`},
		{"json struct", func(b *bytes.Buffer) error { return json.NewEncoder(b).Encode(p) }, `"V":"[redacted]"`},
		{"json hidden", func(b *bytes.Buffer) error { return json.NewEncoder(b).Encode(h) }, ""},
		{"xml", func(b *bytes.Buffer) error { return xml.NewEncoder(b).Encode(element{v}) }, "<V>[redacted]</V>"},
		{"gob", func(b *bytes.Buffer) error { gob.NewEncoder(b).Encode(v); return nil }, ""},
		{"gob struct", func(b *bytes.Buffer) error { gob.NewEncoder(b).Encode(p); return nil }, ""},
		{"template", func(b *bytes.Buffer) error {
			return template.Must(template.New("").Parse(`{{.V}} {{printf "%q" .V}} {{.}}`)).Execute(b, p)
		}, "[redacted] [redacted]"},
		{"log", func(b *bytes.Buffer) error { log.New(b, "", 0).Print(v, p, h, &h); return nil }, "[redacted]"},
		{"slog text", func(b *bytes.Buffer) error { return logAll(slog.NewTextHandler(b, nil), v, p, h) }, "v=[redacted]"},
		{"slog json", func(b *bytes.Buffer) error { return logAll(slog.NewJSONHandler(b, nil), v, p, h) }, `"v":"[redacted]"`},
		{"panic", func(b *bytes.Buffer) error {
			defer func() { fmt.Fprint(b, recover()) }()
			panic(v)
		}, "[redacted]"},
	}
	for _, tt := range tests {
		var b bytes.Buffer
		if err := tt.do(&b); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		clean(t, tt.name, b.String())
		if !strings.Contains(b.String(), tt.want) {
			t.Errorf("%s: %q, want %q in it", tt.name, b.String(), tt.want)
		}
	}
}

func logAll(h slog.Handler, v, p, hidden any) error {
	slog.New(h).With("early", v).Info("m", "v", v, "p", p, "hidden", hidden, slog.Group("g", "v", v))
	return nil
}

// clean fails if text holds the canary in any of the forms that fmt knows.
func clean(t *testing.T, what, text string) {
	t.Helper()
	start := canary[:3] // flags may cut it short
	bytes := strings.Trim(fmt.Sprint([]byte(start)), "[]")
	for _, form := range []string{start, fmt.Sprintf("%x", start), fmt.Sprintf("%X", start), fmt.Sprintf("% x", start), bytes} {
		if strings.Contains(text, form) {
			t.Errorf("%s gives the secret away as %q: %q", what, form, text)
		}
	}
}

// TestValueResolves: a slog handler that knows no interfaces sees a plain string.
func TestValueResolves(t *testing.T) {
	got := slog.AnyValue(newValue(canary)).Resolve()
	if got.Kind() != slog.KindString || got.String() != redacted {
		t.Errorf("resolved to %v %v", got.Kind(), got)
	}
}

func TestValueReveal(t *testing.T) {
	if got := newValue(canary).Reveal(); got != canary {
		t.Errorf("Reveal = %q", got)
	}
	if got := (Value{}).Reveal(); got != "" {
		t.Errorf("Reveal of the zero Value = %q", got)
	}
}
