package rules

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// A Field is a header with its value.
type Field struct{ Name, Value string }

// Fields is [Injection.Expand] for any injection: the headers to set, and the secret
// texts that went into them. Those of a callback are the names and values that it has
// answered with.
func (i Injection) Fields(lookup func(name string) (string, error)) (fields []Field, parts []string, err error) {
	if i.answer == "" {
		value, parts, err := i.Expand(lookup)
		return []Field{{i.Name, value}}, parts, err
	}
	text, err := lookup(i.answer)
	if err != nil {
		return nil, nil, fmt.Errorf("secret %s: %w", i.answer, err)
	}
	if fields, err = parseAnswer(text); err != nil {
		return nil, nil, fmt.Errorf("the answer of the callback: %w", err)
	}
	for _, f := range fields {
		parts = append(parts, credentials(f.Value)...)
	}
	return fields, parts, nil
}

// parseAnswer reads a JSON object of header names and values. Its errors hold no
// value, and no name that is not one.
func parseAnswer(text string) ([]Field, error) {
	var headers map[string]string
	if json.Unmarshal([]byte(text), &headers) != nil || len(headers) == 0 {
		return nil, errors.New("has no headers; it must be {\"headers\": {NAME: VALUE}}")
	}
	var fields []Field
	names := fieldNames{}
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		value := strings.Trim(headers[name], " \t") // which are none of it (RFC 9110 5.5)
		switch {
		case !httpguts.ValidHeaderFieldName(name):
			return nil, errors.New("has a header whose name is none (RFC 9110 5.6.2)")
		case value == "" || !httpguts.ValidHeaderFieldValue(value):
			return nil, fmt.Errorf("has a value for %s that no header can have", name)
		}
		if err := names.add(name); err != nil {
			return nil, err
		}
		fields = append(fields, Field{name, value})
	}
	return fields, nil
}

// credentials are the texts in a header value that must not come back: the value, what
// follows an authentication scheme, and the password in Basic credentials.
func credentials(value string) []string {
	list := []string{value}
	scheme, rest, ok := strings.Cut(value, " ")
	if !ok {
		return list
	}
	list = append(list, rest)
	if plain, err := base64.StdEncoding.DecodeString(rest); err == nil && strings.EqualFold(scheme, "Basic") {
		_, password, _ := strings.Cut(string(plain), ":")
		list = append(list, string(plain), password)
	}
	return list
}
