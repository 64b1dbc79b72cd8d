package main_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// testName is a test as docs/threat-model.md names it: package.TestName.
var testName = regexp.MustCompile(`\b([a-z0-9]+)\.((?:Test|Fuzz)[A-Z][A-Za-z0-9_]*)\b`)

// The threat model names tests that exist, each in the package that it says, and
// has one for every invariant.
//
// seen red: an h taken out of one name.
func TestThreatModelNamesTests(t *testing.T) {
	text, err := os.ReadFile("docs/threat-model.md")
	if err != nil {
		t.Fatal(err)
	}
	exist := testsOfTree(t)
	named := testName.FindAllString(string(text), -1)
	if bare := regexp.MustCompile(`\b(Test|Fuzz)[A-Z]`).FindAllString(string(text), -1); len(bare) != len(named) {
		t.Errorf("%d names of tests, %d of them with a package: write package.TestName", len(bare), len(named))
	}
	for _, name := range named {
		if !exist[name] {
			t.Errorf("docs/threat-model.md names %s, which is nowhere in the tree", name)
		}
	}
	for _, row := range []string{"I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "I9", "I10", "I11", "I12", "I13", "I14", "I15", "I16", "I17", "I18", "I19", "I20"} {
		if !regexp.MustCompile(`(?m)^\| ` + row + ` .*\.Test`).Match(text) {
			t.Errorf("no row of docs/threat-model.md maps %s to a test", row)
		}
	}
}

// testsOfTree returns every test and fuzz target as package.Name.
func testsOfTree(t *testing.T) map[string]bool {
	t.Helper()
	all := make(map[string]bool)
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil {
				all[filepath.Base(filepath.Dir(path))+"."+f.Name.Name] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
