package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// From the link to an event: consent, a webhook at Acme, a signed request.
func TestTicketsComeIn(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	read, write := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := run(ctx, []string{"-every", "20ms"}, write)
		write.CloseWithError(err)
		done <- err
	}()
	lines := bufio.NewScanner(read)
	require.True(t, lines.Scan(), "it ended early: %v", lines.Err())
	link, ok := strings.CutPrefix(lines.Text(), "connect user-42: ")
	require.True(t, ok, lines.Text())

	connect(t, link)
	require.True(t, lines.Scan(), "it ended early: %v", lines.Err())
	assert.Equal(t, "user-42 acme.ticket.opened: The printer is on fire (high)", lines.Text())

	cancel()
	_, _ = io.Copy(io.Discard, read) // whatever else it prints
	require.NoError(t, <-done)
}

// connect is a browser: it presses Continue and follows redirects.
func connect(t *testing.T, link string) {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	browser := &http.Client{Jar: jar}
	page := get(t, browser, http.MethodGet, link, nil)
	action := regexp.MustCompile(`action="([^"]+)"`).FindStringSubmatch(page)
	csrf := regexp.MustCompile(`name="csrf" value="([^"]+)"`).FindStringSubmatch(page)
	require.NotNil(t, action, page)
	require.NotNil(t, csrf, page)
	base, err := url.Parse(link)
	require.NoError(t, err)
	target, err := base.Parse(action[1])
	require.NoError(t, err)
	get(t, browser, http.MethodPost, target.String(), url.Values{"csrf": {csrf[1]}})
}

func get(t *testing.T, browser *http.Client, method, address string, form url.Values) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(form.Encode()))
	require.NoError(t, err)
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", req.URL.Scheme+"://"+req.URL.Host)
	}
	resp, err := browser.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, resp.StatusCode, string(body))
	return string(body)
}

const (
	library = "github.com/interactorhq/interactor"
	here    = library + "/examples/ownconnector"
	own     = "example.com/ownconnector"
)

// A connector needs what is exported and nothing else: copied into a module of
// its own, where Go forbids the library's internal packages, it compiles, and so
// do its tests.
func TestCompilesInAModuleOfItsOwn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	copySources(t, ".", dir)

	text, err := os.ReadFile(filepath.Join(root, "go.mod"))
	require.NoError(t, err)
	mod := strings.Replace(string(text), "module "+library+"\n", "module "+own+"\n", 1)
	mod += "\nrequire " + library + " v0.0.0\n\nreplace " + library + " => " + root + "\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte(mod), 0o600))
	sum, err := os.ReadFile(filepath.Join(root, "go.sum"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go.sum"), sum, 0o600))

	vet := exec.CommandContext(t.Context(), "go", "vet", "./...")
	vet.Dir = dir
	vet.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOSUMDB=off", "GOWORK=off")
	out, err := vet.CombinedOutput()
	require.NoError(t, err, string(out))
}

// copySources copies Go files, with the import paths that they have over there.
func copySources(t *testing.T, from, to string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(from, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".go" {
			return err
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, path)
		if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
			return err
		}
		return os.WriteFile(target, []byte(strings.ReplaceAll(string(source), here, own)), 0o600)
	}))
}
