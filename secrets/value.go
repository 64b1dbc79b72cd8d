package secrets

import (
	"fmt"
	"io"
	"log/slog"
)

// redacted is what a Value looks like to everything but Reveal.
const redacted = "[redacted]"

// A Value is the text of a secret. Whatever prints, logs, formats or marshals
// it writes "[redacted]"; [Value.Reveal] is the only way to the text. The zero
// Value holds no text.
//
// The text sits behind a pointer because fmt reads unexported fields of other
// people's structs by reflection and calls no method on them: it then prints
// an address. For the same reason == tells whether two Values come from one
// look-up, not whether their texts are equal.
type Value struct{ text *string }

func newValue(text string) Value { return Value{&text} }

// Reveal returns the text. Outside tests it has one caller, the place where a
// header is built for an upstream.
func (v Value) Reveal() string {
	if v.text == nil {
		return ""
	}
	return *v.text
}

// String returns "[redacted]".
func (Value) String() string { return redacted }

// Format writes "[redacted]" for every verb and flag.
func (Value) Format(s fmt.State, _ rune) { io.WriteString(s, redacted) }

// LogValue makes log/slog write "[redacted]".
func (Value) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText makes encoding/json, encoding/xml and YAML libraries write
// "[redacted]". (encoding/gob refuses the type: it has no exported fields.)
func (Value) MarshalText() ([]byte, error) { return []byte(redacted), nil }
