package config

import (
	"fmt"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// join appends a key to a path, quoting it if it would not read as one word.
func join(path, key string) string {
	switch {
	case !isWord(key):
		return fmt.Sprintf("%s[%q]", path, shorten(key))
	case path == "":
		return shorten(key)
	}
	return path + "." + shorten(key)
}

func isWord(key string) bool {
	for _, c := range key {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-') {
			return false
		}
	}
	return key != ""
}

// shorten bounds what a message repeats of the document.
func shorten(s string) string {
	const most = 60
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}

// segments splits a path. It takes a.b[0], a.b.0, a[b][0] and a["b"][0] for the
// same, so that paths made by other packages are understood.
func segments(path string) (s []string) {
	for path != "" {
		var segment string
		switch quoted, err := strconv.QuotedPrefix(path[1:]); {
		case path[0] == '[' && err == nil:
			segment, _ = strconv.Unquote(quoted)
			path = strings.TrimPrefix(path[1+len(quoted):], "]")
		case path[0] == '[':
			segment, path, _ = strings.Cut(path[1:], "]")
		default:
			path = strings.TrimPrefix(path, ".")
			end := strings.IndexAny(path, ".[")
			if end < 0 {
				end = len(path)
			}
			segment, path = path[:end], path[end:]
		}
		s = append(s, segment)
	}
	return s
}

// canonical makes one string of segments, and "" of none.
func canonical(segments []string) string {
	var b strings.Builder
	for _, s := range segments {
		b.WriteString("\x00" + s)
	}
	return b.String()
}

// child returns the element or the value of n that a segment names, or nil.
func child(n *yaml.Node, segment string) *yaml.Node {
	if n != nil && n.Kind == yaml.SequenceNode {
		if i, err := strconv.Atoi(segment); err == nil && 0 <= i && i < len(n.Content) {
			return n.Content[i]
		}
		return nil
	}
	return lookUp(n, segment)
}

// lookUp returns the value of a key of a mapping, or nil.
func lookUp(n *yaml.Node, name string) *yaml.Node {
	if n != nil && n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == name {
				return n.Content[i+1]
			}
		}
	}
	return nil
}
