package gitea_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	// The corpus is read where the module cache has it; this import keeps the
	// module in go.mod.
	_ "github.com/go-playground/webhooks/v6/gitea"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/connector/gitea"
	"github.com/interactorhq/interactor/connector/gitea/giteaevent"
)

// corpusEvents maps a file of the corpus, payloads of a Gitea of 2022, to the
// event that it is and the trigger that it must become.
var corpusEvents = map[string]struct{ event, trigger string }{
	"create-event.json":                 {"create", giteaevent.BranchCreated},
	"delete-event.json":                 {"delete", giteaevent.BranchDeleted},
	"fork-event.json":                   {"fork", giteaevent.RepositoryForked},
	"issue-assign-event.json":           {"issues", giteaevent.IssueAssigned},
	"issue-comment-event.json":          {"issue_comment", giteaevent.CommentCreated},
	"issue-label-event.json":            {"issues", giteaevent.IssueLabeled},
	"issue-milestone-event.json":        {"issues", giteaevent.IssueMilestoned},
	"issues-event.json":                 {"issues", giteaevent.IssueOpened},
	"pull-request-assign-event.json":    {"pull_request", giteaevent.PullRequestAssigned},
	"pull-request-comment-event.json":   {"issue_comment", giteaevent.CommentCreated},
	"pull-request-event.json":           {"pull_request", giteaevent.PullRequestOpened},
	"pull-request-label-event.json":     {"pull_request", giteaevent.PullRequestLabeled},
	"pull-request-milestone-event.json": {"pull_request", giteaevent.PullRequestMilestoned},
	"pull-request-review-event.json":    {"pull_request_comment", giteaevent.PullRequestReviewed},
	"push-event.json":                   {"push", giteaevent.Push},
	"release-event.json":                {"release", giteaevent.ReleasePublished},
	"repository-event.json":             {"repository", giteaevent.RepositoryCreated},
}

// corpus returns the payloads by file name.
func corpus(tb testing.TB) map[string][]byte {
	tb.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/go-playground/webhooks/v6").Output()
	dir := strings.TrimSpace(string(out))
	if err != nil || dir == "" {
		if os.Getenv("CI") == "true" {
			tb.Fatalf("the corpus is missing: run go mod download: %v", err)
		}
		tb.Skipf("SKIPPED, the corpus is missing: run go mod download: %v", err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "testdata", "gitea", "*.json"))
	if err != nil || len(files) == 0 {
		tb.Fatalf("no payloads in %s: %v", dir, err)
	}
	payloads := make(map[string][]byte)
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			tb.Fatal(err)
		}
		payloads[filepath.Base(f)] = b
	}
	return payloads
}

// inbound is a request as Gitea sends it.
func inbound(event string, body []byte) *connector.Inbound {
	return &connector.Inbound{
		Method: http.MethodPost, URL: "https://hooks.example.com/webhooks/gitea/sub_1", Body: body,
		Header: http.Header{
			"Content-Type": {"application/json"}, "X-Gitea-Event": {event}, "X-Gitea-Delivery": {"f6266f16-1bf3-46a5-9ea4-602e06ead473"},
		},
		ReceivedAt: time.Unix(1_700_000_000, 0), Watch: "hook", Subscription: "sub_1",
	}
}

func TestCorpus(t *testing.T) {
	t.Parallel()
	c := gitea.New(gitea.Config{})
	payloads := corpus(t)
	repos := []string{"example/example", "example2/example", "example3/example5"}
	for file := range corpusEvents {
		if payloads[file] == nil {
			t.Errorf("the corpus has no %s", file)
		}
	}
	for file, body := range payloads {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			want, ok := corpusEvents[file]
			if !ok {
				t.Fatal("no test knows this payload")
			}
			d, err := c.Decode(inbound(want.event, body))
			if err != nil {
				t.Fatal(err)
			}
			o := d.Notices[0].Occurrences[0]
			if o.Trigger != want.trigger || o.Key != "f6266f16-1bf3-46a5-9ea4-602e06ead473" || len(o.Attributes["repo"]) != 1 || !slices.Contains(repos, o.Attributes["repo"][0]) {
				t.Errorf("got %s, key %s, attributes %v", o.Trigger, o.Key, o.Attributes)
			}
		})
	}
}

// Every payload under every event's name: it becomes something or is refused
// with a reason, and nothing panics.
func TestCorpusUnderWrongNames(t *testing.T) {
	t.Parallel()
	c := gitea.New(gitea.Config{})
	events := []string{"", "status", "package", "workflow_run", "pull_request_approved", "pull_request_review", "wiki"}
	for _, e := range corpusEvents {
		events = append(events, e.event)
	}
	for file, body := range corpus(t) {
		for _, event := range events {
			d, err := c.Decode(inbound(event, body))
			if (err == nil) == (d == nil) || err != nil && !strings.HasPrefix(err.Error(), "gitea: ") {
				t.Errorf("%s as %q: %v, %v", file, event, d, err)
			}
		}
	}
}

func FuzzDecode(f *testing.F) {
	for file, body := range corpus(f) {
		f.Add(corpusEvents[file].event, body)
	}
	f.Add("push", []byte(`{"ref":"refs/heads/","repository":{"full_name":"a/b"},"commits":null}`))
	f.Add("pull_request", []byte(`{"action":"reviewed","review":{"type":"_"}}`))
	c := gitea.New(gitea.Config{})
	known := make(map[string]bool)
	for _, d := range c.Describe().Triggers {
		known[d.Name] = true
	}
	f.Fuzz(func(t *testing.T, event string, body []byte) {
		d, err := c.Decode(inbound(event, body))
		if err != nil {
			return
		}
		for _, n := range d.Notices {
			for _, o := range n.Occurrences {
				if !known[o.Trigger] || o.Key == "" || len(o.Attributes["repo"]) != 1 || o.Payload == nil {
					t.Errorf("incomplete: %+v", o)
				}
			}
		}
	})
}
