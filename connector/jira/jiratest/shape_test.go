package jiratest_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/interactorhq/interactor/connector/jira/jiratest"
)

// The bodies are of the shape of real ones, which customers of Jira Cloud
// captured. They are read in place from the folder that INTERACTOR_FIXTURES names.
func TestBodiesAreOfTheRealShape(t *testing.T) {
	t.Parallel()
	dir := os.Getenv("INTERACTOR_FIXTURES")
	if dir == "" {
		if ci, err := strconv.ParseBool(os.Getenv("CI")); err == nil && ci {
			t.Fatal("REAL PART MISSING: captured Jira webhooks: set INTERACTOR_FIXTURES to their folder")
		}
		t.Skip("REAL PART MISSING, NOTHING PROVED: captured Jira webhooks: set INTERACTOR_FIXTURES to their folder")
	}
	a := newApp(t)
	if _, err := a.acme.AddAdminWebhook(alice, jiratest.AdminWebhook{Name: "all", URL: a.hooks, Events: []string{
		"jira:issue_created", "jira:issue_updated", "jira:issue_deleted", "comment_created", "comment_updated",
	}}); err != nil {
		t.Fatal(err)
	}
	key := a.acme.CreateIssue(alice, jiratest.Issue{Project: "ENG", Description: "text", Labels: []string{"x"}, Assignee: bob})
	a.acme.Assign(alice, key, alice)
	a.acme.Transition(alice, key, "Done")
	a.acme.EditComment(alice, key, a.acme.Comment(alice, key, "a"), "b")
	a.acme.DeleteIssue(alice, key)
	ours := map[string]map[string]string{}
	for _, c := range a.calls() {
		var body map[string]any
		decode(t, c.Body, &body)
		name := body["webhookEvent"].(string)
		if body["issue_event_type_name"] == "issue_commented" || body["issue_event_type_name"] == "issue_comment_edited" {
			continue // no captured body is of these kinds
		}
		if ours[name] == nil {
			ours[name] = map[string]string{}
		}
		merge(ours[name], flatten(body))
	}
	files, err := filepath.Glob(filepath.Join(dir, "jira", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no bodies in %s: %v", dir, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var body map[string]any
			decode(t, raw, &body)
			captured, mine := flatten(body), ours[body["webhookEvent"].(string)]
			for _, path := range slices.Sorted(maps.Keys(captured)) {
				switch got, ok := mine[path]; {
				case dropped(path):
				case !ok && !parentIsEmpty(mine, path):
					t.Errorf("a real body has %s, of kind %s; the stand-in's has none", path, captured[path])
				case ok && got != captured[path] && got != "null" && captured[path] != "null":
					t.Errorf("%s is of kind %s, and of kind %s in the stand-in's body", path, captured[path], got)
				}
			}
		})
	}
}

// dropped are what the captured bodies have and the stand-in does not: what
// Jira took out of all bodies since (names and keys of persons, their mail
// addresses), custom fields of that site, and what no reader of a webhook needs.
func dropped(path string) bool {
	last := path[strings.LastIndexByte(path, '.')+1:]
	if strings.HasPrefix(last, "customfield_") || strings.Contains(path, ".customfield_") || strings.HasPrefix(last, "tmp") {
		return true
	}
	parts := strings.Split(path, ".")
	parent := parts[max(0, len(parts)-2)]
	if slices.Contains([]string{"user", "assignee", "creator", "reporter", "author", "updateAuthor"}, parent) {
		return slices.Contains([]string{"name", "key", "emailAddress"}, last)
	}
	return false
}

// flatten says of what kind every part of a JSON value is; [] stands for all
// elements of a list.
func flatten(v any) map[string]string {
	out := map[string]string{}
	var walk func(path string, v any)
	walk = func(path string, v any) {
		kind := "null"
		switch v := v.(type) {
		case map[string]any:
			kind = "object"
			for k, part := range v {
				walk(path+"."+k, part)
			}
		case []any:
			kind = "list"
			for _, part := range v {
				walk(path+"[]", part)
			}
		case string:
			kind = "string"
		case float64, json.Number:
			kind = "number"
		case bool:
			kind = "bool"
		}
		merge(out, map[string]string{path: kind})
	}
	walk("", v)
	return out
}

// merge keeps what is more than null.
func merge(into, from map[string]string) {
	for path, kind := range from {
		if old, ok := into[path]; !ok || old == "null" {
			into[path] = kind
		}
	}
}

// parentIsEmpty reports whether something above a path has no value here: then
// nothing can be said about what it would hold.
func parentIsEmpty(kinds map[string]string, path string) bool {
	for {
		i := strings.LastIndexAny(path, ".[")
		if i <= 0 {
			return false
		}
		path = path[:i]
		switch kind, ok := kinds[path]; {
		case ok && kind == "null":
			return true
		case ok && kind == "list":
			_, some := kinds[path+"[]"]
			return !some
		}
	}
}
