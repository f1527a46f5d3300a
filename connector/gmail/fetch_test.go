package gmail_test

import (
	"bytes"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/interactorhq/interactor"
	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/connector/gmail"
	"github.com/interactorhq/interactor/connector/gmail/gmailtest"
	"github.com/interactorhq/interactor/forward/forwardtest"
	"github.com/interactorhq/interactor/interactortest"
	"github.com/interactorhq/interactor/trigger"
)

// An event lists a mail's files; the connection's client gets them.
func TestFetch(t *testing.T) {
	t.Parallel()
	google := newGoogle(t)
	cfg := google.Config()
	inbox := forwardtest.NewReceiver(t)
	in := interactortest.Start(t, interactor.Config{
		Connectors: []interactor.Connector{gmail.New(cfg)}, Forwarding: inbox.Settings(gmail.AttachmentReceived),
	})
	if err := google.SetPush(in.URL + "/webhooks/gmail"); err != nil {
		t.Fatal(err)
	}
	conn := signIn(t, in, google, interactor.ConnectRequest{Account: "user-42"}, alice)
	client, err := in.Client(t.Context(), conn.ID)
	if err != nil {
		t.Fatal(err)
	}
	content := bytes.Repeat([]byte{0, 0xff, '>', '?'}, 1000)
	m := mailTo("files")
	m.Attachments = []gmailtest.Attachment{{Filename: "a.bin", MimeType: "application/octet-stream", Data: content}, {Filename: "b.txt", MimeType: "text/plain", Data: []byte("b")}}
	google.Send(m)
	mail, err := trigger.Decode[gmail.Email](inbox.Next())
	if err != nil || len(mail.Attachments) != 2 {
		t.Fatalf("got %+v, %v", mail, err)
	}
	req := gmail.FetchRequest{Client: client, MessageID: mail.ID, Attachment: mail.Attachments[0], API: cfg.Endpoints.API}
	is := func(target error) func([]byte, error) bool {
		return func(_ []byte, err error) bool { return errors.Is(err, target) }
	}
	whole := func(b []byte, err error) bool { return err == nil && bytes.Equal(b, content) }
	for _, tt := range []struct {
		name   string
		change func(r *gmail.FetchRequest)
		want   func([]byte, error) bool
	}{
		{"a file", func(*gmail.FetchRequest) {}, whole},
		{"one byte too many", func(r *gmail.FetchRequest) { r.MaxSize = int64(len(content)) - 1 }, is(gmail.ErrTooLarge)},
		{"just enough", func(r *gmail.FetchRequest) { r.MaxSize = int64(len(content)) }, whole},
		{"larger than it says", func(r *gmail.FetchRequest) { r.MaxSize, r.Attachment.Size = 100, 1 }, is(gmail.ErrTooLarge)},
		{"an id of yore", func(r *gmail.FetchRequest) { r.Attachment.ID = "ANGold" }, whole},
		{"no id", func(r *gmail.FetchRequest) { r.Attachment.ID = "" }, whole},
		{"no such part", func(r *gmail.FetchRequest) { r.Attachment.ID, r.Attachment.PartID = "", "9.9" }, is(connector.ErrGone)},
		{"no such message", func(r *gmail.FetchRequest) { r.MessageID = "0" }, is(connector.ErrGone)},
		{"a path as id", func(r *gmail.FetchRequest) { r.MessageID = "../../me/profile" }, is(connector.ErrGone)},
		{"nothing named", func(r *gmail.FetchRequest) { r.Attachment = gmail.Attachment{} }, func(_ []byte, err error) bool {
			return err != nil && strings.Contains(err.Error(), "required")
		}},
		{"no client", func(r *gmail.FetchRequest) { r.Client = nil }, func(_ []byte, err error) bool {
			return err != nil && strings.Contains(err.Error(), "Interactor.Client")
		}},
		{"another host gets no credential", func(r *gmail.FetchRequest) { r.API = "https://elsewhere.example/" }, is(connector.ErrRefused)},
	} {
		r := req
		tt.change(&r)
		if b, err := gmail.Fetch(t.Context(), r); !tt.want(b, err) {
			t.Errorf("%s: got %d bytes, %v", tt.name, len(b), err)
		}
	}
	google.Fail(gmailtest.Fault{Call: "attachment", Status: http.StatusServiceUnavailable})
	var retry *connector.RetryError
	if _, err := gmail.Fetch(t.Context(), req); !errors.As(err, &retry) {
		t.Errorf("503: %v", err)
	}
	google.ExpireTokens()
	if b, err := gmail.Fetch(t.Context(), req); !whole(b, err) {
		t.Errorf("with an expired token: %d bytes, %v", len(b), err)
	}
}
