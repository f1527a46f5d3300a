package browser_test

import (
	"bytes"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/interactorhq/interactor/internal/realtest/e2e/browser"
)

// pages is a site of two pages: a form, and a greeting that opens a dialog and breaks.
func pages(t *testing.T) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, `<!doctype html><link rel="icon" href="data:,"><title>Who are you?</title>
<form method="post" action="/greet"><input name="who"><button>Go on</button></form>`)
	})
	mux.HandleFunc("POST /greet", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, `<!doctype html><title>Hello</title><p id="greeting">Hello, `+r.FormValue("who")+`</p>
<script>alert("look here"); document.title = "Hello again"; throw new Error("broken on purpose")</script>`)
	})
	site := httptest.NewServer(mux)
	t.Cleanup(site.Close)
	return site
}

func TestBrowser(t *testing.T) {
	t.Parallel()
	site, b := pages(t), browser.New(t)

	if status := b.Open(t, site.URL); status != http.StatusOK {
		t.Fatalf("Open answered %d, want 200", status)
	}
	if title := b.Title(t); title != "Who are you?" {
		t.Errorf("Title is %q, want %q", title, "Who are you?")
	}
	if problems := b.Problems(); len(problems) != 0 {
		t.Errorf("a sound page has the problems %q, want none", problems)
	}
	for _, dark := range []bool{true, false} {
		b.Dark(t, dark)
		if got := b.True(t, `matchMedia("(prefers-color-scheme: dark)").matches`); got != dark {
			t.Errorf("after Dark(%v) the page sees %v", dark, got)
		}
	}
	b.Type(t, "input[name=who]", "Ada")
	address, status := b.Follow(t, "button")
	if address != site.URL+"/greet" || status != http.StatusAccepted {
		t.Errorf("Follow led to %s with status %d, want %s/greet with 202", address, status, site.URL)
	}
	b.Wait(t, `document.title === "Hello again"`) // the dialog before it was accepted
	if text := b.Text(t, "#greeting"); text != "Hello, Ada" {
		t.Errorf("the page greets with %q, want %q", text, "Hello, Ada")
	}
	problems := strings.Join(b.Problems(), "\n")
	for _, want := range []string{"dialog: look here", "broken on purpose"} {
		if !strings.Contains(problems, want) {
			t.Errorf("Problems does not tell of %q:\n%s", want, problems)
		}
	}
}

func TestScreenshot(t *testing.T) {
	t.Setenv("SCREENSHOTS", t.TempDir())
	site, b := pages(t), browser.New(t)
	b.Resize(t, 390, 844)
	b.Open(t, site.URL)
	data, err := os.ReadFile(b.Screenshot(t, "form"))
	if err != nil {
		t.Fatal(err)
	}
	picture, err := png.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		t.Fatalf("the screenshot is no PNG: %v", err)
	}
	if picture.Width != 390 {
		t.Errorf("the screenshot is %d pixels wide, want the window's 390", picture.Width)
	}
}
