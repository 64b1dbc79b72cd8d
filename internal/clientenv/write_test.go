package clientenv

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// nasty are values that a careless rendering would execute, expand, cut short
// or split in two.
var nasty = []Variable{
	{"EMPTY", ""},
	{"PLAIN", "http://127.0.0.1:3128"},
	{"SPACES", "  two  spaces  "},
	{"SINGLE", "it's 'quoted'"},
	{"DOUBLE", `say "hi"`},
	{"DOLLAR", "$HOME ${HOME} $(touch pwned) $"},
	{"BACKTICK", "`touch pwned`"},
	{"BACKSLASH", `a\b\\c\n\'\`},
	{"META", "a;b|c&d>e<f(g)h*i?j[k]l{m,n}o!p#q~r%s^t"},
	{"HASH", "#not a comment"},
	{"UNICODE", "na\u00efve \u2018\u2019\u201a\u201b \u65e5\u672c"},
	{"TAB", "a\tb"},
}

var multiLine = []Variable{
	{"NEWLINE", "line 1\nline 2\n"},
	{"INJECT", "x\nEVIL=1\nexport EVIL=1"},
	{"HEREDOC", "a\nKEYBEARER_END\nEVIL=1\nKEYBEARER_END_\nb"},
	{"QUOTED_LINES", "'\n\"\n`\n$(touch pwned)"},
	{"CRLF", "a\r\nb\r"},
}

// TestWriteEvaluates has the real shell evaluate the output and print each
// variable: it has to be the value, byte for byte, and nothing else may happen.
func TestWriteEvaluates(t *testing.T) {
	shells := []struct {
		format, command string
		args            func(script string) []string
		print           string // prints the variable NAME followed by a NUL
	}{
		{"sh", "sh", file, `printf '%s\0' "$NAME"`},
		{"sh", "bash", file, `printf '%s\0' "$NAME"`},
		{"sh", "zsh", file, `printf '%s\0' "$NAME"`},
		{"fish", "fish", file, `printf '%s\0' "$NAME"`},
		{"powershell", "pwsh", pwshFile, `[Console]::Write("$env:NAME" + [char]0)`},
	}
	vars := slices.Concat(nasty, multiLine)
	for _, sh := range shells {
		t.Run(sh.format+"/"+sh.command, func(t *testing.T) {
			if _, err := exec.LookPath(sh.command); err != nil {
				t.Skipf("%s is not installed", sh.command)
			}
			script := render(t, sh.format, vars)
			for _, v := range vars {
				script += strings.ReplaceAll(sh.print, "NAME", v.Name) + "\n"
			}
			dir := t.TempDir()
			path := filepath.Join(dir, "script")
			if err := os.WriteFile(path, []byte(script), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(sh.command, sh.args(path)...)
			cmd.Dir = dir
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			got := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
			if len(got) != len(vars) {
				t.Fatalf("%d values, want %d:\n%q", len(got), len(vars), out)
			}
			for i, v := range vars {
				if got[i] != v.Value {
					t.Errorf("%s = %q, want %q", v.Name, got[i], v.Value)
				}
			}
			if entries, _ := os.ReadDir(dir); len(entries) != 1 {
				t.Errorf("a value was executed: %v", entries)
			}
		})
	}
}

func file(script string) []string { return []string{script} }
func pwshFile(script string) []string {
	return []string{"-NoProfile", "-NonInteractive", "-File", script}
}

// TestWriteText pins the text of formats whose reader is not at hand here.
func TestWriteText(t *testing.T) {
	tests := []struct {
		format string
		value  string
		want   string
	}{
		{"fish", `a'b\c $d`, `set -gx X 'a\'b\\c $d'` + "\n"},
		{"fish", "a\nb", "set -gx X 'a\nb'\n"},
		{"powershell", "a'b $c `d\u2019", "$env:X = 'a''b $c `d\u2019\u2019'\n"},
		{"powershell", "a\nb", "$env:X = 'a\nb'\n"},
		{"dotenv", "/a/b.pem", "X=/a/b.pem\n"},
		{"dotenv", "", "X=\n"},
		{"dotenv", "a $b #c", "X='a $b #c'\n"},
		{"dotenv", "it's $b\n\"c\"\\", `X="it's \$b\n\"c\"\\"` + "\n"},
		{"docker", `'a' "b" $c #d`, `X='a' "b" $c #d` + "\n"},
		{"github", "a b<<c=d", "X=a b<<c=d\n"},
		{"github", "a\nb", "X<<KEYBEARER_END\na\nb\nKEYBEARER_END\n"},
		{"github", "KEYBEARER_END\nY=1", "X<<KEYBEARER_END_\nKEYBEARER_END\nY=1\nKEYBEARER_END_\n"},
		{"json", "a<b>\n\"c\"", "{\n  \"X\": \"a<b>\\n\\\"c\\\"\"\n}\n"},
	}
	for _, tt := range tests {
		if got := render(t, tt.format, []Variable{{"X", tt.value}}); got != tt.want {
			t.Errorf("%s %q:\ngot  %q\nwant %q", tt.format, tt.value, got, tt.want)
		}
	}
}

// TestWriteDotenvSourced has a shell source the dotenv output, the way Makefiles
// and direnv do. It leaves out values that need escapes, where dotenv readers
// differ from a shell and from each other.
func TestWriteDotenvSourced(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("sh is not installed")
	}
	for _, v := range nasty {
		if strings.ContainsAny(v.Value, `'\`) {
			continue
		}
		script := render(t, "dotenv", []Variable{v}) + `printf '%s' "$` + v.Name + `"`
		cmd := exec.Command("sh", "-c", script)
		cmd.Dir = t.TempDir()
		if out, err := cmd.CombinedOutput(); err != nil || string(out) != v.Value {
			t.Errorf("%s = %q, %v; want %q", v.Name, out, err, v.Value)
		}
	}
}

// TestWriteGithub reads the output the way the runner does: a value never sets
// another variable.
func TestWriteGithub(t *testing.T) {
	vars := slices.Concat(nasty, multiLine)
	rest := render(t, "github", vars)
	got := map[string]string{}
	for rest != "" {
		var line string
		line, rest, _ = strings.Cut(rest, "\n")
		equals, heredoc := strings.Index(line, "="), strings.Index(line, "<<")
		if heredoc < 0 || equals >= 0 && equals < heredoc {
			got[line[:equals]] = line[equals+1:]
			continue
		}
		value, after, ok := strings.Cut("\n"+rest, "\n"+line[heredoc+2:]+"\n")
		if !ok {
			t.Fatalf("no end for %q", line)
		}
		got[line[:heredoc]] = strings.TrimPrefix(value, "\n")
		rest = after
	}
	compare(t, got, vars)
}

func TestWriteJSON(t *testing.T) {
	vars := slices.Concat(nasty, multiLine)
	var got map[string]string
	if err := json.Unmarshal([]byte(render(t, "json", vars)), &got); err != nil {
		t.Fatal(err)
	}
	compare(t, got, vars)
}

// TestWriteDocker reads the output the way docker does.
func TestWriteDocker(t *testing.T) {
	got := map[string]string{}
	for line := range strings.Lines(render(t, "docker", nasty)) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		got[name] = value
	}
	compare(t, got, nasty)
}

func compare(t *testing.T, got map[string]string, vars []Variable) {
	t.Helper()
	if len(got) != len(vars) {
		t.Errorf("%d variables, want %d: %v", len(got), len(vars), got)
	}
	for _, v := range vars {
		if value, ok := got[v.Name]; !ok || value != v.Value {
			t.Errorf("%s = %q, want %q", v.Name, value, v.Value)
		}
	}
}

// TestWriteRefuses: what cannot be expressed is an error with the next step,
// and then nothing has been written.
func TestWriteRefuses(t *testing.T) {
	type refusal struct {
		format   string
		variable Variable
		want     string
	}
	tests := []refusal{
		{"docker", Variable{"X", "a\nb"}, "docker run -e"},
		{"docker", Variable{"X", "a\r"}, "docker run -e"},
		{"yaml", Variable{"X", "a"}, "use one of sh, fish, powershell, dotenv, docker, github, json"},
	}
	for _, format := range Formats() {
		tests = append(tests,
			refusal{format, Variable{"", "a"}, "without a name"},
			refusal{format, Variable{"1X", "a"}, "rename it"},
			refusal{format, Variable{"X;touch pwned;Y", "a"}, "rename it"},
			refusal{format, Variable{"X\nY", "a"}, "rename it"},
			refusal{format, Variable{"X=Y", "a"}, "rename it"},
			refusal{format, Variable{"X", "a\x00b"}, "NUL"},
			refusal{format, Variable{"X", "a\xffb"}, "UTF-8"},
		)
	}
	for _, tt := range tests {
		var b bytes.Buffer
		err := Write(&b, tt.format, []Variable{{"GOOD", "1"}, tt.variable})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s %q: error %v, want one with %q", tt.format, tt.variable, err, tt.want)
		}
		if b.Len() > 0 {
			t.Errorf("%s %q: wrote %q before the error", tt.format, tt.variable, b.String())
		}
	}
}

func TestWriteReportsWriter(t *testing.T) {
	if err := Write(broken{}, "sh", nasty); !errors.Is(err, errBroken) {
		t.Errorf("error %v, want that of the writer", err)
	}
}

var errBroken = errors.New("broken pipe")

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errBroken }

func render(t *testing.T, format string, vars []Variable) string {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, format, vars); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
