package rules

import (
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// An Injection is one thing that a rule puts into a request, in place of any that the
// client sent under that name.
//
// That of a callback has no name, and is several: see [Injection.Fields].
type Injection struct {
	// Name is that of the field or parameter, spelled as in the configuration; of a
	// placeholder that of the secret.
	Name string
	In   Place
	When When
	// Placeholder is the text that stands for the value; for InPlaceholder alone.
	Placeholder string

	value    template // the value, or the password
	username template // basic only
	basic    bool     // the value is Basic credentials (RFC 7617)
	opaque   bool     // the literal value is a secret by itself
	answer   string   // the secret that holds names and values
}

// A Place is where an Injection goes.
type Place uint8

const (
	InHeader      Place = iota // a header field
	InQuery                    // a query parameter
	InPlaceholder              // wherever the client has sent a text that stands for it
)

// When is the condition of an Injection, apart from those of its rule.
type When uint8

const (
	Always    When = iota
	IfAbsent       // only if the client has sent none of that name
	IfPresent      // only if it has
)

// String names the injection for people: "Authorization", "query parameter key".
func (i Injection) String() string {
	switch i.In {
	case InQuery:
		return "query parameter " + i.Name
	case InPlaceholder:
		return "placeholder of " + i.Name
	}
	return i.Name
}

// References lists the names of the secrets that the value needs, sorted.
func (i Injection) References() []string {
	if i.answer != "" {
		return []string{i.answer}
	}
	names := slices.Concat(i.username.references(), i.value.references())
	slices.Sort(names)
	return slices.Compact(names)
}

// Secret reports whether the value must not be shown: it has references, it is
// opaque, or it is basic_auth.
func (i Injection) Secret() bool { return i.opaque || i.basic || len(i.References()) > 0 }

// Expand returns the value with every reference replaced by what lookup
// returns for it. Parts are the secret texts that went into it: the values of the
// references, an opaque literal, the password of basic_auth. An error wraps that
// of lookup and holds no value; the request must not be forwarded then.
func (i Injection) Expand(lookup func(name string) (string, error)) (value string, parts []string, err error) {
	value, parts, err = i.value.expand(lookup)
	if err != nil {
		return "", nil, err
	}
	if (i.opaque || i.basic) && len(parts) == 0 && value != "" {
		parts = []string{value}
	}
	if i.basic {
		username, more, err := i.username.expand(lookup)
		if err != nil {
			return "", nil, err
		}
		if strings.Contains(username, ":") { // RFC 7617 2: it would end the username
			return "", nil, errors.New("the username holds a colon; take it out")
		}
		value = "Basic " + base64.StdEncoding.EncodeToString([]byte(username+":"+value))
		parts = append(more, parts...)
	}
	if !httpguts.ValidHeaderFieldValue(value) { // no parameter needs more, and a secret has no more
		return "", nil, errors.New("the value holds bytes that no header can have; take line breaks and control characters out of the secret")
	}
	return value, parts, nil
}

// injections compiles inject_headers, headers and basic_auth of one rule.
func (c *compiler) injections(at string, r *RuleConfig) []Injection {
	var out []Injection
	names := fieldNames{}
	for _, name := range slices.Sorted(maps.Keys(r.InjectHeaders)) {
		here := at + ".inject_headers." + name
		c.check(here, names.add(name))
		value, err := parseTemplate(r.InjectHeaders[name])
		c.check(here, orValue(err, value))
		c.lintLiteral(here, value)
		out = append(out, Injection{Name: name, value: value})
	}
	for n, h := range r.Headers {
		here := fmt.Sprintf("%s.headers[%d]", at, n)
		c.check(here+".name", names.add(h.Name))
		out = append(out, c.header(here, h))
	}
	if r.BasicAuth != nil {
		c.check(at+".basic_auth", names.add("Authorization"))
		out = append(out, c.basicAuth(at+".basic_auth", r.BasicAuth))
	}
	out = append(out, c.parameters(at+".inject_query", r.InjectQuery)...)
	c.when(at+".when", r.When, out)
	return append(out, c.placeholders(at+".placeholder", r.Placeholder)...)
}

// header compiles one entry of headers.
func (c *compiler) header(at string, h HeaderConfig) Injection {
	i := Injection{Name: h.Name, opaque: h.Type == "opaque"}
	var err error
	switch h.Type {
	case "workspace_secret":
		i.value, err = parseBraces(h.Value)
		if err == nil && len(i.value.references()) == 0 {
			err = errors.New("type workspace_secret without a {NAME}; for a literal use plaintext or opaque")
		}
	case "plaintext", "opaque":
		i.value = template{}.literal(h.Value)
	case "":
		c.errorf(at+".type", "is missing; it is workspace_secret, plaintext or opaque")
		return i
	default:
		c.errorf(at+".type", "%q is not a type; use workspace_secret, plaintext or opaque", h.Type)
		return i
	}
	c.check(at+".value", orValue(err, i.value))
	if !i.opaque {
		c.lintLiteral(at+".value", i.value)
	}
	return i
}

// basicAuth compiles basic_auth. An empty password is allowed: many APIs take
// the key as the username.
func (c *compiler) basicAuth(at string, b *BasicAuthConfig) Injection {
	i := Injection{Name: "Authorization", basic: true}
	var err error
	if i.username, err = parseTemplate(b.Username); err == nil && strings.Contains(i.username.literals(), ":") {
		err = errors.New("a username holds no colon (RFC 7617)")
	}
	c.check(at+".username", err)
	i.value, err = parseTemplate(b.Password)
	c.check(at+".password", err)
	if b.Username == "" && b.Password == "" {
		c.errorf(at, "username and password are empty")
	}
	c.lintLiteral(at+".username", i.username)
	c.lintLiteral(at+".password", i.value)
	return i
}

// orValue adds to err what can be wrong with a header value before its secrets
// are known.
func orValue(err error, t template) error {
	text := t.literals()
	switch {
	case err != nil:
		return err
	case len(t) == 0:
		return errors.New("the value is empty; to take a header out use remove_headers")
	case !httpguts.ValidHeaderFieldValue(text):
		return errors.New("the value holds a control character, which no header can have")
	case !t[0].secret && strings.TrimLeft(t[0].text, " \t") != t[0].text,
		!t[len(t)-1].secret && strings.TrimRight(t[len(t)-1].text, " \t") != t[len(t)-1].text:
		return errors.New("the value begins or ends with a space, which no receiver keeps")
	}
	return nil
}

// fieldNames are the names that a rule injects, by fieldKey.
type fieldNames map[string]string

func (f fieldNames) add(name string) error {
	if err := checkFieldName(name); err != nil {
		return err
	}
	key := fieldKey(name)
	if other, ok := f[key]; ok {
		return fmt.Errorf("%s is injected twice by this rule (%s); keep one", name, other)
	}
	f[key] = name
	return nil
}

// fieldKey makes one of the spellings that some server takes for one name: CGI
// and WSGI turn both X-Key and X_Key into HTTP_X_KEY.
func fieldKey(name string) string { return strings.ReplaceAll(lower(name), "_", "-") }

// managed are the fields that say where a message goes, where it ends or what
// the connection does next: the proxy's to set, not a rule's.
var managed = map[string]bool{
	"host": true, "content-length": true, "transfer-encoding": true, "connection": true,
	"keep-alive": true, "te": true, "trailer": true, "upgrade": true, "expect": true,
}

// checkFieldName says why a rule can not set or remove the field.
func checkFieldName(name string) error {
	key := fieldKey(name)
	switch {
	case strings.HasPrefix(name, ":"):
		return fmt.Errorf("%q is a pseudo-header of HTTP/2, not a header", name)
	case !httpguts.ValidHeaderFieldName(name):
		return fmt.Errorf("%q is not a header name (RFC 9110 5.6.2)", name)
	case managed[key] || strings.HasPrefix(key, "proxy-"):
		return fmt.Errorf("%s belongs to the connection and can not be set or removed by a rule", name)
	}
	return nil
}
