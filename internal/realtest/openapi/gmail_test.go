package openapi_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"golang.org/x/oauth2"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/connector/gmail"
	"github.com/interactorhq/interactor/connector/gmail/gmailtest"
	"github.com/interactorhq/interactor/internal/realtest/openapi"
	"github.com/interactorhq/interactor/trigger"
)

const bobMail = "bob@example.com"

// TestGmail holds what connector gmail sends, and what its stand-in answers,
// against Google's document of the Gmail API.
func TestGmail(t *testing.T) {
	t.Parallel()
	document := openapi.Load(t, "googleapis.com/gmail.json", onlyDocumentedMembers(), stopSaysNothing())
	w := newGmailWorld(t, document)
	w.everything()
	w.history()
	w.reads()
	w.refusals()
	w.judge.Require(
		"gmail.users.getProfile 200", "gmail.users.watch 200", "gmail.users.stop 204",
		"gmail.users.history.list 200", "gmail.users.history.list 404", "gmail.users.messages.list 200",
		"gmail.users.messages.get 200", "gmail.users.messages.get 404", "gmail.users.messages.attachments.get 200",
		"gmail.users.labels.list 200", "gmail.users.drafts.list 200", "gmail.users.threads.get 200",
	)
}

// onlyDocumentedMembers makes a member that no schema has a fault. Google adds
// members, and a stand-in that invents one is wrong all the same.
func onlyDocumentedMembers() openapi.Amendment {
	return openapi.Amendment{
		Why: "the document says of no schema that it is complete",
		Apply: func(spec *openapi3.T) error {
			closed := 0
			for _, s := range spec.Components.Schemas {
				if s.Value != nil && len(s.Value.Properties) > 0 && s.Value.AdditionalProperties.Has == nil {
					no := false
					s.Value.AdditionalProperties = openapi3.AdditionalProperties{Has: &no}
					closed++
				}
			}
			if closed < 30 {
				return errors.New("there are hardly any schemas")
			}
			return nil
		},
	}
}

// stopSaysNothing lets users.stop answer 204.
func stopSaysNothing() openapi.Amendment {
	return openapi.Amendment{
		Why: "the document has one answer for each call, 200; that of users.stop is empty, and Google's servers answer an empty one with 204",
		Apply: func(spec *openapi3.T) error {
			stop := spec.Paths.Find("/gmail/v1/users/{userId}/stop")
			if stop == nil || stop.Post == nil || stop.Post.Responses.Status(http.StatusNoContent) != nil {
				return errors.New("users.stop is not as it was")
			}
			none := "nothing"
			stop.Post.Responses.Set("204", &openapi3.ResponseRef{Value: &openapi3.Response{Description: &none}})
			return nil
		},
	}
}

// gmailWorld is a stand-in of Google, and a mailbox of it that a connector serves.
type gmailWorld struct {
	t      *testing.T
	judge  *openapi.Judge
	google *gmailtest.Server
	c      *gmail.Connector
	s      *connector.Session
	sub    *connector.Subscription
	told   map[string]int // by trigger
}

func newGmailWorld(t *testing.T, document *openapi.Document) *gmailWorld {
	t.Helper()
	google := gmailtest.NewServer()
	t.Cleanup(google.Close)
	cfg := google.Config()
	w := &gmailWorld{t: t, google: google, c: gmail.New(cfg), told: map[string]int{}}
	w.judge = document.Judge(t, http.DefaultTransport, func(r *http.Request) (string, bool) {
		return r.URL.Path, strings.HasPrefix(r.URL.Path, "/gmail/")
	})
	app, _ := w.c.DefaultApp()
	w.s = &connector.Session{
		HTTP:      &http.Client{Transport: withToken{w.judge, gmailToken(t, google, cfg, app)}},
		Endpoints: map[string]string{"api": cfg.Endpoints.API}, App: app.Fields, Now: time.Now,
	}
	ids, err := w.c.Identify(t.Context(), w.s)
	if err != nil {
		t.Fatal(err)
	}
	w.s.Identities = ids
	w.sub = &connector.Subscription{
		ID: "sub_1", Watch: "mailbox", Resource: ids[0].ID, Identity: ids[0],
		Topics: []string{"labelAdded", "messageAdded", "messageDeleted"},
		Filters: append(trigger.List("gmail.*"), trigger.Filter{
			Trigger: gmail.EmailLabeled, Params: map[string]string{gmail.ParamLabel: "INBOX"},
		}),
	}
	held, err := w.c.Subscribe(t.Context(), w.s, w.sub)
	if err != nil {
		t.Fatal(err)
	}
	w.sub.Held, w.sub.Cursor = *held, held.Cursor
	return w
}

// withToken adds a token.
type withToken struct {
	next  http.RoundTripper
	token string
}

func (b withToken) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	return b.next.RoundTrip(r)
}

// gmailToken signs alice in; OAuth is in no document.
func gmailToken(t *testing.T, google *gmailtest.Server, cfg gmail.Config, app connector.App) string {
	t.Helper()
	codes := make(chan string, 1)
	callback := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { codes <- r.FormValue("code") }))
	defer callback.Close()
	config := oauth2.Config{
		ClientID: app.ClientID, ClientSecret: app.ClientSecret, RedirectURL: callback.URL + "/callback",
		Scopes:   []string{"https://www.googleapis.com/auth/gmail.readonly"},
		Endpoint: oauth2.Endpoint{AuthURL: cfg.Endpoints.Authorize, TokenURL: cfg.Endpoints.Token, AuthStyle: oauth2.AuthStyleInParams},
	}
	if err := google.Consent(t.Context(), config.AuthCodeURL("s"), alice); err != nil {
		t.Fatal(err)
	}
	token, err := config.Exchange(t.Context(), <-codes)
	if err != nil {
		t.Fatal(err)
	}
	return token.AccessToken
}

