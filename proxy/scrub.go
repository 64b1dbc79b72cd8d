package proxy

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
)

// needles are the texts that must not come back in a response (I15): each secret
// value, and each header value made of one, in the forms in which an upstream may
// repeat it. They never change.
type needles struct {
	list     []string
	first    [256]bool // the bytes that one of them begins with
	shortest int       // bytes

	// skip says how far ahead of two bytes at the end of a window of shortest
	// bytes the next needle can begin, at the least (Wu and Manber 1994). Pairs
	// share entries by hash; the smallest counts.
	skip [1 << skipBits]uint8
}

const skipBits = 12

func pairHash(a, b byte) uint { return (uint(a)<<4 ^ uint(b)) & (1<<skipBits - 1) }

// minNeedle is the length in bytes below which a value is not searched for: it
// would be found in innocent text all the time, and masking it would tell.
const minNeedle = 6

// newNeedles returns nil if there is nothing to search for.
func newNeedles(values []string) *needles {
	n := new(needles)
	for _, value := range values {
		n.addForms(value)
		// Upstreams take off spaces at the ends of a field (RFC 9110 section 5.5).
		if sent := strings.Trim(value, " \t"); sent != value {
			n.addForms(sent)
		}
	}
	if len(n.list) == 0 {
		return nil
	}
	n.prepare()
	return n
}

// prepare fills skip, once all needles are there.
func (n *needles) prepare() {
	window := min(n.shortest, 255)
	for i := range n.skip {
		n.skip[i] = uint8(window - 1)
	}
	for _, needle := range n.list {
		for end := 1; end < window; end++ {
			h := pairHash(needle[end-1], needle[end])
			n.skip[h] = min(n.skip[h], uint8(window-1-end))
		}
	}
}

func (n *needles) addForms(value string) {
	if len(value) < minNeedle {
		return
	}
	for _, form := range forms(value) {
		n.add(form)
	}
}

func (n *needles) add(form string) {
	if len(form) < minNeedle || slices.Contains(n.list, form) {
		return
	}
	n.list = append(n.list, form)
	n.first[form[0]] = true
	if n.shortest == 0 || len(form) < n.shortest {
		n.shortest = len(form)
	}
}

// forms returns the spellings of a value that an upstream may answer with.
func forms(value string) []string {
	list := []string{value, hex.EncodeToString([]byte(value)), strings.ToUpper(hex.EncodeToString([]byte(value)))}
	for _, escaped := range []string{url.QueryEscape(value), url.PathEscape(value), escapeComponent(value)} {
		list = append(list, escaped, lowerEscapes(escaped))
	}
	for _, html := range []bool{true, false} {
		quoted := jsonEscape(value, html)
		list = append(list, quoted, strings.ReplaceAll(quoted, "/", `\/`))
	}
	for offset := range 3 {
		list = append(list, base64Core(base64.RawStdEncoding, value, offset), base64Core(base64.RawURLEncoding, value, offset))
	}
	return list
}

// escapeComponent escapes all but the unreserved characters of RFC 3986, as
// JavaScript's encodeURIComponent nearly does.
func escapeComponent(value string) string {
	return strings.ReplaceAll(url.QueryEscape(value), "+", "%20")
}

// lowerEscapes writes %2F as %2f.
func lowerEscapes(s string) string {
	b := []byte(s)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			copy(b[i+1:], bytes.ToLower(b[i+1:i+3]))
			i += 2
		}
	}
	return string(b)
}

func jsonEscape(value string, html bool) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(html)
	if e.Encode(value) != nil {
		return value
	}
	return strings.Trim(strings.TrimSuffix(b.String(), "\n"), `"`)
}

// base64Core returns what every base64 text has in common in which value stands
// offset bytes behind a multiple of three: the characters that depend on value
// alone.
func base64Core(e *base64.Encoding, value string, offset int) string {
	text := e.EncodeToString(append(make([]byte, offset), value...))
	from := (offset*8 + 5) / 6
	to := (offset + len(value)) * 8 / 6
	return text[from:to]
}

// maskString masks every needle in s. A nil n has none.
func (n *needles) maskString(s string) string {
	if n == nil {
		return s
	}
	for i := 0; i+n.shortest <= len(s); i++ {
		if n.first[s[i]] {
			if length, _ := at(n, s[i:]); length > 0 {
				m := masker{n: n}
				return string(m.flush(m.write(nil, []byte(s))))
			}
		}
	}
	return s
}

// masker masks the needles in one stream, with as many asterisks as they have
// bytes. It holds back only bytes that may be the beginning of a needle, so that
// an event stream is not delayed, and never more than the longest needle.
type masker struct {
	n      *needles
	held   []byte
	masked int // bytes at the beginning of held that belong to a needle found before
	hits   int // needles masked so far; those inside another one do not count
}

// write appends to dst what is certain of the stream so far, with p at its end.
func (m *masker) write(dst, p []byte) []byte {
	if len(m.held) > 0 {
		m.held = append(m.held, p...)
		p = m.held
	}
	start := len(dst)
	dst = append(dst, p...)
	rest := m.mask(p, dst[start:], false)
	dst = dst[:len(dst)-len(p)+rest]
	m.held = append(m.held[:0], p[rest:]...)
	return dst
}

// flush appends what was held back: the stream has ended, so it was the beginning
// of nothing longer.
func (m *masker) flush(dst []byte) []byte {
	start := len(dst)
	dst = append(dst, m.held...)
	m.mask(m.held, dst[start:], true)
	m.held = m.held[:0]
	return dst
}

// mask masks in out, a copy of p, every needle in p. It returns how many bytes are
// certain: from there on, p may be the beginning of a needle, unless it is the
// last of the stream. Needles are looked for in p alone, so that of two that
// overlap neither hides the other.
func (m *masker) mask(p, out []byte, last bool) (certain int) {
	end := m.masked // of what is to be masked
	m.masked = 0
	for i := 0; ; {
		next := m.n.candidate(p, i)
		for ; i < min(end, next); i++ {
			out[i] = '*'
		}
		if i = next; i == len(p) {
			return i
		}
		length, partial := at(m.n, p[i:])
		if length > 0 && i >= end {
			m.hits++
		}
		end = max(end, i+length)
		if partial && !last {
			m.masked = end - i
			return i
		}
		if i < end {
			out[i] = '*'
		}
		i++
	}
}

// candidate returns the first position from i on at which a needle may begin,
// len(p) if there is none.
func (n *needles) candidate(p []byte, i int) int {
	window := min(n.shortest, 255)
	for i+window <= len(p) {
		if skip := n.skip[pairHash(p[i+window-2], p[i+window-1])]; skip > 0 {
			i += int(skip)
		} else if n.first[p[i]] {
			return i
		} else {
			i++
		}
	}
	for ; i < len(p); i++ {
		if n.first[p[i]] {
			return i
		}
	}
	return i
}

// at returns the length of the longest needle that p begins with, and whether p
// is the beginning of a needle that is longer than p.
func at[T string | []byte](n *needles, p T) (length int, partial bool) {
	for _, needle := range n.list {
		if needle[0] != p[0] {
			continue
		}
		if len(p) < len(needle) {
			partial = partial || needle[:len(p)] == string(p)
		} else if len(needle) > length && string(p[:len(needle)]) == needle {
			length = len(needle)
		}
	}
	return length, partial
}
