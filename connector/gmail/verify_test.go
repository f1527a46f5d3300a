package gmail_test

import (
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/connector/gmail"
	"github.com/interactorhq/interactor/connector/gmail/gmailtest"
)

// inbound is a push as the engine hands it over.
func inbound(google *gmailtest.Server, app connector.App, token string) *connector.Inbound {
	return &connector.Inbound{
		Method: http.MethodPost, URL: "https://hooks.example.com/webhooks/gmail",
		Header: http.Header{"Authorization": {"Bearer " + token}, "Content-Type": {"application/json"}},
		Body:   google.Notification(alice, 42), ReceivedAt: time.Now(), App: app.Values(),
	}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	google := newGoogle(t)
	c := gmail.New(google.Config())
	app, _ := c.DefaultApp()
	other := google.AddClient("other", "other-secret")
	good := google.PushToken(gmailtest.Token{})
	header := func(values ...string) func(*connector.Inbound) {
		return func(in *connector.Inbound) {
			in.Header.Del("Authorization")
			for _, v := range values {
				in.Header.Add("Authorization", v)
			}
		}
	}
	field := func(name, value string) func(*connector.Inbound) {
		return func(in *connector.Inbound) { in.App[name] = value }
	}
	for _, tt := range []struct {
		name  string
		token gmailtest.Token
		edit  func(*connector.Inbound)
		want  string // part of the error; empty: it verifies
	}{
		{name: "as Google signs it"},
		{name: "audience left empty on both sides", token: gmailtest.Token{Audience: "https://hooks.example.com/webhooks/gmail"}, edit: field(gmail.FieldPushAudience, "")},
		{name: "scheme in small letters", edit: header("bearer " + good)},
		{name: "no header", edit: header(), want: "0 Authorization headers"},
		{name: "two headers", edit: header("Bearer "+good, "Bearer "+good), want: "2 Authorization headers"},
		{name: "empty header", edit: header(""), want: "no bearer token"},
		{name: "empty token", edit: header("Bearer "), want: "no bearer token"},
		{name: "another scheme", edit: header("Basic " + good), want: "no bearer token"},
		{name: "no token at all", edit: header("Bearer rubbish"), want: "header"},
		{name: "two segments", edit: header("Bearer " + good[:strings.LastIndex(good, ".")]), want: "three segments"},
		{name: "endless", edit: header("Bearer " + strings.Repeat("a", 9<<10)), want: "longer than"},
		{name: "signature cut off", edit: header("Bearer " + good[:strings.LastIndex(good, ".")+1]), want: "verification error"},
		{name: "wrong audience", token: gmailtest.Token{Audience: "https://other.example.com"}, want: "aud is"},
		{name: "audience of another App", token: gmailtest.Token{Audience: other.Fields[gmail.FieldPushAudience]}, want: "aud is"},
		{name: "no audience", token: gmailtest.Token{Omit: "aud"}, want: "aud is"},
		{name: "no audience wanted, none known", edit: func(in *connector.Inbound) { in.App[gmail.FieldPushAudience] = ""; in.URL = "" }, want: "push_audience"},
		{name: "wrong issuer", token: gmailtest.Token{Issuer: "https://evil.example.com"}, want: "iss is"},
		{name: "issuer without scheme", token: gmailtest.Token{Issuer: "accounts.google.com"}, want: "iss is"},
		{name: "no issuer", token: gmailtest.Token{Omit: "iss"}, want: "iss is"},
		{name: "another service account", token: gmailtest.Token{Email: "eve@evil.iam.gserviceaccount.com"}, want: "email is"},
		{name: "no email", token: gmailtest.Token{Omit: "email"}, want: "email is"},
		{name: "email not verified", token: gmailtest.Token{Unverified: true}, want: "email_verified"},
		{name: "email_verified missing", token: gmailtest.Token{Omit: "email_verified"}, want: "email_verified"},
		{name: "expired", token: gmailtest.Token{Expired: true}, want: "expired"},
		{name: "no expiry", token: gmailtest.Token{Omit: "exp"}, want: "exp"},
		{name: "unknown key", token: gmailtest.Token{KeyID: "other"}, want: "keyId"},
		{name: "forged with another key", token: gmailtest.Token{Forged: true}, want: "verification error"},
		{name: "not signed", token: gmailtest.Token{Algorithm: "none"}, want: "not RS256"},
		{name: "HS256", token: gmailtest.Token{Algorithm: "HS256"}, want: "not RS256"},
		{name: "ES256", token: gmailtest.Token{Algorithm: "ES256"}, want: "not RS256"},
		{name: "App without service account", edit: field(gmail.FieldPushServiceAccount, ""), want: "push_service_account"},
		{name: "App without anything", edit: func(in *connector.Inbound) { in.App = nil }, want: "push_service_account"},
		{name: "at the address of another App", edit: func(in *connector.Inbound) { in.App = other.Values() }, want: "aud is"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			in := inbound(google, app, google.PushToken(tt.token))
			if tt.edit != nil {
				tt.edit(in)
			}
			err := c.Verify(t.Context(), in)
			switch {
			case tt.want == "" && err != nil:
				t.Error(err)
			case tt.want != "" && !errors.Is(err, connector.ErrUnproven):
				t.Errorf("got %v, not ErrUnproven", err)
			case tt.want != "" && !strings.Contains(err.Error(), tt.want):
				t.Errorf("got %v, want %q in it", err, tt.want)
			}
		})
	}
}

