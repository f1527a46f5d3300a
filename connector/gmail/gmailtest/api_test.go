package gmailtest_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/interactorhq/interactor/connector/gmail/gmailtest"
)

func (a *app) signIn(scope string) string {
	a.t.Helper()
	return a.exchange(a.code(map[string]string{"scope": scope}), nil).Access
}

func TestAPIRefuses(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	full := a.signIn(readonly)
	metadata := a.signIn("https://www.googleapis.com/auth/gmail.metadata")
	none := a.signIn("openid")
	id := a.google.Send(gmailtest.Mail{From: alice})[alice]
	current := a.google.Status(alice).HistoryID
	for _, tt := range []struct {
		name, token, path string
		status            int
		want              string
	}{
		{"no token", "", "profile", 401, "authError"},
		{"made-up token", "ya29.guess", "profile", 401, "authError"},
		{"no Gmail scope", none, "profile", 403, "insufficientPermissions"},
		{"metadata scope, profile", metadata, "profile", 200, alice},
		{"metadata scope, full message", metadata, "messages/" + id, 403, "FULL"},
		{"metadata scope, headers", metadata, "messages/" + id + "?format=metadata", 200, "Message-ID"},
		{"metadata scope, search", metadata, "messages?q=after:1", 403, "'q'"},
		{"headers that are asked for", full, "messages/" + id + "?format=metadata&metadataHeaders=from", 200, `[{"name":"From","value":"alice@example.com"}]`},
		{"minimal", full, "messages/" + id + "?format=minimal", 200, `"internalDate":"`},
		{"unknown message", full, "messages/0", 404, "notFound"},
		{"unknown format", full, "messages/" + id + "?format=odd", 501, "notImplemented"},
		{"history without start", full, "history", 400, "startHistoryId"},
		{"history of yore", full, "history?startHistoryId=1", 404, "notFound"},
		{"history of an odd kind", full, fmt.Sprint("history?historyTypes=x&startHistoryId=", current), 400, "historyTypes"},
		{"history with a made-up page", full, fmt.Sprint("history?pageToken=x&startHistoryId=", current), 400, "pageToken"},
		{"odd page size", full, "messages?maxResults=x", 400, "maxResults"},
		{"unknown search", full, "messages?q=from:bob", 501, "from:bob"},
		{"labels", full, "labels", 200, `"id":"SENT"`},
		{"no drafts", full, "drafts", 200, `{"resultSizeEstimate":0}`},
		{"a thread", full, "threads/" + id + "?format=minimal", 200, `"messages":[{`},
		{"unknown thread", full, "threads/0?format=minimal", 404, "notFound"},
		{"a whole thread", full, "threads/" + id, 501, "notImplemented"},
		{"unknown attachment", full, "messages/" + id + "/attachments/x", 404, "notFound"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if status, body := a.get(tt.token, tt.path); status != tt.status || !strings.Contains(body, tt.want) {
				t.Errorf("got %d %s", status, body)
			}
		})
	}
}

func TestHistory(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	token := a.signIn(readonly)
	start := a.google.Status(alice).HistoryID
	var ids []string
	for range 5 {
		ids = append(ids, a.google.Send(gmailtest.Mail{From: alice})[alice])
	}
	if err := a.google.Label(alice, ids[0], []string{"STARRED"}, nil); err != nil {
		t.Fatal(err)
	}
	if err := a.google.Delete(alice, ids[1]); err != nil {
		t.Fatal(err)
	}
	type page struct {
		History []struct {
			MessagesAdded []struct {
				Message struct {
					ID string `json:"id"`
				} `json:"message"`
			} `json:"messagesAdded"`
		} `json:"history"`
		HistoryID     string `json:"historyId"`
		NextPageToken string `json:"nextPageToken"`
	}
	list := func(extra string) (records int, added []string, pages int) {
		q := ""
		for {
			_, body := a.get(token, fmt.Sprint("history?startHistoryId=", start, extra, q))
			var p page
			if err := json.Unmarshal([]byte(body), &p); err != nil {
				t.Fatal(err)
			}
			if p.HistoryID != fmt.Sprint(a.google.Status(alice).HistoryID) {
				t.Errorf("historyId is %s", p.HistoryID)
			}
			pages++
			for _, r := range p.History {
				records++
				for _, m := range r.MessagesAdded {
					added = append(added, m.Message.ID)
				}
			}
			if p.NextPageToken == "" {
				return records, added, pages
			}
			q = "&pageToken=" + url.QueryEscape(p.NextPageToken)
		}
	}
	if n, added, pages := list(""); n != 7 || strings.Join(added, " ") != strings.Join(ids, " ") || pages != 1 {
		t.Errorf("%d records on %d pages, added %v", n, pages, added)
	}
	if n, _, pages := list("&maxResults=2"); n != 7 || pages != 4 {
		t.Errorf("%d records on %d pages", n, pages)
	}
	if n, added, _ := list("&historyTypes=labelAdded&historyTypes=messageDeleted"); n != 2 || added != nil {
		t.Errorf("%d records, added %v", n, added)
	}
	if n, _, _ := list("&labelId=STARRED"); n != 1 {
		t.Errorf("%d records", n)
	}
	a.google.ExpireHistory(alice)
	if status, _ := a.get(token, fmt.Sprint("history?startHistoryId=", start)); status != 404 {
		t.Errorf("status %d", status)
	}
}

func TestSetPushIsForLoopbackOnly(t *testing.T) {
	t.Parallel()
	google := gmailtest.NewServer()
	defer google.Close()
	for address, ok := range map[string]bool{
		"http://127.0.0.1:8080/webhooks/gmail": true, "http://localhost/": true, "http://[::1]/": true,
		"https://hooks.example.com/": false, "http://10.0.0.1/": false, "ftp://127.0.0.1/": false, ":": false, "": false,
	} {
		if err := google.SetPush(address); (err == nil) != ok {
			t.Errorf("%q: %v", address, err)
		}
	}
	if err := google.SetAppPush("nobody", "http://127.0.0.1/"); err == nil {
		t.Error("set for a client that does not exist")
	}
}

// Close ends pushes that nobody acknowledges.
func TestCloseWhilePushing(t *testing.T) {
	t.Parallel()
	google := gmailtest.NewServer()
	if err := google.SetPush("http://127.0.0.1:1/"); err != nil {
		t.Fatal(err)
	}
	for range 50 {
		google.Notify(alice, 1)
	}
	google.Close()
	google.Notify(alice, 2) // nobody: no panic, no goroutine
	google.Close()
}
