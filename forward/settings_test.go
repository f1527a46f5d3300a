package forward_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/trigger"
	"github.com/interactorhq/interactor/webhook"
)

func full() forward.Settings {
	return forward.Settings{
		URL: "https://app.example.com/events?token=hidden", HeaderKey: "X-Acme-Token", HeaderValue: "s3cr3t",
		Triggers: []trigger.Filter{{Trigger: "gmail.email.sent"}, {Trigger: "gmail.email.labeled", Params: map[string]string{"label": "<In>"}}},
		Secrets:  []string{webhook.NewSecret()}, Raw: true,
		Retry:   []time.Duration{5 * time.Second, 5 * time.Minute, 2 * time.Hour, 90 * time.Minute},
		Timeout: 10 * time.Second, RateLimit: 2.5, Concurrency: 4, Ordered: true, PauseAfter: 36 * time.Hour,
	}
}

func TestSettingsHideSecrets(t *testing.T) {
	t.Parallel()
	s := full()
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "settings", s, "pointer", &s)
	marshalled, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"%v": fmt.Sprintf("%v", s), "%+v": fmt.Sprintf("%+v", s), "%#v": fmt.Sprintf("%#v", s), "%s": fmt.Sprintf("%s", s),
		"%q": fmt.Sprintf("%q", s), "%x": fmt.Sprintf("%x", s), "pointer": fmt.Sprintf("%+v", &s), "inside": fmt.Sprintf("%+v", struct{ S forward.Settings }{s}),
		"slog": log.String(), "JSON": string(marshalled), "String": s.String(), "GoString": s.GoString(),
	} {
		for _, secret := range []string{s.HeaderValue, s.Secrets[0], s.Secrets[0][6:]} {
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
	want := `{"url":"https://app.example.com/events?token=hidden","header_key":"X-Acme-Token","triggers":[{"trigger":"gmail.email.sent"},{"trigger":"gmail.email.labeled","params":{"label":"\u003cIn\u003e"}}],"raw":true,"retry":["5s","5m","2h","1h30m"],"timeout":"10s","rate_limit":2.5,"concurrency":4,"ordered":true,"pause_after":"36h"}`
	if string(b) != want {
		t.Errorf("marshalled\n%s, want\n%s", b, want)
	}
	var back forward.Settings
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	s.HeaderValue, s.Secrets = "", nil
	if !reflect.DeepEqual(back, s) {
		t.Errorf("read back %#v, want %#v", back, s)
	}
	secrets := fmt.Sprintf(`{"url":"https://a.example","header_value":"v","secrets":[%q],"triggers":["gmail.*"]}`, webhook.NewSecret())
	if err := json.Unmarshal([]byte(secrets), &back); err != nil || back.HeaderValue != "v" || len(back.Secrets) != 1 || back.Raw || back.Timeout != 0 {
		t.Errorf("%v, %v: secrets are to be read, and the former value to be gone", back, err)
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
	for _, row := range []struct {
		name  string
		s     forward.Settings
		field string // "" : fine
	}{
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

func FuzzSettingsJSON(f *testing.F) {
	f.Add([]byte(`{"url":"https://a.example","triggers":["gmail.*",{"trigger":"a.b","params":{"c":"d"}}],"retry":["5s"],"timeout":"15s","raw":true}`))
	f.Add([]byte(`{"header_key":"X","header_value":"\u0000","secrets":["whsec_"]}`))
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
