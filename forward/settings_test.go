package forward_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/internal/catest"
	"github.com/interactorhq/interactor/trigger"
	"github.com/interactorhq/interactor/webhook"
)

func full() forward.Settings {
	s := forward.Settings{
		URL: "https://app.example.com/events?token=hidden", HeaderKey: "X-Acme-Token", HeaderValue: "s3cr3t",
		Triggers: []trigger.Filter{{Trigger: "gmail.email.sent"}, {Trigger: "gmail.email.labeled", Params: map[string]string{"label": "<In>"}}},
		Secrets:  []string{webhook.NewSecret()}, Raw: true,
		Retry:   []time.Duration{5 * time.Second, 5 * time.Minute, 2 * time.Hour, 90 * time.Minute},
		Timeout: 10 * time.Second, RateLimit: 2.5, Concurrency: 4, Ordered: true, PauseAfter: 36 * time.Hour,
		OAuth2: &forward.OAuth2{
			TokenURL: "https://login.example.com/token?tenant=hidden", ClientID: "acme", ClientSecret: "0auth2-s3cr3t",
			Scopes: []string{"events.write"}, Audience: "https://app.example.com",
		},
	}
	s.ClientCertificate, s.ClientKey = pair()
	return s
}

// pair is a client certificate with its key, the same ones every time.
var pair = sync.OnceValues(func() (certificate, key string) {
	var t testing.T
	return catest.New(&t).Client("acme")
})

func TestSettingsHideSecrets(t *testing.T) {
	t.Parallel()
	s := full()
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "settings", s, "pointer", &s, "oauth2", s.OAuth2, "oauth2_value", *s.OAuth2)
	marshalled, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"%v": fmt.Sprintf("%v", s), "%+v": fmt.Sprintf("%+v", s), "%#v": fmt.Sprintf("%#v", s), "%s": fmt.Sprintf("%s", s),
		"%q": fmt.Sprintf("%q", s), "%x": fmt.Sprintf("%x", s), "pointer": fmt.Sprintf("%+v", &s), "inside": fmt.Sprintf("%+v", struct{ S forward.Settings }{s}),
		"oauth2, %+v": fmt.Sprintf("%+v", *s.OAuth2), "oauth2, %#v": fmt.Sprintf("%#v", s.OAuth2), "oauth2, %x": fmt.Sprintf("%x", s.OAuth2),
		"slog": log.String(), "JSON": string(marshalled), "String": s.String(), "GoString": s.GoString(),
	} {
		for _, secret := range []string{s.HeaderValue, s.Secrets[0], s.Secrets[0][6:], s.OAuth2.ClientSecret, strings.Split(s.ClientKey, "\n")[1], "PRIVATE KEY"} {
			if strings.Contains(text, secret) {
				t.Errorf("%s shows a secret: %s", name, text)
			}
		}
		if name != "JSON" && strings.Contains(text, "hidden") {
			t.Errorf("%s shows the query of the URL: %s", name, text)
		}
	}
}

