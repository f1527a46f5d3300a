package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// output is a writer that can be read while it is written.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

func noEnvironment(string) string { return "" }

func TestAutoTellsTheWholeStory(t *testing.T) {
	t.Parallel()
	var out output
	if err := run(t.Context(), []string{"-auto"}, noEnvironment, &out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, want := range []string{"refused: 401", "Connected: conn_", "gmail.email.sent", "gmail.email.received", "forged notice gets 401", "delivered", "revoked"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the story does not mention %q:\n%s", want, out.String())
		}
	}
}

func TestAutoTwiceInTheSameDirectory(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	for range 2 {
		var out output
		if err := run(t.Context(), []string{"-auto", "-data", dir}, noEnvironment, &out); err != nil {
			t.Fatalf("%v\n%s", err, out.String())
		}
	}
}

func TestAutoNeedsTheStandIn(t *testing.T) {
	t.Parallel()
	err := run(t.Context(), []string{"-auto", "-data", t.TempDir()}, func(name string) string { return "set-" + name }, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "unset GOOGLE_CLIENT_ID") {
		t.Errorf("got %v", err)
	}
}

func TestByHand(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out output
	done := make(chan error, 1)
	go func() { done <- run(ctx, nil, noEnvironment, &out) }()
	address := regexp.MustCompile(`Open (http://\S+) in a browser`)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	var page string
	for page == "" {
		select {
		case err := <-done:
			t.Fatalf("%v\n%s", err, out.String())
		case <-tick.C:
			if m := address.FindStringSubmatch(out.String()); m != nil {
				page = m[1]
			}
		}
	}
	get := func(path string) string {
		t.Helper()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, page+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		status, body, err := do(req)
		if err != nil || status != http.StatusOK {
			t.Fatalf("GET %s: %d, %v", path, status, err)
		}
		return body
	}
	home := get("/")
	if !strings.Contains(home, "Connect Gmail") || !strings.Contains(get("/connect-account"), "Continue") {
		t.Error("the pages do not lead to consent")
	}
	post := func(token string) int {
		t.Helper()
		form := url.Values{"token": {token}, "subject": {"Lunch?"}}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, page+"/send", strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		status, _, err := do(req)
		if err != nil {
			t.Fatal(err)
		}
		return status
	}
	if status := post("guessed"); status != http.StatusForbidden {
		t.Errorf("a form from elsewhere got %d", status)
	}
	token := regexp.MustCompile(`name="token" value="([0-9a-f]+)"`).FindStringSubmatch(home)
	if token == nil || post(token[1]) != http.StatusOK {
		t.Error("the page's own form does not work")
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
