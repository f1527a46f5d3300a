package webhook_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/connector/webhook"
	standard "github.com/interactorhq/interactor/webhook"
)

var now = time.Unix(1_700_000_000, 0).UTC()

const secret = "a shared secret of 32 characters"

func sign(in *connector.Inbound, scheme string) {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(in.Body)
	sum := hex.EncodeToString(mac.Sum(nil))
	switch scheme {
	case webhook.StandardWebhooks:
		in.Secrets = []string{"whsec_" + base64.StdEncoding.EncodeToString([]byte(secret))}
		if err := (standard.Signer{Secrets: in.Secrets}).Sign(in.Header, "msg_1", now, in.Body); err != nil {
			panic(err)
		}
		return
	case webhook.HMAC:
		in.Header.Set("X-Signature-256", "sha256="+sum)
		in.Header.Set("X-Own", sum)
	case webhook.Bearer:
		in.Header.Set("Authorization", "Bearer "+secret)
	case webhook.Basic:
		in.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("alice:"+secret)))
	}
	in.Secrets = []string{secret}
}

func request(body string, header ...string) *connector.Inbound {
	in := &connector.Inbound{Method: http.MethodPost, URL: "https://hooks.example.com/webhooks/webhook/sub_1", Body: []byte(body),
		Header: http.Header{}, ReceivedAt: now, Watch: "address", Subscription: "sub_1"}
	for i := 0; i < len(header); i += 2 {
		in.Header.Set(header[i], header[i+1])
	}
	return in
}

func TestVerify(t *testing.T) {
	t.Parallel()
	schemes := []string{webhook.StandardWebhooks, webhook.HMAC, webhook.Bearer, webhook.Basic}
	for _, signed := range schemes {
		for _, chosen := range append(schemes, "", "none", "Bearer") {
			for _, place := range []string{"connection", "app"} {
				t.Run(signed+" for "+chosen+" at "+place, func(t *testing.T) {
					t.Parallel()
					in := request(`{}`)
					sign(in, signed)
					values := map[string]string{"scheme": chosen, "username": "alice"}
					if place == "app" {
						in.Subscription, in.App = "", values
					} else {
						in.Values = values
					}
					err := webhook.New(webhook.Config{}).Verify(t.Context(), in)
					if want := signed == chosen || chosen == "" && signed == webhook.StandardWebhooks; (err == nil) != want {
						t.Fatalf("got %v", err)
					}
					if err != nil && !errors.Is(err, connector.ErrUnproven) {
						t.Errorf("got %v", err)
					}
				})
			}
		}
	}
}

// What the App chose for its address must not loosen a Connection's, nor the
// other way round.
func TestVerifyTakesTheSettingsOfTheAddress(t *testing.T) {
	t.Parallel()
	in := request(`{}`)
	sign(in, webhook.Bearer)
	in.Values, in.App = map[string]string{"scheme": webhook.HMAC}, map[string]string{"scheme": webhook.Bearer}
	if err := webhook.New(webhook.Config{}).Verify(t.Context(), in); !errors.Is(err, connector.ErrUnproven) {
		t.Errorf("the App's scheme at a Connection's address: %v", err)
	}
	in.Subscription = ""
	if err := webhook.New(webhook.Config{}).Verify(t.Context(), in); err != nil {
		t.Errorf("at the App's address: %v", err)
	}
}

