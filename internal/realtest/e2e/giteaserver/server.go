// Package giteaserver runs a real Gitea for end-to-end tests: an OAuth2 provider with PKCE, rotating
// refresh tokens and signed webhooks that nobody in this project wrote.
//
// Start with [Start]; act as one of its users through [User]; play a person's browser through the
// consent pages with [Visitor].
package giteaserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/interactorhq/interactor/internal/realtest/e2e/child"
)

// Options says how [Start] configures Gitea. The zero value works.
type Options struct {
	// AccessTokenLifetime is how long an OAuth2 access token lives. Gitea counts whole seconds.
	// Defaults to 5 s, so that a test meets an expired token soon.
	AccessTokenLifetime time.Duration

	// WebhookHosts is Gitea's ALLOWED_HOST_LIST: where it may send webhooks. Defaults to "loopback".
	WebhookHosts string
}

// Server is a running Gitea with two users. It ends with the test that started it.
type Server struct {
	// URL is its address without a slash at the end, such as http://127.0.0.1:41234.
	URL string
	// Alice is its administrator.
	Alice *User
	// Bob is a user without any rights beyond his own.
	Bob *User

	dir    string
	binary string
}

// errPortTaken says that somebody else took the port between our look and Gitea's.
var errPortTaken = errors.New("the port was taken")

const (
	startDeadline = 60 * time.Second // 1–5 s are usual; CI may be compiling beside it
	stopDeadline  = 10 * time.Second
	password      = "correct-horse-battery-staple"
)

// Start runs a fresh Gitea on a free port of 127.0.0.1, with the users alice and bob, and ends it
// when the test t ends. Without the binary the test is skipped, or fails where CI=true.
func Start(t testing.TB, opts Options) *Server {
	t.Helper()
	binaryDir := findBinary(t)
	if _, err := exec.LookPath("git"); err != nil {
		missingGit(t)
	}
	var err error
	for range 3 {
		var s *Server
		if s, err = start(t, binaryDir, opts); err == nil {
			return s
		}
		if !errors.Is(err, errPortTaken) {
			break
		}
	}
	t.Fatalf("giteaserver: %v", err)
	return nil
}

func start(t testing.TB, binaryDir string, opts Options) (*Server, error) {
	port, err := freePort(t.Context())
	if err != nil {
		return nil, err
	}
	s := &Server{
		URL:    fmt.Sprintf("http://127.0.0.1:%d", port),
		dir:    t.TempDir(),
		binary: filepath.Join(binaryDir, "gitea"),
	}
	if err := s.configure(binaryDir, port, opts); err != nil {
		return nil, err
	}
	if _, err := s.command(t.Context(), "migrate"); err != nil {
		return nil, err
	}
	token, err := s.createAdmin(t.Context(), "alice")
	if err != nil {
		return nil, err
	}
	if err := s.serve(t); err != nil {
		return nil, err
	}
	s.Alice = &User{Name: "alice", Password: password, Email: "alice@example.com", Token: token, server: s}
	s.Bob = s.CreateUser(t, "bob")
	return s, nil
}

