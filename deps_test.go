package main_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// module is the path of this module.
const module = "keybearer"

// floors is the architecture: what each package may import beside the standard
// library. "x/y" stands for a package of this module, and a path with a dot in its
// first element for everything below it.
//
// DO NOT CHANGE THIS TABLE TO FIX A BUILD. rules and secrets do not know each
// other, and the proxy knows neither files nor logs: that is what makes them
// possible to trust one at a time.
var floors = map[string][]string{
	"":                   {"internal/cli"},
	"certs":              {},
	"secrets":            {},
	"proxy/http1":        {},
	"rules":              {"golang.org/x/net"},
	"proxy/sigv4":        {"github.com/aws/aws-sdk-go-v2"},
	"proxy":              {"rules", "secrets", "certs", "proxy/http1", "proxy/sigv4", "golang.org/x/net", "golang.org/x/time"},
	"internal/peer":      {"golang.org/x/sys"},
	"internal/clientenv": {"software.sslmate.com/src/go-pkcs12"},
	"internal/tokens":    {"secrets", "golang.org/x/oauth2", "github.com/golang-jwt/jwt/v5"},
	"internal/config":    {"rules", "secrets", "internal/tokens", "golang.org/x/net", "github.com/spf13/viper", "github.com/spf13/pflag", "gopkg.in/yaml.v3"},
	"internal/telemetry": {"proxy", "golang.org/x/term", "github.com/VictoriaMetrics/metrics"},
	"internal/admin":     {"internal/telemetry", "golang.org/x/net"},
	"internal/manifest":  {"internal/clientenv", "gopkg.in/yaml.v3"},
	"internal/cli": {"certs", "rules", "secrets", "proxy", "internal/config", "internal/clientenv", "internal/manifest", "internal/peer",
		"internal/telemetry", "internal/admin", "github.com/spf13/cobra", "github.com/spf13/pflag", "github.com/fsnotify/fsnotify", "github.com/coreos/go-systemd/v22",
		"golang.org/x/sys", "golang.org/x/term", "github.com/KimMachineGun/automemlimit"},
}

// Every import of every package, for every system, is one that the table allows.
func TestFloors(t *testing.T) {
	files := sources(t)
	for _, dir := range slices.Sorted(maps.Keys(files)) {
		allowed, ok := floors[dir]
		if !ok {
			t.Errorf("package %q has no floor: add it to the table and to ARCHITECTURE.md", dir)
			continue
		}
		for _, file := range files[dir] {
			for _, spec := range file.Imports {
				imported, err := strconv.Unquote(spec.Path.Value)
				if err != nil {
					t.Fatal(err)
				}
				if !mayImport(allowed, imported) {
					t.Errorf("%q may not import %q", path.Join(module, dir), imported)
				}
			}
		}
	}
	for dir := range floors {
		if files[dir] == nil {
			t.Errorf("the table has a floor for %q, which is no package", dir)
		}
	}
}

func mayImport(allowed []string, imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	if own, ok := strings.CutPrefix(imported, module+"/"); ok {
		return slices.Contains(allowed, own)
	}
	if !strings.Contains(first, ".") {
		return imported != "C" && imported != "unsafe" // else the standard library
	}
	return slices.ContainsFunc(allowed, func(a string) bool {
		return imported == a || strings.HasPrefix(imported, a+"/")
	})
}

// A secret is turned into text in one place only, where a header is built.
func TestRevealedOnce(t *testing.T) {
	var places []string
	for dir, files := range sources(t) {
		for _, file := range files {
			ast.Inspect(file, func(n ast.Node) bool {
				if s, ok := n.(*ast.SelectorExpr); ok && s.Sel.Name == "Reveal" {
					places = append(places, dir)
				}
				return true
			})
		}
	}
	if !slices.Equal(places, []string{"proxy"}) {
		t.Errorf("Reveal is used in %q, want one place in proxy", places)
	}
}

// isModule reports whether a directory is the root of another module.
func isModule(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}

// sources are the files of each package of the module that are not tests.
func sources(t *testing.T) map[string][]*ast.File {
	t.Helper()
	files := map[string][]*ast.File{}
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		base := filepath.Base(name)
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && (base == "testdata" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || isModule(name)):
			return filepath.SkipDir
		case !strings.HasSuffix(base, ".go") || strings.HasSuffix(base, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			return err
		}
		dir := filepath.ToSlash(filepath.Dir(name))
		if dir == "." {
			dir = ""
		}
		files[dir] = append(files[dir], file)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
