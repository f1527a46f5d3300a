package doctest

import (
	"bufio"
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The config file in the operations page starts examples/server.
func TestServerTakesTheDocumentedConfig(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server := filepath.Join(dir, "server")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", server, "./examples/server")
	build.Dir = root
	build.Env = append(os.Environ(), "GOPROXY=off")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}

	config := documentedConfig(t)
	config = strings.Replace(config, `"127.0.0.1:8080"`, `"127.0.0.1:0"`, 1)
	config = strings.Replace(config, `"/var/lib/interactor/interactor.db"`, `"interactor.db"`, 1) // beside the file
	if err := os.WriteFile(filepath.Join(dir, "server.json"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	run := exec.CommandContext(t.Context(), server, "-config", filepath.Join(dir, "server.json"))
	run.Env = environment(config)
	var stderr strings.Builder
	run.Stderr = &stderr
	stdout, err := run.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(stdout).ReadString('\n') // or its end, when it does not start
	if err := run.Process.Signal(os.Interrupt); err != nil {
		t.Error(err)
	}
	if err := run.Wait(); err != nil || !strings.HasPrefix(line, "interactor: listening on http://127.0.0.1:") {
		t.Errorf("it said %q and ended with %v\n%s", line, err, stderr.String())
	}
}

// documentedConfig is the whole config file of the operations page.
func documentedConfig(t *testing.T) string {
	t.Helper()
	for _, d := range documents(t) {
		for _, b := range d.blocks("json") {
			if d.path == "docs/operations.md" && strings.Contains(b.code, `"public_url"`) {
				return b.code
			}
		}
	}
	t.Fatal("docs/operations.md shows no config file")
	return ""
}

// environment has a value for each variable that the config names.
func environment(config string) (env []string) {
	for i, m := range regexp.MustCompile(`\$\{(\w+)\}`).FindAllStringSubmatch(config, -1) {
		value := "a value that is not the same as another one, number " + string(rune('A'+i))
		key := base64.StdEncoding.EncodeToString([]byte("a key of 32 bytes, for this test"))
		switch m[1] {
		case "INTERACTOR_KEY":
			value = key
		case "ACME_SIGNING_SECRET":
			value = "whsec_" + key
		case "ACME_API_KEY":
			value = "0123456789abcdefghijklmnopqrstuvwxyz"
		}
		env = append(env, m[1]+"="+value)
	}
	return env
}