// counting counts requests and may fail them.
type counting struct {
	next http.RoundTripper
	n    atomic.Int32
	fail atomic.Bool
}

func (c *counting) RoundTrip(r *http.Request) (*http.Response, error) {
	c.n.Add(1)
	if c.fail.Load() {
		return nil, errors.New("no network")
	}
	return c.next.RoundTrip(r)
}

func TestKeysAreFetchedSeldom(t *testing.T) {
	t.Parallel()
	google := newGoogle(t)
	cfg := google.Config()
	keys := &counting{next: google.Transport()}
	cfg.HTTPClient = &http.Client{Transport: keys}
	c := gmail.New(cfg)
	app, _ := c.DefaultApp()
	at := time.Now()
	verify := func(token gmailtest.Token, after time.Duration) error {
		in := inbound(google, app, google.PushToken(token))
		in.ReceivedAt = at.Add(after)
		return c.Verify(t.Context(), in)
	}
	want := func(n int32) {
		t.Helper()
		if got := keys.n.Load(); got != n {
			t.Errorf("keys were fetched %d times, want %d", got, n)
		}
	}
	// What claims to be from somebody else fetches nothing.
	for _, token := range []gmailtest.Token{{Audience: "x"}, {Email: "x@y"}, {Issuer: "x"}, {Unverified: true}, {Algorithm: "none"}} {
		if verify(token, 0) == nil {
			t.Fatal("verified")
		}
	}
	want(0)

	keys.fail.Store(true)
	// Google's fault is not the sender's: the engine answers 503, not 401.
	if err := verify(gmailtest.Token{}, 0); err == nil || errors.Is(err, connector.ErrUnproven) {
		t.Fatalf("without keys: %v", err)
	}
	want(1)
	keys.fail.Store(false)
	google.Fail(gmailtest.Fault{Call: "certs", Status: 503})
	if err := verify(gmailtest.Token{}, 0); err == nil || errors.Is(err, connector.ErrUnproven) {
		t.Fatalf("without keys: %v", err)
	}
	want(2)
	for range 5 {
		if err := verify(gmailtest.Token{}, 0); err != nil {
			t.Fatal(err)
		}
	}
	want(3)
	// A key that is unknown may be new: asked once a minute.
	for range 5 {
		if verify(gmailtest.Token{KeyID: "unknown"}, 59*time.Second) == nil {
			t.Fatal("verified")
		}
	}
	want(3)
	for range 5 {
		if verify(gmailtest.Token{KeyID: "unknown"}, 61*time.Second) == nil {
			t.Fatal("verified")
		}
	}
	want(4)
	if err := verify(gmailtest.Token{}, 62*time.Second); err != nil {
		t.Fatal(err)
	}
	want(4)
}
