package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// start runs the program on a free port and returns the address of its metrics
// and what else it prints.
func start(t *testing.T, args ...string) (metrics string, printed *bufio.Scanner) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	read, write := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := run(ctx, append([]string{"-addr", "127.0.0.1:0", "-data", t.TempDir(), "-every", "2ms"}, args...), write)
		_ = write.CloseWithError(err)
		done <- err
	}()
	scanner := bufio.NewScanner(read)
	scanner.Buffer(nil, 1<<20)
	t.Cleanup(func() {
		cancel()
		go func() { _, _ = io.Copy(io.Discard, read) }()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	if !scanner.Scan() {
		t.Fatalf("it ended early: %v", scanner.Err())
	}
	address, ok := strings.CutPrefix(scanner.Text(), "ready: metrics at ")
	if !ok {
		t.Fatal(scanner.Text())
	}
	return address, scanner
}

func scrape(t *testing.T, address string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	page, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

// metricsOf returns the names of interactor's metrics in a page of metrics, and
// those of the whole metrics: without _bucket, _sum and _count.
func metricsOf(page string) (series, families map[string]bool) {
	series, families = map[string]bool{}, map[string]bool{}
	for line := range strings.Lines(page) {
		if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
			if name, _, _ := strings.Cut(rest, " "); strings.HasPrefix(name, "interactor_") {
				families[name] = true
			}
		} else if name := regexp.MustCompile(`^interactor_[a-z_]+`).FindString(line); name != "" {
			series[name] = true
		}
	}
	return series, families
}

// The dashboard shows every metric and nothing that is not there.
func TestDashboardShowsWhatThereIs(t *testing.T) {
	t.Parallel()
	file, err := os.ReadFile("dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Title  string `json:"title"`
		Panels []struct {
			ID      int    `json:"id"`
			Title   string `json:"title"`
			Type    string `json:"type"`
			GridPos struct{ H, W, X, Y int }
			Targets []struct {
				Expr  string `json:"expr"`
				RefID string `json:"refId"`
			} `json:"targets"`
		} `json:"panels"`
	}
	if err := json.Unmarshal(file, &dashboard); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/observability.md")
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]string{}
	ids := map[int]bool{}
	for _, p := range dashboard.Panels {
		if ids[p.ID] || p.Title == "" || p.GridPos.W == 0 {
			t.Errorf("panel %d %q: no title, no place, or its id is not its own", p.ID, p.Title)
		}
		ids[p.ID] = true
		for _, target := range p.Targets {
			for _, name := range regexp.MustCompile(`interactor_[a-z_]+`).FindAllString(target.Expr, -1) {
				if !isLabel(name) {
					used[name] = p.Title
				}
			}
		}
	}
	if dashboard.Title == "" || len(used) < 15 {
		t.Fatalf("%q uses %d metrics", dashboard.Title, len(used))
	}

	address, _ := start(t)
	var missing []string
	for deadline := time.Now().Add(30 * time.Second); ; {
		series, families := metricsOf(scrape(t, address))
		missing = missing[:0]
		for _, name := range slices.Sorted(maps.Keys(used)) {
			if !series[name] {
				missing = append(missing, name+" is shown by "+used[name]+" and not exported")
			}
		}
		for _, name := range slices.Sorted(maps.Keys(families)) {
			if !strings.Contains(string(page), "`"+name+"`") {
				missing = append(missing, name+" is exported and not documented")
			}
			if used[name] == "" && used[name+"_bucket"] == "" && used[name+"_count"] == "" {
				missing = append(missing, name+" is exported and not shown")
			}
		}
		if len(missing) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s", strings.Join(missing, "\n"))
		}
		breathe()
	}
}

// isLabel reports whether a name in an expression is that of an attribute.
func isLabel(name string) bool {
	return slices.Contains([]string{
		"interactor_connector", "interactor_answer", "interactor_outcome", "interactor_queue", "interactor_state",
	}, name)
}

// breathe gives the program a moment.
func breathe() {
	timer := time.NewTimer(20 * time.Millisecond)
	defer timer.Stop()
	<-timer.C
}

func TestTracesOnStandardOutput(t *testing.T) {
	t.Parallel()
	_, printed := start(t, "-traces", "stdout")
	type context struct{ TraceID, SpanID string }
	type span struct {
		Name        string
		SpanContext context
		Parent      context
	}
	spans := map[string]span{}
	for printed.Scan() {
		var s span
		if err := json.Unmarshal(printed.Bytes(), &s); err != nil {
			t.Fatalf("%v: %s", err, printed.Text())
		}
		spans[s.SpanContext.SpanID] = s
		if s.Name != "webhook deliver webhook" {
			continue
		}
		commit := spans[s.Parent.SpanID]
		receive := spans[commit.Parent.SpanID]
		if commit.Name == "webhook commit" && receive.Name == "webhook receive webhook" && receive.SpanContext.TraceID == s.SpanContext.TraceID {
			return
		}
	}
	t.Fatal("no delivery is in the trace of its request")
}

func TestSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	if err := run(t.Context(), []string{"-traces", "otlp"}, io.Discard); err == nil || !strings.Contains(err.Error(), "none or stdout") {
		t.Errorf("%v", err)
	}
}
