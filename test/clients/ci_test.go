//go:build clients

package clients

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"gopkg.in/yaml.v3"
)

// The shell steps of examples/github-actions.yaml and examples/gitlab-ci.yaml are
// run as they stand, each job in a directory of its own, as the runners do it:
// bash -e -o pipefail, a process per step on GitHub and one per job on GitLab.
// Only the way to the upstream is added, see prelude.

func TestGitHubActions(t *testing.T) {
	var workflow struct {
		Jobs map[string]struct {
			Steps []struct {
				Run  string
				Uses string
				With map[string]string
				Env  map[string]string
			}
		}
	}
	readExample(t, "github-actions.yaml", &workflow)
	for _, name := range []string{"run", "background"} {
		t.Run(name, func(t *testing.T) {
			j := newCIJob(t)
			for _, step := range workflow.Jobs[name].Steps {
				if path := step.With["path"]; path != "" {
					j.checkOut(path)
				}
				if step.Run != "" {
					j.step(step.Run, step.Env)
				}
			}
			j.check()
		})
	}
}

func TestGitLabCI(t *testing.T) {
	type job struct{ Script []string }
	var pipeline struct {
		Variables map[string]string
		Default   struct {
			BeforeScript []string `yaml:"before_script"`
		}
		Run, Background job
	}
	readExample(t, "gitlab-ci.yaml", &pipeline)
	for name, lines := range map[string][]string{"run": pipeline.Run.Script, "background": pipeline.Background.Script} {
		t.Run(name, func(t *testing.T) {
			j := newCIJob(t)
			source, err := filepath.Abs("../..")
			if err != nil {
				t.Fatal(err)
			}
			pipeline.Variables["KEYBEARER_REPOSITORY"] = "file://" + source
			pipeline.Variables["OPENAI_API_KEY"] = canaries["OPENAI_API_KEY"] // masked, in the settings of the project
			j.step(strings.Join(slices.Concat(pipeline.Default.BeforeScript, lines), "\n"), pipeline.Variables)
			j.check()
		})
	}
}

