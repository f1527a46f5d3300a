// Package browser drives a real Chromium without a screen, so that a test sees the pages a person
// sees and keeps pictures of them.
//
// Start with [New]. Where only cookies and forms matter, giteaserver.Visitor is lighter.
package browser

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/interactorhq/interactor/internal/realtest/e2e/realpart"
)

// stepDeadline bounds every single step: a page that never comes fails its test, not the whole run.
const stepDeadline = 20 * time.Second

// Browser is one Chromium with one tab and a profile of its own. It ends with the test that made it.
// Each method waits for what it needs, ends the test when that does not come within 20 seconds, and
// must not be called by several goroutines at once.
type Browser struct {
	ctx context.Context //nolint:containedctx // chromedp's handle of the tab is a context

	mu       sync.Mutex
	problems []string
}

// New starts Chromium. Without it on the machine the test is skipped, or fails where CI=true.
func New(t testing.TB) *Browser {
	t.Helper()
	path := find()
	if path == "" {
		realpart.Missing(t, "Chromium", "install it, on Debian with: apt-get install chromium")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.UserDataDir(t.TempDir()),
		chromedp.NoSandbox, // Chromium's sandbox refuses root, which CI often is
		chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.WindowSize(1280, 800),
		chromedp.WSURLReadTimeout(60*time.Second),
	)
	// Not t.Context(), which ends before the cleanups: Chromium is asked to leave and awaited.
	allocator, stopAllocator := chromedp.NewExecAllocator(context.Background(), options...) //nolint:usetesting // see above
	ctx, closeTab := chromedp.NewContext(allocator)
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Logf("browser: closing Chromium: %v", err)
		}
		closeTab()
		stopAllocator()
	})
	b := &Browser{ctx: ctx}
	b.watch(t)
	return b
}

func find() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// watch starts the browser, notes what goes wrong in its pages, and accepts dialogs, which would
// otherwise stop every later step.
func (b *Browser) watch(t testing.TB) {
	t.Helper()
	if err := chromedp.Do(b.ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatalf("browser: starting Chromium: %v", err)
	}
	console := chromedp.Console(b.ctx)
	dialogs := chromedp.Events(b.ctx, page.JavascriptDialogOpening)
	go func() {
		for message, err := range console {
			if err != nil {
				return
			}
			if message.IsException() || message.Type == "error" {
				b.note(message.String())
			}
		}
	}()
	go func() {
		for dialog, err := range dialogs {
			if err != nil {
				return
			}
			b.note("dialog: " + dialog.Message)
			accept := page.HandleJavaScriptDialogParams{Accept: true}
			if _, err := chromedp.Call(b.ctx, page.HandleJavaScriptDialog, accept); err != nil {
				return
			}
		}
	}()
}

func (b *Browser) note(problem string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.problems = append(b.problems, problem)
}

// Problems returns what went wrong inside the pages so far: uncaught exceptions, console errors
// (a failed request is one) and dialogs that popped up.
func (b *Browser) Problems() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.problems...)
}

// Open goes to an address and returns its HTTP status once it has loaded.
func (b *Browser) Open(t testing.TB, address string) int {
	t.Helper()
	return int(must(t, b, "open "+address, chromedp.NavigateResponse(address)).Status)
}

// Click clicks the first visible element that matches a CSS selector.
func (b *Browser) Click(t testing.TB, selector string) {
	t.Helper()
	must(t, b, "click "+selector, chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
}

// Follow clicks like [Browser.Click] where that loads another page, waits for the page and returns
// its address and HTTP status.
func (b *Browser) Follow(t testing.TB, selector string) (address string, status int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, stepDeadline)
	defer cancel()
	resp, err := chromedp.RunResponse(ctx, chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
	if err != nil {
		t.Fatalf("browser: follow %s: %v", selector, err)
	}
	return b.Address(t), int(resp.Status)
}

// Type writes text into the first visible field that matches a CSS selector.
func (b *Browser) Type(t testing.TB, selector, text string) {
	t.Helper()
	must(t, b, "type into "+selector, chromedp.SendKeys(chromedp.CSS(selector), text, chromedp.NodeVisible))
}

// Text waits until an element is visible and returns its text as shown.
func (b *Browser) Text(t testing.TB, selector string) string {
	t.Helper()
	return must(t, b, "read "+selector, chromedp.Text(chromedp.CSS(selector), chromedp.NodeVisible))
}

// Wait waits until a JavaScript expression is true.
func (b *Browser) Wait(t testing.TB, expression string) {
	t.Helper()
	must(t, b, "wait for "+expression, chromedp.Poll[bool](expression, chromedp.WithPollingTimeout(stepDeadline)))
}

// Address returns what the address bar shows.
func (b *Browser) Address(t testing.TB) string {
	t.Helper()
	return must(t, b, "read the address", chromedp.Location())
}

// Title returns the page's title.
func (b *Browser) Title(t testing.TB) string {
	t.Helper()
	return must(t, b, "read the title", chromedp.Title())
}

// Resize sets the size of the window in CSS pixels: a telephone is about 390 × 844.
func (b *Browser) Resize(t testing.TB, width, height int64) {
	t.Helper()
	must(t, b, "resize", chromedp.EmulateViewport(width, height))
}

// Dark makes pages see a person who prefers dark colours, or light ones again.
func (b *Browser) Dark(t testing.TB, dark bool) {
	t.Helper()
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	ctx, cancel := context.WithTimeout(b.ctx, stepDeadline)
	defer cancel()
	preference := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}
	if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, preference); err != nil {
		t.Fatalf("browser: prefer %s colours: %v", scheme, err)
	}
}

// True says what a JavaScript expression is now.
func (b *Browser) True(t testing.TB, expression string) bool {
	t.Helper()
	return must(t, b, "evaluate "+expression, chromedp.Evaluate[bool](expression))
}

// Screenshot saves a picture of the whole page as name.png and returns the file's path. It lies in
// the directory that the environment variable SCREENSHOTS names, else among the test's artifacts
// (go test -artifacts keeps those).
func (b *Browser) Screenshot(t testing.TB, name string) string {
	t.Helper()
	png := must(t, b, "take a picture", chromedp.FullScreenshot(100))
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		dir = t.ArtifactDir()
	} else if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatalf("browser: %v", err)
	}
	file := filepath.Join(dir, name+".png")
	if err := os.WriteFile(file, png, 0o644); err != nil {
		t.Fatalf("browser: %v", err)
	}
	t.Logf("picture: %s", file)
	return file
}

// must runs one step within its deadline and ends the test when it fails.
func must[T any](t testing.TB, b *Browser, step string, action chromedp.Action[T]) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, stepDeadline)
	defer cancel()
	value, err := chromedp.Run(ctx, action)
	if err != nil {
		t.Fatalf("browser: %s: %v", step, err)
	}
	return value
}
