package jiraevent_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/interactorhq/interactor/connector/jira/jiraevent"
)

// The wire form is a promise: members may be added, never renamed.
func TestWireForm(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, time.November, 23, 15, 4, 5, 0, time.UTC)
	public := true
	alice := jiraevent.User{AccountID: "a1", Name: "Alice", Email: "a@example.com", Type: "atlassian"}
	issue := jiraevent.Issue{
		Site: "https://acme.atlassian.net", ID: "1", Key: "ENG-1", URL: "https://acme.atlassian.net/browse/ENG-1", Summary: "S", Description: "D",
		Type: "Bug", Subtask: true, Status: jiraevent.Status{ID: "3", Name: "Open", Category: "new"}, Priority: "High", Resolution: "Done",
		Project: jiraevent.Project{ID: "2", Key: "ENG", Name: "Engineering"}, Parent: "ENG-0",
		Creator: &alice, Reporter: &alice, Assignee: &alice, Labels: []string{"l"}, Components: []string{"c"}, FixVersions: []string{"v"},
		DueDate: "2026-11-30", Created: at, Updated: at, Custom: map[string]json.RawMessage{"customfield_1": json.RawMessage(`5`)},
		Actor: &alice, Kind: "issue_generic",
		Changes: []jiraevent.Change{{Field: "Status", FieldID: "status", From: "1", FromText: "A", To: "2", ToText: "B"}},
	}
	const user = `{"account_id":"a1","name":"Alice","email":"a@example.com","type":"atlassian"}`
	const shown = `{"site":"https://acme.atlassian.net","id":"1","key":"ENG-1","url":"https://acme.atlassian.net/browse/ENG-1","summary":"S",` +
		`"description":"D","type":"Bug","subtask":true,"status":{"id":"3","name":"Open","category":"new"},"priority":"High","resolution":"Done",` +
		`"project":{"id":"2","key":"ENG","name":"Engineering"},"parent":"ENG-0","creator":` + user + `,"reporter":` + user + `,"assignee":` + user +
		`,"labels":["l"],"components":["c"],"fix_versions":["v"],"due_date":"2026-11-30","created":"2026-11-23T15:04:05Z","updated":"2026-11-23T15:04:05Z",` +
		`"custom":{"customfield_1":5},"actor":` + user + `,"kind":"issue_generic",` +
		`"changes":[{"field":"Status","field_id":"status","from":"1","from_text":"A","to":"2","to_text":"B"}]}`
	const brief = `{"id":"1","key":"ENG-1"}`
	small := jiraevent.Issue{ID: "1", Key: "ENG-1"}
	for _, row := range []struct {
		v    interface{ Triggers() []string }
		of   string
		want string
	}{
		{issue, jiraevent.IssueUpdated, shown},
		{jiraevent.Assignment{Issue: small, From: &alice, To: alice}, jiraevent.IssueAssigned, `{"issue":` + brief + `,"from":` + user + `,"to":` + user + `}`},
		{jiraevent.StatusChange{Issue: small, From: issue.Status, To: issue.Status}, jiraevent.IssueStatusChanged, `{"issue":` + brief +
			`,"from":{"id":"3","name":"Open","category":"new"},"to":{"id":"3","name":"Open","category":"new"}}`},
		{jiraevent.Comment{Site: "s", ID: "1", Body: "B", Author: &alice, Editor: &alice, Created: at, Updated: at, Public: &public, Issue: &small}, jiraevent.CommentDeleted,
			`{"site":"s","id":"1","body":"B","author":` + user + `,"editor":` + user + `,"created":"2026-11-23T15:04:05Z","updated":"2026-11-23T15:04:05Z","public":true,"issue":` + brief + `}`},
		{jiraevent.Worklog{Site: "s", ID: "1", IssueID: "2", Text: "T", Author: &alice, Editor: &alice, Seconds: 60, Started: at, Created: at, Updated: at, Issue: &small}, jiraevent.WorklogUpdated,
			`{"site":"s","id":"1","issue_id":"2","text":"T","author":` + user + `,"editor":` + user + `,"seconds":60,"started":"2026-11-23T15:04:05Z","created":"2026-11-23T15:04:05Z","updated":"2026-11-23T15:04:05Z","issue":` + brief + `}`},
		{jiraevent.Attachment{Site: "s", ID: "1", Filename: "f", MimeType: "m", Size: 2, Author: &alice, Created: at, Issue: &small}, jiraevent.AttachmentAdded,
			`{"site":"s","id":"1","filename":"f","mime_type":"m","size":2,"author":` + user + `,"created":"2026-11-23T15:04:05Z","issue":` + brief + `}`},
		{jiraevent.IssueLink{Site: "s", ID: "1", Type: "Blocks", Outward: "blocks", Inward: "is blocked by", Source: "1", SourceKey: "ENG-1", Destination: "2", DestinationKey: "ENG-2"}, jiraevent.IssueLinkCreated,
			`{"site":"s","id":"1","type":"Blocks","outward":"blocks","inward":"is blocked by","source_id":"1","source_key":"ENG-1","destination_id":"2","destination_key":"ENG-2"}`},
		{jiraevent.Sprint{Site: "s", ID: "1", Name: "N", State: "closed", Goal: "G", Board: "3", Start: at, End: at, Completed: at}, jiraevent.SprintClosed,
			`{"site":"s","id":"1","name":"N","state":"closed","goal":"G","board":"3","start":"2026-11-23T15:04:05Z","end":"2026-11-23T15:04:05Z","completed":"2026-11-23T15:04:05Z"}`},
		{jiraevent.Version{Site: "s", ID: "1", Name: "N", Description: "D", ProjectID: "2", Released: true, Archived: true, StartDate: "a", ReleaseDate: "b"}, jiraevent.VersionReleased,
			`{"site":"s","id":"1","name":"N","description":"D","project_id":"2","released":true,"archived":true,"start_date":"a","release_date":"b"}`},
		{jiraevent.NewProject{Site: "s", ID: "1", Key: "ENG", Name: "N", Type: "software", Lead: &alice}, jiraevent.ProjectCreated,
			`{"site":"s","id":"1","key":"ENG","name":"N","type":"software","lead":` + user + `}`},
	} {
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(row.v); err != nil {
			t.Fatal(err)
		}
		if got := string(bytes.TrimSpace(b.Bytes())); got != row.want {
			t.Errorf("%T\ngot  %s\nwant %s", row.v, got, row.want)
		}
		if !slices.Contains(row.v.Triggers(), row.of) {
			t.Errorf("%T belongs to %v", row.v, row.v.Triggers())
		}
	}
}
