package jira_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/connector/jira"
)

// fixtures is the folder with webhook bodies as Jira sent them. They are not
// part of this repository.
func fixtures(t *testing.T) string {
	t.Helper()
	folder := os.Getenv("INTERACTOR_FIXTURES")
	if folder == "" {
		const text = "set INTERACTOR_FIXTURES to the folder that holds jira/*.json, webhook bodies as Jira sent them"
		if ci, err := strconv.ParseBool(os.Getenv("CI")); err == nil && ci {
			t.Fatalf("REAL PART MISSING: fixtures: %s", text)
		}
		t.Skipf("REAL PART MISSING, NOTHING PROVED: fixtures: %s", text)
	}
	if !filepath.IsAbs(folder) { // counted from the repository's root, where .ci/run stands
		folder = filepath.Join("..", "..", folder)
	}
	return filepath.Join(folder, "jira")
}

// expected says what the fixtures that are known today must decode to.
var expected = map[string][]string{
	"webhook-cloud-comment-created.json":            {jira.CommentCreated},
	"webhook-cloud-comment-updated.json":            {jira.CommentUpdated},
	"webhook-cloud-issue-created-many-fields.json":  {jira.IssueCreated},
	"webhook-cloud-issue-updated-custom-field.json": {jira.IssueUpdated},
	"webhook-issue-created.json":                    {jira.IssueCreated},
	"webhook-issue-deleted.json":                    {jira.IssueDeleted},
	"webhook-issue-updated-assigned.json":           {jira.IssueUpdated, jira.IssueAssigned},
	"webhook-issue-updated-resolved.json":           {jira.IssueUpdated, jira.IssueStatusChanged},
}

func TestFixtures(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(fixtures(t), "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no fixtures: %v, %v", files, err)
	}
	for name := range expected {
		if !slices.ContainsFunc(files, func(f string) bool { return filepath.Base(f) == name }) {
			t.Errorf("%s is missing", name)
		}
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			body, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			whole := decodeFixture(t, body)
			want, known := expected[filepath.Base(file)]
			got := triggersOf(whole)
			if known && !slices.Equal(got, want) || len(got) == 0 {
				t.Errorf("decodes to %v, want %v", got, want)
			}
			for _, o := range whole {
				wellFormed(t, o)
			}
			// What a later version of Jira adds, and what it leaves out, hides no event.
			if more := triggersOf(decodeFixture(t, altered(t, body, grow))); !slices.Equal(more, got) {
				t.Errorf("with unknown fields it decodes to %v", more)
			}
			if fewer := triggersOf(decodeFixture(t, altered(t, body, shrink))); !slices.Equal(fewer, got) {
				t.Errorf("without optional fields it decodes to %v", fewer)
			}
			if odd := triggersOf(decodeFixture(t, altered(t, body, twist))); !slices.Equal(odd, got) {
				t.Errorf("with fields of other types it decodes to %v", odd)
			}
		})
	}
}

// decodeFixture decodes a body as it comes to a webhook of the site's settings.
func decodeFixture(t *testing.T, body []byte) []connector.Occurrence {
	t.Helper()
	c := jira.New(jira.Config{Sources: []jira.Source{jira.Admin}})
	in := &connector.Inbound{
		URL: "https://hooks.example.com/webhooks/jira/sub_1", Watch: "admin-issues", Subscription: "sub_1",
		Header: http.Header{"X-Atlassian-Webhook-Identifier": {"1"}}, Body: body, ReceivedAt: time.Now(),
	}
	d, err := c.Decode(in)
	if err != nil {
		t.Fatal(err)
	}
	var all []connector.Occurrence
	for _, n := range d.Notices {
		all = append(all, n.Occurrences...)
	}
	return all
}

func triggersOf(all []connector.Occurrence) (names []string) {
	for _, o := range all {
		names = append(names, o.Trigger)
	}
	return names
}

// wellFormed checks that the typed payload says the main things.
func wellFormed(t *testing.T, o connector.Occurrence) {
	t.Helper()
	var i *jira.Issue
	switch p := o.Payload.(type) {
	case jira.Issue:
		i = &p
		if p.Actor == nil || p.Creator == nil || p.Created.IsZero() || p.Status.Category == "" {
			t.Errorf("%s: %+v", o.Trigger, p)
		}
	case jira.Assignment:
		i = &p.Issue
		if p.To.AccountID == "" || p.To.Name == "" {
			t.Errorf("%s: %+v", o.Trigger, p.To)
		}
	case jira.StatusChange:
		i = &p.Issue
		if p.From.Name == "" || p.To.Name == "" || p.From == p.To {
			t.Errorf("%s: from %+v to %+v", o.Trigger, p.From, p.To)
		}
	case jira.Comment:
		i = p.Issue
		if p.ID == "" || p.Body == "" || p.Author == nil || p.Created.IsZero() {
			t.Errorf("%s: %+v", o.Trigger, p)
		}
	}
	if i == nil || i.ID == "" || i.Key == "" || i.Summary == "" || i.Type == "" || i.Project.Key == "" || i.Status.Name == "" ||
		!strings.HasPrefix(i.Site, "https://") || !strings.HasPrefix(i.URL, i.Site+"/browse/") {
		t.Errorf("%s: issue %+v", o.Trigger, i)
	}
	if o.Key == "" || o.OccurredAt.IsZero() || len(o.Attributes["project"]) == 0 || len(o.Attributes["site"]) != 1 {
		t.Errorf("%s: key %q at %v, attributes %v", o.Trigger, o.Key, o.OccurredAt, o.Attributes)
	}
}

// altered changes every object within the issue, comment and changelog.
func altered(t *testing.T, body []byte, how func(path string, m map[string]any)) []byte {
	t.Helper()
	var b map[string]any
	if err := json.Unmarshal(body, &b); err != nil {
		t.Fatal(err)
	}
	visit("", b, how)
	out, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func visit(path string, v any, how func(string, map[string]any)) {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			visit(path+"/"+name, member, how)
		}
		how(path, v)
	case []any:
		for _, one := range v {
			visit(path+"/[]", one, how)
		}
	}
}

func grow(_ string, m map[string]any) {
	m["somethingNew"] = map[string]any{"of": []any{"a", 1, nil}}
}

// needed are the members that say what happened.
func needed(path, name string) bool {
	return slices.Contains([]string{
		"/webhookEvent", "/issue", "/issue/id", "/issue/self", "/comment", "/comment/id", "/comment/self", "/changelog", "/changelog/items",
		"/changelog/items/[]/field", "/changelog/items/[]/to", "/changelog/items/[]/from",
	}, path+"/"+name)
}

func shrink(path string, m map[string]any) {
	for name := range m {
		if !needed(path, name) {
			delete(m, name)
		}
	}
}

func twist(path string, m map[string]any) {
	for name, v := range m {
		if needed(path, name) {
			continue
		}
		switch v.(type) {
		case string, float64, bool:
			m[name] = map[string]any{"type": "doc", "version": 1}
		case map[string]any, []any:
			m[name] = "text"
		}
	}
}