func (w *gmailWorld) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *gmailWorld) catchUp() {
	w.t.Helper()
	for {
		out, err := w.c.Expand(w.t.Context(), w.s, w.sub, nil)
		w.ok(err)
		w.sub.Cursor = out.Cursor
		for _, n := range out.Notices {
			for _, o := range n.Occurrences {
				w.told[o.Trigger]++
			}
		}
		if !out.More {
			return
		}
	}
}

// everything makes each trigger happen, in pages, and again after a resync.
func (w *gmailWorld) everything() {
	g := w.google
	g.AddMailbox(bobMail)
	g.SetPageSize(2)
	invoices := g.CreateLabel(alice, "Invoices")
	m := gmailtest.Mail{
		From: bobMail, To: []string{alice}, Cc: []string{"Carol Ünïcode <carol@example.com>"}, Subject: "Käse", Text: "Hi", HTML: "<p>Hi</p>",
		Attachments: []gmailtest.Attachment{{Filename: "menü.pdf", MimeType: "application/pdf", Data: []byte("%PDF>?")}},
	}
	id := g.Send(m)[alice]
	g.Send(gmailtest.Mail{From: alice, To: []string{alice}, Text: "to myself"})
	w.ok(g.Label(alice, id, []string{invoices, "STARRED", "TRASH"}, []string{"UNREAD"}))
	gone := g.Insert(alice, gmailtest.Mail{From: bobMail}, "INBOX")
	w.ok(g.Delete(alice, gone))
	d := g.Draft(alice, gmailtest.Mail{From: alice, To: []string{bobMail}, Text: "draft"})
	w.ok(g.SaveDraft(alice, d, gmailtest.Mail{From: alice, Text: "saved"}))
	sent := g.Draft(alice, gmailtest.Mail{From: alice, To: []string{bobMail}, Text: "draft"})
	_, err := g.SendDraft(alice, sent)
	w.ok(err)
	w.catchUp()
	for _, name := range []string{
		gmail.EmailSent, gmail.EmailReceived, gmail.EmailLabeled, gmail.EmailStarred, gmail.EmailTrashed, gmail.EmailDeleted,
		gmail.DraftCreated, gmail.AttachmentReceived, gmail.ThreadStarted,
	} {
		if w.told[name] == 0 {
			w.t.Errorf("%s was not told", name)
		}
	}
	b, err := gmail.Fetch(w.t.Context(), gmail.FetchRequest{
		Client: w.s.HTTP, MessageID: id, Attachment: gmail.Attachment{PartID: "1"}, API: w.s.Endpoints["api"],
	})
	if err != nil || string(b) != "%PDF>?" {
		w.t.Errorf("the file is %q, %v", b, err)
	}
	g.Send(m)
	g.ExpireHistory(alice)
	before := w.told[gmail.EmailReceived]
	w.catchUp()
	if w.told[gmail.EmailReceived] == before {
		w.t.Error("the resync told nothing")
	}
	w.ok(w.c.Unsubscribe(w.t.Context(), w.s, w.sub))
}

// get makes a call that the connector does not make.
func (w *gmailWorld) get(path string, status int) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.google.URL+"/gmail/v1/users/me/"+path, nil)
	w.ok(err)
	resp, err := w.s.HTTP.Transport.RoundTrip(req)
	w.ok(err)
	_ = resp.Body.Close()
	if resp.StatusCode != status {
		w.t.Errorf("%s: %d, want %d", path, resp.StatusCode, status)
	}
}

// history shows every kind of record, labelsRemoved included.
func (w *gmailWorld) history() {
	start := w.google.Status(alice).HistoryID
	id := w.google.Send(gmailtest.Mail{From: bobMail, To: []string{alice}})[alice]
	w.ok(w.google.Label(alice, id, []string{"STARRED"}, []string{"UNREAD"}))
	w.ok(w.google.Delete(alice, id))
	w.google.SetPageSize(0)
	from := "history?startHistoryId=" + itoa(start)
	w.get(from, 200)
	w.get(from+"&labelId=INBOX&historyTypes=messageDeleted&historyTypes=labelRemoved&maxResults=1", 200)
	w.get("history?startHistoryId=1", 404)
}

// reads has the other formats, and lists that are empty.
func (w *gmailWorld) reads() {
	id := w.google.Send(gmailtest.Mail{From: bobMail, To: []string{alice}, Subject: "s"})[alice]
	w.get("messages/"+id+"?format=metadata&metadataHeaders=Subject", 200)
	w.get("messages/"+id+"?format=minimal", 200)
	w.get("messages?q=before:1", 200)
	w.get("messages?maxResults=2&includeSpamTrash=true", 200)
	w.get("drafts?maxResults=1", 200)
}

func (w *gmailWorld) refusals() {
	w.judge.Probing = true
	w.get("messages/0", 404)
	w.get("threads/0?format=minimal", 404)
	w.get("history", 400)
	w.get("history?startHistoryId=1&historyTypes=odd", 404)
	w.get("messages?maxResults=x", 400)
}

func itoa(id uint64) string { return strconv.FormatUint(id, 10) }
