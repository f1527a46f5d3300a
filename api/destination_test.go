package api_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/internal/catest"
	"github.com/interactorhq/interactor/trigger"
)

// The secrets of a destination are written and never shown; a body that says
// nothing about them keeps them, for the same client at the same server.
func TestForwardingDestination(t *testing.T) {
	t.Parallel()
	in := install(t)
	ca := catest.New(t)
	end := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	certificate, key := ca.ClientUntil("acme", end)
	quoted := func(s string) string { b, _ := json.Marshal(s); return string(b) }
	const base = `"url":"https://a.example.com/","triggers":["shop.*"]`
	type view struct {
		Certificate string    `json:"client_certificate"`
		Expires     time.Time `json:"client_certificate_expires_at"`
		OAuth2      *struct {
			TokenURL string   `json:"token_url"`
			ClientID string   `json:"client_id"`
			Scopes   []string `json:"scopes"`
		} `json:"oauth2"`
	}
	own := func() forward.Settings {
		t.Helper()
		f, err := in.deployments.Forwarding(t.Context(), in.prod)
		if err != nil {
			t.Fatal(err)
		}
		return f.Settings
	}
	for _, step := range []struct {
		name, body  string
		key, secret string // what is stored then
		field       string // of the refusal; "": accepted
	}{
		{"certificate and key", `{` + base + `,"client_certificate":` + quoted(certificate) + `,"client_key":` + quoted(key) + `}`, key, "", ""},
		{"key absent", `{` + base + `,"client_certificate":` + quoted(certificate) + `}`, key, "", ""},
		{"key removed", `{` + base + `,"client_certificate":` + quoted(certificate) + `,"client_key":""}`, key, "", "client_key"},
		{"http", `{"url":"http://a.example.com/","triggers":["shop.*"],"client_certificate":` + quoted(certificate) + `}`, key, "", "client_certificate"},
		{"with oauth2", `{` + base + `,"client_certificate":` + quoted(certificate) + `,"oauth2":{"token_url":"https://login.example.com/t","client_id":"i","client_secret":"first-s3cr3t","scopes":["a"]}}`, key, "first-s3cr3t", ""},
		{"secret absent", `{` + base + `,"client_certificate":` + quoted(certificate) + `,"oauth2":{"token_url":"https://login.example.com/t","client_id":"i","scopes":["b"]}}`, key, "first-s3cr3t", ""},
		{"another token address", `{` + base + `,"client_certificate":` + quoted(certificate) + `,"oauth2":{"token_url":"https://evil.example.com/t","client_id":"i"}}`, key, "first-s3cr3t", "oauth2.client_secret"},
		{"another client", `{` + base + `,"client_certificate":` + quoted(certificate) + `,"oauth2":{"token_url":"https://login.example.com/t","client_id":"j"}}`, key, "first-s3cr3t", "oauth2.client_secret"},
		{"beside Authorization", `{` + base + `,"header_key":"Authorization","header_value":"x","client_certificate":` + quoted(certificate) + `,"oauth2":{"token_url":"https://login.example.com/t","client_id":"i"}}`, key, "first-s3cr3t", "header_key"},
		{"private token address", `{` + base + `,"oauth2":{"token_url":"https://10.0.0.1/t","client_id":"i","client_secret":"x"}}`, key, "first-s3cr3t", "oauth2.token_url"},
		{"null", `{` + base + `,"oauth2":null}`, key, "first-s3cr3t", "oauth2"},
		{"unknown member", `{` + base + `,"oauth2":{"token_uri":"x"}}`, key, "first-s3cr3t", "oauth2"},
		{"another secret, no certificate", `{` + base + `,"oauth2":{"token_url":"https://login.example.com/t","client_id":"i","client_secret":"second-s3cr3t"}}`, "", "second-s3cr3t", ""},
		{"key alone", `{` + base + `,"client_key":` + quoted(key) + `}`, "", "second-s3cr3t", "client_certificate"},
		{"nothing of it", `{` + base + `}`, "", "", ""},
	} {
		got := in.call(t, "PUT", "/forwarding", in.key, step.body)
		if step.field == "" && got.status != 200 || step.field != "" && (got.status != 400 || got.field() != step.field) {
			t.Errorf("%s: %d %s, want a problem of %q", step.name, got.status, got.body, step.field)
		}
		s := own()
		secret := ""
		if s.OAuth2 != nil {
			secret = s.OAuth2.ClientSecret
		}
		if s.ClientKey != step.key || secret != step.secret {
			t.Errorf("%s: key kept %v, secret %q, want %q", step.name, s.ClientKey == step.key, secret, step.secret)
		}
		shown := in.call(t, "GET", "/forwarding", in.key, "")
		var v view
		shown.json(t, &v)
		if v.Certificate != s.ClientCertificate || !v.Expires.Equal(s.CertificateExpires()) || (v.OAuth2 == nil) != (s.OAuth2 == nil) {
			t.Errorf("%s: shown as %s", step.name, shown.body)
		}
		for _, text := range []string{got.body, shown.body, in.log.String()} {
			if strings.Contains(text, "s3cr3t") || strings.Contains(text, "PRIVATE KEY") {
				t.Errorf("%s: a secret came back, or is in the log: %s", step.name, text)
			}
		}
	}
	// An Environment's first own settings take no secret of the Deployment over.
	if got := in.call(t, "DELETE", "/forwarding", in.key, ""); got.status != 204 {
		t.Fatal(got.body)
	}
	all := forward.Settings{
		URL: "https://app.example.com/events", Triggers: trigger.List("shop.*"), ClientCertificate: certificate, ClientKey: key,
		OAuth2: &forward.OAuth2{TokenURL: "https://login.example.com/t", ClientID: "i", ClientSecret: "deployment-s3cr3t"},
	}
	if err := in.deployments.SetForwarding(t.Context(), in.deployment.ID, all); err != nil {
		t.Fatal(err)
	}
	for field, body := range map[string]string{
		"client_key":           `{` + base + `,"client_certificate":` + quoted(certificate) + `}`,
		"oauth2.client_secret": `{` + base + `,"oauth2":{"token_url":"https://login.example.com/t","client_id":"i"}}`,
	} {
		if got := in.call(t, "PUT", "/forwarding", in.key, body); got.status != 400 || got.field() != field {
			t.Errorf("the Deployment's secret was taken over: %d %s", got.status, got.body)
		}
	}
}
