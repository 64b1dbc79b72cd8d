package cli

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// documented is a command line in a block of code or a span of it: keybearer, the
// command, and what follows as far as the shell takes it for words.
var documented = regexp.MustCompile("(?m)(?:^|[ (/`])keybearer ([a-z][^|&;()<>#`\n]*)")

// code is what stands between backticks, three or one.
var code = regexp.MustCompile("(?ms)^ *```.*?^ *```$|^    .*?$|`[^`\n]+`")

// What the documents tell people to type are commands that exist, with flags that
// they have.
//
// seen red: --log-level written as --loglevel in docs/laptop.md, and serve as server.
func TestDocumentedCommandsParse(t *testing.T) {
	const root = "../.."
	files := []string{"README.md", "SECURITY.md"}
	for _, pattern := range []string{"docs/*.md", "examples/*.md", "examples/*/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range found {
			name, err := filepath.Rel(root, file)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, name)
		}
	}
	seen := 0
	for _, file := range files {
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range code.FindAllString(string(text), -1) {
			for _, match := range documented.FindAllStringSubmatch(block, -1) {
				seen++
				if err := parses(match[1]); err != nil {
					t.Errorf("%s: keybearer %s: %v", file, match[1], err)
				}
			}
		}
	}
	if seen < 40 {
		t.Errorf("found %d command lines in the documents, where there are many more", seen)
	}
}

// parses does with a line what the program does before it starts a command.
func parses(line string) error {
	root := newRoot()
	root.SetOut(io.Discard)
	root.InitDefaultCompletionCmd()
	cmd, args, err := root.Find(strings.Fields(line))
	if err != nil {
		return err
	}
	return cmd.ParseFlags(args)
}
