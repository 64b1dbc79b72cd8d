//go:build clients

package clients

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

var nodeTools = []tool{
	{name: "npm of the system", present: []string{"npm", "--version"}, debian: []string{"nodejs", "npm"}},
	{name: "node", present: []string{"$dir/node", "-p", "'node ' + process.versions.node"}, build: installNode},
	npmPackage("undici"),
	npmPackage("axios"),
	npmPackage("got"),
	npmPackage("hpagent"),
	npmPackage("ws"),
	npmPackage("openai"),
	npmPackage("@anthropic-ai/sdk"),
	npmPackage("@octokit/rest"),
	npmPackage("npm"),
	npmPackage("yarn"),
	{name: "pnpm", present: []string{"$dir/pnpm", "--version"}},
	{name: "bun", present: []string{"$dir/bun", "--version"}},
	{name: "deno", present: []string{"$dir/deno", "--version"}},
}

// npmPackage is the tool of a package in testdata/node/package.json.
func npmPackage(name string) tool {
	// Its package.json may not be among what it exports.
	program := fmt.Sprintf(`%q + " " + JSON.parse(fs.readFileSync(%q)).version`, name, "$dir/node_modules/"+name+"/package.json")
	return tool{name: name, present: []string{"$dir/node", "-p", program}}
}

// installNode makes node_modules and programs in dir links to what npm has installed
// in the user's cache: Node is among the packages, because Debian's does not know
// NODE_USE_ENV_PROXY. Another lock file is another directory.
func installNode(dir string) error {
	cache, err := os.UserCacheDir()
	if err != nil {
		return err
	}
	lock, err := os.ReadFile("testdata/node/package-lock.json")
	if err != nil {
		return err
	}
	packages := filepath.Join(cache, "keybearer-test-clients", fmt.Sprintf("node-%.12x", sha256.Sum256(lock)))
	if _, err := os.Stat(packages); err != nil {
		if err := installPackages(packages); err != nil {
			return err
		}
	}
	modules := filepath.Join(packages, "node_modules")
	if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
		return err
	}
	for name, pattern := range map[string]string{
		"node": "node-*/bin/node", "bun": "@oven/bun-*/bin/bun", "deno": "@deno/*/deno", "pnpm": "@pnpm/exe.*/pnpm",
	} {
		programs, err := filepath.Glob(filepath.Join(modules, pattern))
		if err != nil || len(programs) == 0 {
			return errors.Join(fmt.Errorf("npm has installed no %s for this system", name), err)
		}
		if err := os.Symlink(programs[0], filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// installPackages makes the directory, whole or not at all.
func installPackages(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	temp, err := os.MkdirTemp(filepath.Dir(dir), "new-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	for _, name := range []string{"package.json", "package-lock.json"} {
		data, err := os.ReadFile(filepath.Join("testdata/node", name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(temp, name), data, 0o644); err != nil {
			return err
		}
	}
	fmt.Println("installing the npm packages of testdata/node/package.json")
	// Without scripts: none of them needs one.
	if err := quietly(temp, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"); err != nil {
		return err
	}
	return os.Rename(temp, dir)
}
