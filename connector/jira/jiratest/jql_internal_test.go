package jiratest

import (
	"testing"
	"time"
)

// Whatever comes as JQL is refused or can be evaluated.
func FuzzJQL(f *testing.F) {
	for _, seed := range []string{
		"", "project = ENG", "project in (A, 'B c') AND NOT (status != Done OR assignee is EMPTY) ORDER BY updated DESC, key",
		`summary ~ "a \"b\""`, "updated >= -1d", "updated > 99999999999999999999", "updated <= 2026/11/25", "assignee = currentUser()", "((((", "a not in", "x = 'y", "= = =", "order by",
		"created < -999999999w",
	} {
		f.Add(seed)
	}
	s := NewInMemory(nil)
	site := s.AddSite("acme")
	site.AddProject("ENG", "Engineering")
	site.CreateIssue("alice@example.com", Issue{Project: "ENG"})
	f.Cleanup(s.Close)
	f.Fuzz(func(t *testing.T, jql string) {
		q, err := parseJQL(jql)
		if err != nil {
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		site.check(q)
		i, who := site.issues[0], s.person("alice@example.com")
		q.matches(i, who, time.Unix(1_700_000_000, 0))
		if q.compare(i.place(), i.place()) != 0 {
			t.Error("an issue is before itself")
		}
		site.webhookJQL(jql)
	})
}
