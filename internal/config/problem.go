package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"keybearer/rules"
)

// maxProblems bounds what Load reports: nobody reads more, and a hostile file
// could hold millions.
const maxProblems = 100

// A Problem is one thing that is wrong or, if Warning is set, doubtful.
type Problem struct {
	File         string // "" if the problem is not in a file
	Line, Column int    // from 1, in characters; 0 if unknown
	Path         string // rules[1].match_hosts[0], --listen or KEYBEARER_LISTEN; "" for the document as a whole
	Message      string // what is wrong and what to do; never a value that may be a credential
	Warning      bool
}

// String is the line printed for p:
//
//	keybearer.yaml:14:7: rules[1].match_hosts[0]: "*..x": empty label
func (p Problem) String() string {
	var b strings.Builder
	if p.File != "" {
		b.WriteString(p.File)
		if p.Line > 0 {
			fmt.Fprintf(&b, ":%d", p.Line)
			if p.Column > 0 {
				fmt.Fprintf(&b, ":%d", p.Column)
			}
		}
		b.WriteString(": ")
	}
	if p.Warning {
		b.WriteString("warning: ")
	}
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.Message)
	return b.String()
}

// Error is a configuration that cannot be used. Problems holds at least one
// that is not a warning, and warnings as well.
type Error struct{ Problems []Problem }

// Error prints one problem a line.
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// report gathers the problems of one file and knows where its parts are.
type report struct {
	file             string
	root             *yaml.Node      // nil if the file cannot be parsed
	errors, warnings int             // how many there are
	problems         []Problem       // the first maxProblems of each
	bad              map[string]bool // canonical paths of errors
	literals         []string        // paths of secrets that stand in the file, in what is fetched
}

// errorf reports an error at the place of path.
func (r *report) errorf(path, format string, args ...any) {
	r.errorAt(r.place(path), path, format, args...)
}

// errorAt reports an error at n, which may be nil.
func (r *report) errorAt(n *yaml.Node, path, format string, args ...any) {
	r.taint(path)
	r.add(r.locate(n, Problem{Path: path, Message: fmt.Sprintf(format, args...)}))
}

// taint lets no more be said about path: what is known of it is not what was
// meant.
func (r *report) taint(path string) {
	if r.bad == nil {
		r.bad = make(map[string]bool)
	}
	if len(r.bad) < 2*maxProblems {
		r.bad[canonical(segments(path))] = true
	}
}

func (r *report) warn(path, message string) {
	r.add(r.locate(r.place(path), Problem{Path: path, Message: message, Warning: true}))
}

// locate puts the place of n, which may be nil, into p.
func (r *report) locate(n *yaml.Node, p Problem) Problem {
	p.File = r.file
	if n != nil {
		p.Line, p.Column = n.Line, n.Column
	}
	return p
}

func (r *report) add(p Problem) {
	count := &r.errors
	if p.Warning {
		count = &r.warnings
	}
	if *count++; *count <= maxProblems {
		r.problems = append(r.problems, p)
	}
}

// compiled takes over the problems of rules.Compile. A problem at or below a
// path that could not be decoded is only an echo of that.
func (r *report) compiled(problems []rules.Problem, policyPath string) {
	for _, p := range problems {
		path := policyPath + p.Path
		if !r.tainted(path) {
			r.add(r.locate(r.place(path), Problem{Path: path, Message: p.Message, Warning: p.Warning}))
		}
	}
}

// place returns the node at path or, if there is none, the nearest above it.
func (r *report) place(path string) *yaml.Node {
	n := r.root
	for _, segment := range segments(path) {
		next := child(n, segment)
		if next == nil {
			break
		}
		n = next
	}
	return n
}

// tainted reports whether path or anything above it has an error.
func (r *report) tainted(path string) bool {
	s := segments(path)
	for i := range len(s) + 1 {
		if r.bad[canonical(s[:i])] {
			return true
		}
	}
	return false
}

// suspect reports whether path, anything above it or anything below it has an
// error.
func (r *report) suspect(path string) bool {
	below := canonical(segments(path)) + "\x00"
	for p := range r.bad {
		if strings.HasPrefix(p, below) {
			return true
		}
	}
	return r.tainted(path)
}

// finish is the one way out of Load.
func (r *report) finish(c *Config, strict bool) (*Config, error) {
	slices.SortStableFunc(r.problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Path, b.Path))
	})
	failed := c == nil || c.Set == nil || r.errors > 0 || strict && r.warnings > 0
	if more := r.errors + r.warnings - len(r.problems); more > 0 {
		r.problems = append(r.problems, Problem{
			File: r.file, Message: fmt.Sprintf("%d more problems are not shown; fix these first", more), Warning: !failed,
		})
	}
	if !failed {
		c.Warnings = r.problems
		return c, nil
	}
	for i := range r.problems {
		r.problems[i].Warning = r.problems[i].Warning && !strict
	}
	return nil, &Error{Problems: r.problems}
}