func readExample(t *testing.T, name string, into any) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("../../examples", name))
	if err == nil {
		err = yaml.Unmarshal(data, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// ciJob is a runner with one job.
type ciJob struct {
	t      *testing.T
	dir    string // the checkout
	temp   string
	output bytes.Buffer
	last   []byte // the output of the last step
}

func newCIJob(t *testing.T) *ciJob {
	dir := t.TempDir()
	j := &ciJob{t: t, dir: filepath.Join(dir, "checkout"), temp: filepath.Join(dir, "temp")}
	config, err := os.ReadFile("../../examples/openai.yaml")
	if err := errors.Join(err,
		os.Mkdir(j.dir, 0o755), os.Mkdir(j.temp, 0o755), os.Mkdir(filepath.Join(j.temp, "tmp"), 0o755),
		os.WriteFile(filepath.Join(j.dir, "keybearer.yaml"), config, 0o644),
		os.WriteFile(filepath.Join(j.temp, "prelude"), []byte(prelude), 0o644),
		os.WriteFile(filepath.Join(j.temp, "path"), nil, 0o644),
		os.WriteFile(filepath.Join(j.temp, "env"), nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	return j
}

// prelude is what bash reads before each step. It leads to the upstream.
const prelude = `
keybearer() {
	command=$1; shift
	case $command in
	run|serve) command keybearer "$command" --resolve "api.openai.com:443:$TEST_UPSTREAM" "$@" ;;
	*) command keybearer "$command" "$@" ;;
	esac
}
exec() { # knows no functions
	case $1 in
	keybearer) "$@"; exit ;;
	*) builtin exec "$@" ;;
	esac
}
`

// checkOut puts the source of keybearer where actions/checkout would.
func (j *ciJob) checkOut(path string) {
	j.t.Helper()
	source, err := filepath.Abs("../..")
	if err == nil {
		err = os.Symlink(source, filepath.Join(j.dir, path))
	}
	if err != nil {
		j.t.Fatal(err)
	}
}

// step runs a script. What it leaves in the background ends with the test.
func (j *ciJob) step(script string, env map[string]string) {
	j.t.Helper()
	cmd := exec.Command("bash", "-e", "-o", "pipefail", "-c", script)
	cmd.Dir = j.dir
	cmd.Env = j.environ(env)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := os.Create(filepath.Join(j.temp, "output")) // a file: a pipe would wait for the background
	if err != nil {
		j.t.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	err = cmd.Run()
	j.t.Cleanup(func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	if j.last, _ = os.ReadFile(out.Name()); err != nil {
		log, _ := filepath.Glob(filepath.Join(j.temp, "..", "*", "keybearer.log"))
		for _, file := range log {
			text, _ := os.ReadFile(file)
			j.last = append(j.last, text...)
		}
		j.t.Fatalf("%s\n%v\n%s", script, err, tail(j.last, 4000))
	}
	j.output.Write(j.last)
}

var secretExpression = regexp.MustCompile(`\$\{\{ secrets\.(\w+) \}\}`)

// environ is the environment of a step: the runner's, what earlier steps have
// added, and its own.
func (j *ciJob) environ(own map[string]string) environ {
	added, _ := os.ReadFile(filepath.Join(j.temp, "path"))
	path := strings.ReplaceAll(strings.TrimSpace(string(added)), "\n", ":") + ":" + os.Getenv("PATH")
	env := append(basic(j.temp), "PATH="+path, "RUNNER_TEMP="+j.temp, "BASH_ENV="+filepath.Join(j.temp, "prelude"),
		"GITHUB_PATH="+filepath.Join(j.temp, "path"), "GITHUB_ENV="+filepath.Join(j.temp, "env"),
		"TEST_UPSTREAM="+theScene.upstream.address,
		"KEYBEARER_UPSTREAM_CA="+filepath.Join(theScene.origin(), "bundle.pem"))
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOFLAGS", "GOPROXY", "GOTOOLCHAIN"} { // of this machine: no network here
		if value, err := exec.Command("go", "env", name).Output(); err == nil {
			env = append(env, name+"="+strings.TrimSpace(string(value)))
		}
	}
	env = append(env, j.kept()...)
	for name, value := range own {
		env = append(env, name+"="+secretExpression.ReplaceAllStringFunc(value, func(e string) string {
			return canaries[secretExpression.FindStringSubmatch(e)[1]]
		}))
	}
	return env
}

// kept are the variables in GITHUB_ENV: NAME=VALUE, or NAME<<WORD, lines, WORD.
func (j *ciJob) kept() environ {
	data, err := os.ReadFile(filepath.Join(j.temp, "env"))
	if err != nil {
		j.t.Fatal(err)
	}
	if found := leak(data); found != "" {
		j.t.Errorf("GITHUB_ENV holds a secret, %s", found)
	}
	var env environ
	lines := strings.Split(string(data), "\n")
	for i := 0; i < len(lines); i++ {
		name, word, many := strings.Cut(lines[i], "<<")
		if !many || strings.Contains(name, "=") {
			env = append(env, lines[i])
			continue
		}
		end := i + 1 + slices.Index(lines[i+1:], word)
		env = append(env, name+"="+strings.Join(lines[i+1:end], "\n"))
		i = end
	}
	return slices.DeleteFunc(env, func(entry string) bool { return entry == "" })
}

// check: the last step got the answer that the upstream gives to the right
// credential alone, and the log of the job holds no secret.
func (j *ciJob) check() {
	j.t.Helper()
	if !bytes.Contains(j.last, []byte(answers["/models"].document)) {
		j.t.Errorf("the last step printed %s; want the answer of the upstream", tail(j.last, 4000))
	}
	if found := leak(j.output.Bytes()); found != "" {
		j.t.Errorf("the log of the job holds a secret, %s:\n%s", found, fmt.Sprint(tail(j.output.Bytes(), 4000)))
	}
}
