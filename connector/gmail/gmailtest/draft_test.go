package gmailtest_test

import (
	"encoding/base64"
	"errors"
	"net/http"
	"testing"

	"golang.org/x/oauth2"
	gmailapi "google.golang.org/api/gmail/v1"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/option"

	"github.com/interactorhq/interactor/connector/gmail/gmailtest"
)

// client is Google's own, with a token of these scopes.
func (a *app) client(scope string) *gmailapi.Service {
	a.t.Helper()
	tokens := oauth2.StaticTokenSource(&oauth2.Token{AccessToken: a.signIn(scope)})
	svc, err := gmailapi.NewService(a.t.Context(), option.WithHTTPClient(oauth2.NewClient(a.t.Context(), tokens)), option.WithEndpoint(a.google.URL+"/"))
	if err != nil {
		a.t.Fatal(err)
	}
	return svc
}

func draft(thread, raw string) *gmailapi.Draft {
	return &gmailapi.Draft{Message: &gmailapi.Message{ThreadId: thread, Raw: base64.URLEncoding.EncodeToString([]byte(raw))}}
}

func TestCreateDraft(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	svc := a.client(gmailapi.GmailComposeScope + " " + readonly)
	id := a.google.Send(gmailtest.Mail{From: "bob@example.com", To: []string{alice}, Subject: "Lunch?"})[alice]
	got, err := svc.Users.Messages.Get("me", id).Do()
	if err != nil {
		t.Fatal(err)
	}
	made, err := svc.Users.Drafts.Create("me", draft(got.ThreadId, "To: Bob <bob@example.com>\r\nSubject: =?utf-8?q?Re=3A_Gr=C3=BC=C3=9Fe?=\r\n"+
		"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"+base64.StdEncoding.EncodeToString([]byte("Gern!")))).Do()
	if err != nil {
		t.Fatal(err)
	}
	if made.Id == "" || made.Message.ThreadId != got.ThreadId || len(made.Message.LabelIds) != 1 || made.Message.LabelIds[0] != "DRAFT" {
		t.Errorf("made %+v", made.Message)
	}
	list, err := svc.Users.Drafts.List("me").Do()
	if err != nil || len(list.Drafts) != 1 || list.Drafts[0].Id != made.Id {
		t.Errorf("drafts are %+v, %v", list, err)
	}
	read, err := svc.Users.Messages.Get("me", made.Message.Id).Do()
	if err != nil {
		t.Fatal(err)
	}
	text, err := base64.URLEncoding.DecodeString(read.Payload.Body.Data)
	if err != nil || string(text) != "Gern!" {
		t.Errorf("the text is %q, %v", text, err)
	}
	headers := map[string]string{}
	for _, h := range read.Payload.Headers {
		headers[h.Name] = h.Value
	}
	if headers["To"] != `"Bob" <bob@example.com>` || headers["From"] != alice || headers["Subject"] != "=?utf-8?q?Re:_Gr=C3=BC=C3=9Fe?=" {
		t.Errorf("headers are %q", headers)
	}
	if sent, err := a.google.SendDraft(alice, made.Id); err != nil || sent[alice] == "" {
		t.Errorf("it cannot be sent: %v, %v", sent, err)
	}
}

func TestCreateDraftRefuses(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	compose, reading := a.client(gmailapi.GmailComposeScope), a.client(readonly)
	const plain = "To: bob@example.com\r\n\r\nhello"
	for _, row := range []struct {
		name  string
		with  *gmailapi.Service
		draft *gmailapi.Draft
		want  int
	}{
		{"a scope that reads", reading, draft("", plain), http.StatusForbidden},
		{"no message", compose, &gmailapi.Draft{}, http.StatusBadRequest},
		{"no base64", compose, &gmailapi.Draft{Message: &gmailapi.Message{Raw: "%%"}}, http.StatusBadRequest},
		{"no headers", compose, draft("", "hello"), http.StatusBadRequest},
		{"an address that is none", compose, draft("", "To: bob@@\r\n\r\nhello"), http.StatusBadRequest},
		{"a thread that is not there", compose, draft("18", plain), http.StatusNotFound},
		{"more than text", compose, draft("", "Content-Type: text/html\r\n\r\nhello"), http.StatusNotImplemented},
	} {
		_, err := row.with.Users.Drafts.Create("me", row.draft).Do()
		if g, ok := errors.AsType[*googleapi.Error](err); !ok || g.Code != row.want {
			t.Errorf("%s: %v, want %d", row.name, err, row.want)
		}
	}
	if _, err := compose.Users.Drafts.Create("me", draft("", plain)).Do(); err != nil {
		t.Errorf("a plain one: %v", err)
	}
	if _, err := compose.Users.Messages.List("me").Do(); err == nil {
		t.Error("a scope that writes reads")
	}
}