func TestVerifyHeaders(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, header, username, scheme string
		ok                             bool
	}{
		{"own header", "X-Own", "", webhook.HMAC, true},
		{"default header", "", "", webhook.HMAC, true},
		{"another header", "X-Other", "", webhook.HMAC, false},
		{"user", "", "alice", webhook.Basic, true},
		{"another user", "", "bob", webhook.Basic, false},
		{"no user", "", "", webhook.Basic, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			in := request(`{"a":1}`)
			sign(in, c.scheme)
			in.Values = map[string]string{"scheme": c.scheme, "header": c.header, "username": c.username}
			if err := webhook.New(webhook.Config{}).Verify(t.Context(), in); (err == nil) != c.ok {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestDecodeBodies(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, contentType, body, want string }{
		{"JSON", "application/json", `{"a":1}`, `{"content_type":"application/json","body":{"a":1}}`},
		{"JSON by suffix", "application/cloudevents+json; charset=utf-8", `[1]`, `{"content_type":"application/cloudevents+json; charset=utf-8","body":[1]}`},
		{"JSON without a type", "", `"x"`, `{"content_type":"","body":"x"}`},
		{"JSON under another type", "text/plain", ` {"a":1}`, `{"content_type":"text/plain","body":{"a":1}}`},
		{"exact numbers", "application/json", `{"a":12345678901234567890.10}`, `{"content_type":"application/json","body":{"a":12345678901234567890.10}}`},
		{"text that is JSON", "text/plain", `123`, `{"content_type":"text/plain","text":"123"}`},
		{"form", "application/x-www-form-urlencoded", `a=1&b=2`, `{"content_type":"application/x-www-form-urlencoded","text":"a=1\u0026b=2"}`},
		{"broken JSON", "application/json", `{"a":`, `{"content_type":"application/json","text":"{\"a\":"}`},
		{"XML", "application/xml", `<a/>`, `{"content_type":"application/xml","text":"\u003ca/\u003e"}`},
		{"bytes", "application/octet-stream", "\xff\x00", `{"content_type":"application/octet-stream","base64":"/wA="}`},
		{"JSON of wrong bytes", "application/json", "\"\xff\"", `{"content_type":"application/json","base64":"Iv8i"}`},
		{"nothing", "", "", `{"content_type":""}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d, err := webhook.New(webhook.Config{}).Decode(request(c.body, "Content-Type", c.contentType))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := json.Marshal(d.Notices[0].Occurrences[0].Payload); string(got) != c.want {
				t.Errorf("got  %s, %v\nwant %s", got, err, c.want)
			}
		})
	}
}

func TestDecodeHeaders(t *testing.T) {
	t.Parallel()
	in := request(`{}`, "X-GitHub-Event", "push", "Authorization", "Bearer "+secret, "Cookie", "a=b")
	in.Values = map[string]string{"keep_headers": "X-GitHub-Event, authorization,Cookie , X-None"}
	d, _ := webhook.New(webhook.Config{}).Decode(in)
	if got := d.Notices[0].Occurrences[0].Payload.(webhook.Payload).Headers; !reflect.DeepEqual(got, map[string]string{"X-Github-Event": "push"}) {
		t.Errorf("got %v", got)
	}
}

func TestDecodeKeys(t *testing.T) {
	t.Parallel()
	key := func(in *connector.Inbound) string {
		d, err := webhook.New(webhook.Config{}).Decode(in)
		if err != nil {
			t.Fatal(err)
		}
		return d.Notices[0].Occurrences[0].Key
	}
	later := func(in *connector.Inbound) *connector.Inbound { in.ReceivedAt = now.Add(time.Minute); return in }
	own := func(in *connector.Inbound) *connector.Inbound {
		in.Values = map[string]string{"id_header": "x-delivery"}
		return in
	}
	for _, c := range []struct {
		name string
		a, b *connector.Inbound
		same bool
	}{
		{"tried again with webhook-id", request("{}", "Webhook-Id", "1"), later(request("{}", "Webhook-Id", "1")), true},
		{"tried again with Idempotency-Key", request("{}", "Idempotency-Key", "1"), later(request("{}", "Idempotency-Key", "1")), true},
		{"tried again with an own header", own(request("{}", "X-Delivery", "1")), own(later(request("{}", "X-Delivery", "1"))), true},
		{"another id", request("{}", "Webhook-Id", "1"), request("{}", "Webhook-Id", "2"), false},
		{"the same id in another header", request("{}", "Webhook-Id", "1"), request("{}", "Idempotency-Key", "1"), false},
		{"equal bodies a minute apart", request("{}"), later(request("{}")), false},
		{"the very same request", request("{}"), request("{}"), true},
		{"long ids", request("{}", "Webhook-Id", strings.Repeat("a", 5000)+"1"), request("{}", "Webhook-Id", strings.Repeat("a", 5000)+"2"), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a, b := key(c.a), key(c.b)
			if (a == b) != c.same || len(a) > 300 {
				t.Errorf("%s and %s", a, b)
			}
		})
	}
}

func TestRegistry(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		cfg  webhook.Config
		err  string
	}{
		{"with accounts", webhook.Config{}, ""},
		{"alone", webhook.Config{Secret: secret}, ""},
		{"all of it", webhook.Config{Scheme: webhook.HMAC, Secret: secret, Header: "X-Own", IDHeader: "X-Id", KeepHeaders: "X-A, X-B"}, ""},
		{"unknown scheme", webhook.Config{Scheme: "rot13", Secret: secret}, `DefaultApp: scheme: "rot13" is none of`},
		{"short secret", webhook.Config{Secret: "hunter2"}, "DefaultApp: webhook_secret: what was entered does not fit"},
		{"header", webhook.Config{Secret: secret, Header: "X Own"}, "DefaultApp: header"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r, err := connector.NewRegistry(webhook.New(c.cfg))
			if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Fatalf("got %v", err)
			}
			if err == nil {
				e, _ := r.Lookup(webhook.Name)
				if e.HasDefaultApp != (c.cfg.Secret != "") || e.HasDefaultApp && e.DefaultApp.Fields[connector.FieldWebhookSecret] != secret {
					t.Errorf("got %v", e.HasDefaultApp)
				}
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("application/json", "1", `{"a":1}`, "X-A,X-B")
	f.Add("text/plain; charset=\xff", "", "\xff", ",,")
	f.Fuzz(func(t *testing.T, contentType, id, body, keep string) {
		in := request(body, "Content-Type", contentType, "Webhook-Id", id)
		in.Values = map[string]string{"keep_headers": keep, "id_header": keep}
		d, err := webhook.New(webhook.Config{}).Decode(in)
		if err != nil {
			t.Fatal(err)
		}
		o := d.Notices[0].Occurrences[0]
		p := o.Payload.(webhook.Payload)
		if got := string(p.Body) + p.Text + string(p.Base64); got != body {
			t.Errorf("the body %q became %q", body, got)
		}
		b, err := json.Marshal(p)
		if err != nil || !utf8.Valid(b) || o.Key == "" || !utf8.ValidString(o.Key) {
			t.Errorf("payload %q, %v, key %q", b, err, o.Key)
		}
	})
}

// A Forwarder on its own takes what one sender signs with HMAC.
func ExampleNew() {
	c := webhook.New(webhook.Config{Scheme: webhook.HMAC, Secret: secret, Header: "X-Acme-Signature"})
	registry, err := connector.NewRegistry(c)
	if err != nil {
		fmt.Println(err)
		return
	}
	entry, _ := registry.Lookup(webhook.Name)

	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(`{"order":7}`))
	in := &connector.Inbound{
		Method: http.MethodPost, Body: []byte(`{"order":7}`), ReceivedAt: now,
		Header:  http.Header{"Content-Type": {"application/json"}, "X-Acme-Signature": {hex.EncodeToString(mac.Sum(nil))}},
		Secrets: []string{entry.DefaultApp.Fields[connector.FieldWebhookSecret]}, App: entry.DefaultApp.Values(),
	}
	fmt.Println(entry.Verifier.Verify(context.Background(), in))
	decoded, _ := entry.Decoder.Decode(in)
	fmt.Printf("%s\n", decoded.Notices[0].Occurrences[0].Payload.(webhook.Payload).Body)
	// Output:
	// <nil>
	// {"order":7}
}