// configure writes app.ini and the empty assets that keep a browser from an alert() about missing ones.
func (s *Server) configure(binaryDir string, port int, opts Options) error {
	lifetime := opts.AccessTokenLifetime
	if lifetime == 0 {
		lifetime = 5 * time.Second
	}
	hosts := opts.WebhookHosts
	if hosts == "" {
		hosts = "loopback"
	}
	config := fmt.Sprintf(`
APP_NAME = Gitea for tests
RUN_MODE = prod
WORK_PATH = %[1]s
I_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true

[server]
PROTOCOL = http
HTTP_ADDR = 127.0.0.1
HTTP_PORT = %[2]d
ROOT_URL = %[3]s/
STATIC_ROOT_PATH = %[4]s
DISABLE_SSH = true
OFFLINE_MODE = true
LFS_START_SERVER = false

[database]
DB_TYPE = sqlite3
PATH = %[1]s/gitea.db
SQLITE_JOURNAL_MODE = WAL

[security]
INSTALL_LOCK = true
PASSWORD_COMPLEXITY = off

[service]
DISABLE_REGISTRATION = true

[oauth2]
ACCESS_TOKEN_EXPIRATION_TIME = %[5]d
INVALIDATE_REFRESH_TOKENS = true

[webhook]
ALLOWED_HOST_LIST = %[6]s

[queue]
TYPE = channel

[indexer]
ISSUE_INDEXER_TYPE = db

[session]
PROVIDER = memory

[mailer]
ENABLED = false

[actions]
ENABLED = false

[packages]
ENABLED = false

[cron]
ENABLED = false

[cron.update_checker]
ENABLED = false

[log]
MODE = console
LEVEL = Warn
`, s.dir, port, s.URL, binaryDir, int(lifetime.Seconds()), hosts)
	if err := os.WriteFile(s.config(), []byte(config), 0o600); err != nil {
		return err
	}
	for _, asset := range []string{"js/index.js", "js/iife.js", "css/index.css", "css/theme-gitea-auto.css"} {
		file := filepath.Join(s.dir, "custom", "public", "assets", filepath.FromSlash(asset))
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) config() string { return filepath.Join(s.dir, "app.ini") }

// environ is all that Gitea gets to see of the environment: nothing of the person who runs the test.
func (s *Server) environ() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir, "GITEA_WORK_DIR=" + s.dir, "TMPDIR=" + os.TempDir()}
}

// command runs one of Gitea's command-line commands to its end and returns what it printed.
func (s *Server) command(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, s.binary, append([]string{"--config", s.config()}, args...)...)
	cmd.Env, cmd.Dir = s.environ(), s.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("gitea %s: %w\n%s", args[0], err, out)
	}
	return string(out), nil
}

// createAdmin makes an administrator and returns an API token with every scope.
func (s *Server) createAdmin(ctx context.Context, name string) (string, error) {
	if _, err := s.command(ctx, "admin", "user", "create", "--username", name, "--email", name+"@example.com",
		"--password", password, "--admin", "--must-change-password=false"); err != nil {
		return "", err
	}
	out, err := s.command(ctx, "admin", "user", "generate-access-token", "--username", name, "--token-name", "tests", "--scopes", "all", "--raw")
	if err != nil {
		return "", err
	}
	// Log lines can stand before and behind it.
	token := accessToken.FindString(out)
	if token == "" {
		return "", errors.New("gitea admin user generate-access-token printed no token")
	}
	return token, nil
}

// accessToken is a line that is a token.
var accessToken = regexp.MustCompile(`(?m)^[0-9a-f]{40}$`)

// serve starts `gitea web`, waits until it is healthy and registers its end with t.
func (s *Server) serve(t testing.TB) error {
	cmd := exec.Command(s.binary, "--config", s.config(), "web") //nolint:noctx // it must outlive t.Context, for the cleanups that still use it
	cmd.Env, cmd.Dir = s.environ(), s.dir
	var log bytes.Buffer // written by the process until exited is closed
	cmd.Stdout, cmd.Stderr = &log, &log
	exited, err := child.Start(cmd)
	if err != nil {
		return fmt.Errorf("gitea web: %w", err)
	}
	t.Cleanup(func() {
		child.Stop(t, cmd, exited, stopDeadline)
		if t.Failed() {
			t.Logf("gitea's log:\n%s", tail(log.String(), 4000))
		}
	})
	if err := s.waitHealthy(t.Context(), exited); err != nil {
		child.Stop(t, cmd, exited, stopDeadline)
		if strings.Contains(log.String(), "address already in use") {
			return errPortTaken
		}
		return fmt.Errorf("gitea web: %w\n%s", err, tail(log.String(), 4000))
	}
	return nil
}

func (s *Server) waitHealthy(ctx context.Context, exited <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, startDeadline)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/api/healthz", nil)
		if err != nil {
			return err
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-exited:
			return errors.New("it ended before it was healthy")
		case <-ctx.Done():
			return fmt.Errorf("not healthy within %v: %w", startDeadline, ctx.Err())
		case <-tick.C:
		}
	}
}

func freePort(ctx context.Context) (int, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("no free port on 127.0.0.1: %w", err)
	}
	defer func() { _ = l.Close() }()
	addr, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		return 0, fmt.Errorf("no free port on 127.0.0.1: listening on %v, which has no port", l.Addr())
	}
	return addr.Port, nil
}

func tail(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return "…" + s[len(s)-n:]
}