func TestSettingsJSON(t *testing.T) {
	t.Parallel()
	s := full()
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := json.Marshal(s.ClientCertificate)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"url":"https://app.example.com/events?token=hidden","header_key":"X-Acme-Token","client_certificate":` + string(certificate) + `,"oauth2":{"token_url":"https://login.example.com/token?tenant=hidden","client_id":"acme","scopes":["events.write"],"audience":"https://app.example.com"},"triggers":[{"trigger":"gmail.email.sent"},{"trigger":"gmail.email.labeled","params":{"label":"\u003cIn\u003e"}}],"raw":true,"retry":["5s","5m","2h","1h30m"],"timeout":"10s","rate_limit":2.5,"concurrency":4,"ordered":true,"pause_after":"36h"}`
	if string(b) != want {
		t.Errorf("marshalled\n%s, want\n%s", b, want)
	}
	var back forward.Settings
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	s.HeaderValue, s.Secrets, s.ClientKey, s.OAuth2.ClientSecret = "", nil, "", ""
	if !reflect.DeepEqual(back, s) {
		t.Errorf("read back %#v, want %#v", back, s)
	}
	secrets := fmt.Sprintf(`{"url":"https://a.example","header_value":"v","secrets":[%q],"triggers":["gmail.*"]}`, webhook.NewSecret())
	if err := json.Unmarshal([]byte(secrets), &back); err != nil || back.HeaderValue != "v" || len(back.Secrets) != 1 || back.Raw || back.Timeout != 0 {
		t.Errorf("%v, %v: secrets are to be read, and the former value to be gone", back, err)
	}
	secrets = `{"url":"https://a.example","client_key":"k","client_certificate":"c","oauth2":{"token_url":"https://b.example","client_id":"i","client_secret":"s","scopes":["a"],"audience":"u"}}`
	want2 := forward.OAuth2{TokenURL: "https://b.example", ClientID: "i", ClientSecret: "s", Scopes: []string{"a"}, Audience: "u"}
	if err := json.Unmarshal([]byte(secrets), &back); err != nil || back.ClientKey != "k" || back.ClientCertificate != "c" || !reflect.DeepEqual(*back.OAuth2, want2) {
		t.Errorf("%v, %v: secrets of a destination are to be read", back, err)
	}
	if b, err := json.Marshal(forward.Settings{}); err != nil || string(b) != `{"url":"","triggers":[],"raw":false}` {
		t.Errorf("zero: %s, %v", b, err)
	}
	if err := json.Unmarshal([]byte(`{"pause_after":"never"}`), &back); err != nil || back.PauseAfter != -1 || back.Validate() != nil {
		t.Errorf("never: %v, %v", back, err)
	}
	if b, err := json.Marshal(back); err != nil || !strings.Contains(string(b), `"pause_after":"never"`) {
		t.Errorf("never: %s, %v", b, err)
	}
	for _, row := range []struct{ name, json, says string }{
		{"unknown member", `{"url":"https://a.example","order":true}`, "order is unknown: there are url,"},
		{"other case", `{"URL":"https://a.example"}`, "URL is unknown"},
		{"several at once", `{"retries":1,"time_out":"1s"}`, "retries is unknown"},
		{"duration as number", `{"timeout":15}`, `timeout must be a duration, such as "15s"`},
		{"no duration", `{"timeout":"soon"}`, `"soon" is no duration`},
		{"waits as numbers", `{"retry":[5]}`, "retry must be a list of durations"},
		{"rate as text", `{"rate_limit":"5/s"}`, "rate_limit must be a number of events per second"},
		{"part of a try", `{"concurrency":1.5}`, "concurrency must be a whole number"},
		{"order of what", `{"ordered":"account"}`, "ordered must be true or false"},
		{"pause as number", `{"pause_after":5}`, `pause_after must be a duration, such as "120h", or "never"`},
		{"secret as number", `{"secrets":[1]}`, "secrets must be a list of texts"},
		{"a list", `[]`, "must be an object"},
		{"key as number", `{"client_key":1}`, "client_key must be a text"},
		{"oauth2 as text", `{"oauth2":"hunter2"}`, "oauth2 must be an object, such as"},
		{"unknown member of oauth2", `{"oauth2":{"token_uri":"x"}}`, `oauth2 has the unknown member "token_uri": there are token_url,`},
		{"other case in oauth2", `{"oauth2":{"Client_Secret":"x"}}`, `oauth2 has the unknown member "Client_Secret"`},
		{"scopes as text", `{"oauth2":{"scopes":"a b"}}`, "oauth2 is malformed: scopes must be a list of texts"},
		{"secret of oauth2 as number", `{"oauth2":{"client_secret":12345}}`, "oauth2 is malformed: client_secret must be a text"},
		{"trigger malformed", `{"triggers":["a b"]}`, "triggers "},
	} {
		before := full()
		after := before
		err := json.Unmarshal([]byte(row.json), &after)
		if err == nil || !strings.Contains(err.Error(), row.says) {
			t.Errorf("%s: %v, want %q", row.name, err, row.says)
		}
		if !reflect.DeepEqual(before, after) {
			t.Errorf("%s: the value was changed in spite of the error", row.name)
		}
	}
}

func TestSettingsValidate(t *testing.T) {
	t.Parallel()
	if err := full().Validate(); err != nil {
		t.Fatal(err)
	}
	if err := (forward.Settings{}).Validate(); err != nil || !(forward.Settings{}).IsZero() || full().IsZero() {
		t.Errorf("zero: %v", err)
	}
	url := func(u string) forward.Settings { return forward.Settings{URL: u} }
	header := func(key, value string) forward.Settings { return forward.Settings{HeaderKey: key, HeaderValue: value} }
	secure := func(edit func(*forward.Settings)) forward.Settings {
		s := forward.Settings{URL: "https://a.example"}
		s.ClientCertificate, s.ClientKey = pair()
		edit(&s)
		return s
	}
	access := func(edit func(*forward.OAuth2)) forward.Settings {
		o := *full().OAuth2
		edit(&o)
		return forward.Settings{URL: "https://a.example", OAuth2: &o}
	}
	otherCertificate, otherKey := catest.New(t).Client("hunter2")
	for _, row := range []struct {
		name  string
		s     forward.Settings
		field string // "" : fine
	}{
		{"client certificate", secure(func(*forward.Settings) {}), ""},
		{"client certificate with another one behind", secure(func(s *forward.Settings) { s.ClientCertificate += otherCertificate }), ""},
		{"client certificate at http", secure(func(s *forward.Settings) { s.URL = "http://a.example" }), "client_certificate"},
		{"client certificate without url", secure(func(s *forward.Settings) { s.URL = "" }), "client_certificate"},
		{"client certificate without key", secure(func(s *forward.Settings) { s.ClientKey = "" }), "client_key"},
		{"client key without certificate", secure(func(s *forward.Settings) { s.ClientCertificate = "" }), "client_certificate"},
		{"client key of another one", secure(func(s *forward.Settings) { s.ClientKey = otherKey }), "client_key"},
		{"client key is no PEM", secure(func(s *forward.Settings) { s.ClientKey = "hunter2" }), "client_key"},
		{"client key too long", secure(func(s *forward.Settings) { s.ClientKey += strings.Repeat(" ", 16<<10) }), "client_key"},
		{"client certificate is no PEM", secure(func(s *forward.Settings) { s.ClientCertificate = "hunter2" }), "client_certificate"},
		{"client certificate is damaged", secure(func(s *forward.Settings) {
			s.ClientCertificate = "-----BEGIN CERTIFICATE-----\naHVudGVyMg==\n-----END CERTIFICATE-----\n"
		}), "client_certificate"},
		{"client certificate with its key", secure(func(s *forward.Settings) { s.ClientCertificate += s.ClientKey }), "client_certificate"},
		{"client certificate with half a key", secure(func(s *forward.Settings) { s.ClientCertificate += s.ClientKey[:60] }), "client_certificate"},
		{"client certificate too long", secure(func(s *forward.Settings) { s.ClientCertificate += strings.Repeat("\n", 64<<10) }), "client_certificate"},
		{"oauth2", access(func(*forward.OAuth2) {}), ""},
		{"oauth2 without url", forward.Settings{OAuth2: full().OAuth2}, "oauth2"},
		{"oauth2 beside Authorization", forward.Settings{URL: "https://a.example", HeaderKey: "authorization", HeaderValue: "x", OAuth2: full().OAuth2}, "header_key"},
		{"oauth2 without token_url", access(func(o *forward.OAuth2) { o.TokenURL = "" }), "oauth2.token_url"},
		{"oauth2, relative token_url", access(func(o *forward.OAuth2) { o.TokenURL = "/token" }), "oauth2.token_url"},
		{"oauth2, user in token_url", access(func(o *forward.OAuth2) { o.TokenURL = "https://u:hunter2@a.example" }), "oauth2.token_url"},
		{"oauth2 without client_id", access(func(o *forward.OAuth2) { o.ClientID = "" }), "oauth2.client_id"},
		{"oauth2 without client_secret", access(func(o *forward.OAuth2) { o.ClientSecret = "" }), "oauth2.client_secret"},
		{"oauth2, line break in client_secret", access(func(o *forward.OAuth2) { o.ClientSecret = "hunter2\n" }), "oauth2.client_secret"},
		{"oauth2, long client_secret", access(func(o *forward.OAuth2) { o.ClientSecret = strings.Repeat("x", 5000) }), "oauth2.client_secret"},
		{"oauth2, two scopes in one", access(func(o *forward.OAuth2) { o.Scopes = []string{"a", "b c"} }), "oauth2.scopes[1]"},
		{"oauth2, empty scope", access(func(o *forward.OAuth2) { o.Scopes = []string{""} }), "oauth2.scopes[0]"},
		{"oauth2, many scopes", access(func(o *forward.OAuth2) { o.Scopes = strings.Split(strings.Repeat("x ", 51)+"x", " ") }), "oauth2.scopes"},
		{"oauth2, NUL in audience", access(func(o *forward.OAuth2) { o.Audience = "a\x00" }), "oauth2.audience"},
		{"http", url("http://a.example:8080/x?y=z"), ""},
		{"relative", url("/events"), "url"},
		{"without scheme", url("app.example.com/events"), "url"},
		{"other scheme", url("ftp://a.example"), "url"},
		{"script", url("javascript:alert(1)"), "url"},
		{"without host", url("https:///x"), "url"},
		{"port alone", url("https://:443/x"), "url"},
		{"user", url("https://user@a.example"), "url"},
		{"password", url("https://user:pass@a.example"), "url"},
		{"fragment", url("https://a.example/#x"), "url"},
		{"empty fragment", url("https://a.example/#"), "url"},
		{"control character", url("https://a.example/\n"), "url"},
		{"too long", url("https://a.example/" + strings.Repeat("x", 2048)), "url"},
		{"port 0", url("https://a.example:0/"), "url"},
		{"Authorization", header("authorization", "Bearer x"), ""},
		{"tab in value", header("X-A", "a\tb"), ""},
		{"value empty", header("X-A", ""), ""},
		{"value without key", header("", "x"), "header_key"},
		{"reserved", header("Content-Type", "x"), "header_key"},
		{"reserved, webhook-*", header("WEBHOOK-Anything", "x"), "header_key"},
		{"reserved, Host", header("Host", "x"), "header_key"},
		{"reserved, traceparent", header("traceparent", "x"), "header_key"},
		{"reserved, transfer-encoding", header("Transfer-Encoding", "chunked"), "header_key"},
		{"space in key", header("X A", "x"), "header_key"},
		{"colon in key", header("X-A:", "x"), "header_key"},
		{"line break in key", header("X-A\r\nX-B", "x"), "header_key"},
		{"not ASCII in key", header("X-Ä", "x"), "header_key"},
		{"line break in value", header("X-A", "a\r\nX-B: c"), "header_value"},
		{"NUL in value", header("X-A", "a\x00"), "header_value"},
		{"DEL in value", header("X-A", "a\x7f"), "header_value"},
		{"space around value", header("X-A", " a"), "header_value"},
		{"long value", header("X-A", strings.Repeat("x", 5000)), "header_value"},
		{"trigger", forward.Settings{Triggers: trigger.List("a.b", "nonsense!")}, "triggers[1]"},
		{"secret", forward.Settings{Secrets: []string{"hunter2"}}, "secrets[0]"},
		{"public key", forward.Settings{Secrets: []string{"whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="}}, "secrets[0]"},
		{"negative wait", forward.Settings{Retry: []time.Duration{time.Second, -1}}, "retry[1]"},
		{"a wait in nanoseconds by mistake", forward.Settings{Retry: []time.Duration{5}}, "retry[0]"},
		{"no wait", forward.Settings{Retry: []time.Duration{0}}, "retry[0]"},
		{"long wait", forward.Settings{Retry: []time.Duration{169 * time.Hour}}, "retry[0]"},
		{"negative rate", forward.Settings{RateLimit: -1}, "rate_limit"},
		{"rate near nothing", forward.Settings{RateLimit: 0.001}, "rate_limit"},
		{"endless rate", forward.Settings{RateLimit: math.Inf(1)}, "rate_limit"},
		{"no rate", forward.Settings{RateLimit: math.NaN()}, "rate_limit"},
		{"slow rate", forward.Settings{RateLimit: 0.01}, ""},
		{"negative concurrency", forward.Settings{Concurrency: -1}, "concurrency"},
		{"high concurrency", forward.Settings{Concurrency: 10_001}, "concurrency"},
		{"hasty pause", forward.Settings{PauseAfter: time.Second}, "pause_after"},
		{"late pause", forward.Settings{PauseAfter: 366 * 24 * time.Hour}, "pause_after"},
		{"no pause", forward.Settings{PauseAfter: -1}, ""},
		{"too many waits", forward.Settings{Retry: make([]time.Duration, 51)}, "retry"},
		{"long timeout", forward.Settings{Timeout: time.Hour}, "timeout"},
		{"short timeout", forward.Settings{Timeout: time.Millisecond}, "timeout"},
		{"negative timeout", forward.Settings{Timeout: -time.Second}, "timeout"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			err := row.s.Validate()
			var problems forward.Problems
			errors.As(err, &problems)
			if row.field == "" && err != nil || row.field != "" && (len(problems) != 1 || problems[0].Field != row.field) {
				t.Errorf("%v, want a problem of %q", err, row.field)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error shows the secret: %v", err)
			}
		})
	}
}

// What only the installation can say: tokens and their secrets travel encrypted,
// and a token address is guarded as the URL is.
func TestSettingsCheckOAuth2(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, url, tokenURL string
		public, private     string // the member that is wrong
	}{
		{"https", "https://a.example", "https://login.example", "", ""},
		{"token address in the clear", "https://a.example", "http://login.example", "oauth2.token_url", ""},
		{"receiver in the clear", "http://a.example", "https://login.example", "url", ""},
		{"token address is private", "https://a.example", "https://10.0.0.1/token", "oauth2.token_url", ""},
		{"token address is localhost", "https://a.example", "https://localhost:8443/token", "oauth2.token_url", ""},
		{"token address is metadata", "https://a.example", "https://[::ffff:169.254.169.254]/token", "oauth2.token_url", "oauth2.token_url"},
	} {
		s := forward.Settings{URL: row.url, OAuth2: &forward.OAuth2{TokenURL: row.tokenURL, ClientID: "i", ClientSecret: "s"}}
		for allow, field := range map[bool]string{false: row.public, true: row.private} {
			var problems forward.Problems
			errors.As(s.Check(registry(t), allow), &problems)
			if field == "" && len(problems) > 0 || field != "" && (len(problems) != 1 || problems[0].Field != field) {
				t.Errorf("%s, private networks allowed %v: %v, want a problem of %q", row.name, allow, problems, field)
			}
		}
	}
}

func TestCertificateExpires(t *testing.T) {
	t.Parallel()
	end := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	var s forward.Settings
	s.ClientCertificate, s.ClientKey = catest.New(t).ClientUntil("acme", end)
	if got := s.CertificateExpires(); !got.Equal(end) {
		t.Errorf("%s, want %s", got, end)
	}
	for _, text := range []string{"", "junk", s.ClientKey} {
		if got := (forward.Settings{ClientCertificate: text}).CertificateExpires(); !got.IsZero() {
			t.Errorf("of %.20q: %s", text, got)
		}
	}
}

func FuzzSettingsJSON(f *testing.F) {
	f.Add([]byte(`{"url":"https://a.example","triggers":["gmail.*",{"trigger":"a.b","params":{"c":"d"}}],"retry":["5s"],"timeout":"15s","raw":true}`))
	f.Add([]byte(`{"header_key":"X","header_value":"\u0000","secrets":["whsec_"]}`))
	f.Add([]byte(`{"client_certificate":"-----BEGIN CERTIFICATE-----","client_key":"","oauth2":{"token_url":"https://b.example","client_id":"i","client_secret":"s","scopes":[],"audience":""}}`))
	f.Add([]byte(`{"oauth2":null,"client_key":null}`))
	f.Add([]byte(`null`))
	f.Add([]byte(`{"retry":["-1ns","2562047h47m16.854775807s"]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var s forward.Settings
		if json.Unmarshal(b, &s) != nil {
			return
		}
		again, err := json.Marshal(s)
		if err != nil {
			t.Fatalf("read %s, but it cannot be written: %v", b, err)
		}
		var back forward.Settings
		if err := json.Unmarshal(again, &back); err != nil {
			t.Fatalf("%s was written, but cannot be read: %v", again, err)
		}
		last, err := json.Marshal(back)
		if err != nil || string(last) != string(again) {
			t.Fatalf("%s became %s (%v)", again, last, err)
		}
		if s.Validate() != nil {
			return
		}
		if strings.ContainsAny(s.HeaderKey+s.HeaderValue, "\r\n\x00") {
			t.Fatalf("accepted header %q: %q", s.HeaderKey, s.HeaderValue)
		}
	})
}
