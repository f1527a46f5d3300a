package signature_test

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/connector/signature"
	"github.com/interactorhq/interactor/webhook"
)

var now = time.Unix(1_700_000_000, 0).UTC()

// family is one scheme with a sender that was written apart from the verifier.
type family struct {
	name      string
	verifier  connector.Verifier
	secret    string
	wrong     string
	sign      func(in *connector.Inbound, secret string, at time.Time)
	headers   []string // each is needed
	coversURL bool
	bodyless  bool // the proof does not cover the body
	timeless  bool // the proof does not cover a time
}

func mac(h func() hash.Hash, key []byte, parts ...string) []byte {
	m := hmac.New(h, key)
	for _, p := range parts {
		m.Write([]byte(p))
	}
	return m.Sum(nil)
}

func seconds(t time.Time) string { return fmt.Sprint(t.Unix()) }

func families() []family {
	public, private, _ := ed25519.GenerateKey(strings.NewReader(strings.Repeat("k", 64)))
	other, _, _ := ed25519.GenerateKey(strings.NewReader(strings.Repeat("o", 64)))
	b64 := base64.StdEncoding
	set := func(in *connector.Inbound, name, value string) { in.Header.Set(name, value) }
	return []family{
		{name: "hex with prefix", verifier: signature.HMAC{Header: "X-Hub-Signature-256", Prefix: "sha256="},
			headers: []string{"X-Hub-Signature-256"}, timeless: true,
			sign: func(in *connector.Inbound, s string, _ time.Time) {
				set(in, "X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac(sha256.New, []byte(s), string(in.Body))))
			}},
		{name: "SHA-1", verifier: signature.HMAC{Header: "X-Hub-Signature", Prefix: "sha1=", Hash: signature.SHA1},
			headers: []string{"X-Hub-Signature"}, timeless: true,
			sign: func(in *connector.Inbound, s string, _ time.Time) {
				set(in, "X-Hub-Signature", "sha1="+hex.EncodeToString(mac(sha1.New, []byte(s), string(in.Body))))
			}},
		{name: "SHA-512", verifier: signature.HMAC{Header: "X-Sig", Hash: signature.SHA512},
			headers: []string{"X-Sig"}, timeless: true,
			sign: func(in *connector.Inbound, s string, _ time.Time) {
				set(in, "X-Sig", hex.EncodeToString(mac(sha512.New, []byte(s), string(in.Body))))
			}},
		{name: "base64", verifier: signature.HMAC{Header: "X-Shopify-Hmac-Sha256", Encoding: signature.Base64},
			headers: []string{"X-Shopify-Hmac-Sha256"}, timeless: true,
			sign: func(in *connector.Inbound, s string, _ time.Time) {
				set(in, "X-Shopify-Hmac-Sha256", b64.EncodeToString(mac(sha256.New, []byte(s), string(in.Body))))
			}},
		{name: "base64 key", verifier: signature.HMAC{Header: "X-Airtable-Content-Mac", Prefix: "hmac-sha256=", Key: signature.Base64Key},
			headers: []string{"X-Airtable-Content-Mac"}, timeless: true,
			secret: b64.EncodeToString([]byte("the key itself")), wrong: b64.EncodeToString([]byte("another key")),
			sign: func(in *connector.Inbound, s string, _ time.Time) {
				key, _ := b64.DecodeString(s)
				set(in, "X-Airtable-Content-Mac", "hmac-sha256="+hex.EncodeToString(mac(sha256.New, key, string(in.Body))))
			}},
		{name: "Slack", verifier: signature.HMAC{Header: "X-Slack-Signature", Prefix: "v0=", Base: signature.V0,
			Timestamp: &signature.Timestamp{Header: "X-Slack-Request-Timestamp"}},
			headers: []string{"X-Slack-Signature", "X-Slack-Request-Timestamp"},
			sign: func(in *connector.Inbound, s string, at time.Time) {
				set(in, "X-Slack-Request-Timestamp", seconds(at))
				set(in, "X-Slack-Signature", "v0="+hex.EncodeToString(mac(sha256.New, []byte(s), "v0:", seconds(at), ":", string(in.Body))))
			}},
		{name: "Stripe, several", verifier: signature.HMAC{Header: "Stripe-Signature", Prefix: "v1=", Separator: ",",
			Base: signature.TimestampDotBody, Timestamp: &signature.Timestamp{Element: "t"}},
			headers: []string{"Stripe-Signature"},
			sign: func(in *connector.Inbound, s string, at time.Time) {
				old := hex.EncodeToString(mac(sha256.New, []byte("rotated"), "x"))
				set(in, "Stripe-Signature", "t="+seconds(at)+",v1="+old+", v1="+
					hex.EncodeToString(mac(sha256.New, []byte(s), seconds(at), ".", string(in.Body)))+",v0=00")
			}},
		{name: "Zendesk", verifier: signature.HMAC{Header: "X-Zendesk-Webhook-Signature", Encoding: signature.Base64,
			Base: signature.TimestampBody, Timestamp: &signature.Timestamp{Header: "X-Zendesk-Webhook-Signature-Timestamp", Parse: signature.RFC3339}},
			headers: []string{"X-Zendesk-Webhook-Signature", "X-Zendesk-Webhook-Signature-Timestamp"},
			sign: func(in *connector.Inbound, s string, at time.Time) {
				ts := at.UTC().Format(time.RFC3339)
				set(in, "X-Zendesk-Webhook-Signature-Timestamp", ts)
				set(in, "X-Zendesk-Webhook-Signature", b64.EncodeToString(mac(sha256.New, []byte(s), ts, string(in.Body))))
			}},
		{name: "HubSpot", verifier: signature.HMAC{Header: "X-Hubspot-Signature-V3", Encoding: signature.Base64,
			Base: signature.MethodURLBodyTimestamp, Timestamp: &signature.Timestamp{Header: "X-Hubspot-Request-Timestamp", Parse: signature.UnixMillis}},
			headers: []string{"X-Hubspot-Signature-V3", "X-Hubspot-Request-Timestamp"}, coversURL: true,
			sign: func(in *connector.Inbound, s string, at time.Time) {
				ts := fmt.Sprint(at.UnixMilli())
				set(in, "X-Hubspot-Request-Timestamp", ts)
				set(in, "X-Hubspot-Signature-V3", b64.EncodeToString(mac(sha256.New, []byte(s), in.Method, in.URL, string(in.Body), ts)))
			}},
		{name: "Trello", verifier: signature.HMAC{Header: "X-Trello-Webhook", Encoding: signature.Base64, Hash: signature.SHA1, Base: signature.BodyURL},
			headers: []string{"X-Trello-Webhook"}, coversURL: true, timeless: true,
			sign: func(in *connector.Inbound, s string, _ time.Time) {
				set(in, "X-Trello-Webhook", b64.EncodeToString(mac(sha1.New, []byte(s), string(in.Body), in.URL)))
			}},
		{name: "token", verifier: signature.Token{Header: "X-Telegram-Bot-Api-Secret-Token"},
			headers: []string{"X-Telegram-Bot-Api-Secret-Token"}, bodyless: true, timeless: true,
			sign: func(in *connector.Inbound, s string, _ time.Time) { set(in, "X-Telegram-Bot-Api-Secret-Token", s) }},
		{name: "bearer", verifier: signature.Bearer{}, headers: []string{"Authorization"}, bodyless: true, timeless: true,
			sign: func(in *connector.Inbound, s string, _ time.Time) { set(in, "Authorization", "bearer "+s) }},
		{name: "basic", verifier: signature.BasicAuth{Username: "alice"}, headers: []string{"Authorization"}, bodyless: true, timeless: true,
			sign: func(in *connector.Inbound, s string, _ time.Time) {
				set(in, "Authorization", "Basic "+b64.EncodeToString([]byte("alice:"+s)))
			}},
		{name: "Standard Webhooks", verifier: signature.StandardWebhooks{},
			headers: []string{"Webhook-Id", "Webhook-Timestamp", "Webhook-Signature"},
			secret:  "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", wrong: "whsec_" + b64.EncodeToString([]byte("another key, of 24 byte.")),
			sign: func(in *connector.Inbound, s string, at time.Time) {
				if err := (webhook.Signer{Secrets: []string{s}}).Sign(in.Header, "msg_1", at, in.Body); err != nil {
					panic(err)
				}
			}},
		{name: "Ed25519", verifier: signature.Ed25519{Header: "X-Signature-Ed25519", TimestampHeader: "X-Signature-Timestamp"},
			headers: []string{"X-Signature-Ed25519", "X-Signature-Timestamp"},
			secret:  hex.EncodeToString(public), wrong: hex.EncodeToString(other),
			sign: func(in *connector.Inbound, _ string, at time.Time) {
				set(in, "X-Signature-Timestamp", seconds(at))
				set(in, "X-Signature-Ed25519", hex.EncodeToString(ed25519.Sign(private, []byte(seconds(at)+string(in.Body)))))
			}},
		{name: "JWT", verifier: signature.JWT{Scheme: "Bearer", MaxAge: 5 * time.Minute, Audience: func(in *connector.Inbound) string { return in.URL }},
			headers: []string{"Authorization"}, bodyless: true, coversURL: true,
			sign: func(in *connector.Inbound, s string, at time.Time) {
				t := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"aud": in.URL, "iat": at.Unix(), "exp": at.Add(3 * time.Minute).Unix()})
				text, _ := t.SignedString([]byte(s))
				set(in, "Authorization", "Bearer "+text)
			}},
	}
}

func (f family) secrets() (right, wrong string) {
	if f.secret == "" {
		return "the right secret", "a wrong secret!!"
	}
	return f.secret, f.wrong
}

// request is a signed one that verifies.
func (f family) request(at time.Time) *connector.Inbound {
	in := &connector.Inbound{
		Method: http.MethodPost, URL: "https://hooks.example.com/webhooks/x?a=1", Header: http.Header{"Accept": {"*/*"}},
		Body: []byte(`{"hello":"world"}`), ReceivedAt: now,
	}
	right, _ := f.secrets()
	in.Secrets = []string{right}
	f.sign(in, right, at)
	return in
}

func TestFamiliesAccept(t *testing.T) {
	t.Parallel()
	for _, f := range families() {
		right, wrong := f.secrets()
		for name, in := range map[string]*connector.Inbound{
			"as signed":                 f.request(now),
			"a little late":             f.request(now.Add(-2 * time.Minute)),
			"a little early":            f.request(now.Add(30 * time.Second)),
			"an old secret second":      with(f.request(now), func(in *connector.Inbound) { in.Secrets = []string{wrong, right} }),
			"a new secret not used yet": with(f.request(now), func(in *connector.Inbound) { in.Secrets = []string{right, wrong} }),
		} {
			t.Run(f.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				if err := f.verifier.Verify(t.Context(), in); err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}

func with(in *connector.Inbound, change func(*connector.Inbound)) *connector.Inbound {
	change(in)
	return in
}

func TestFamiliesRefuse(t *testing.T) {
	t.Parallel()
	for _, f := range families() {
		right, wrong := f.secrets()
		cases := map[string]*connector.Inbound{
			"no secret":                   with(f.request(now), func(in *connector.Inbound) { in.Secrets = nil }),
			"an empty secret":             with(f.request(now), func(in *connector.Inbound) { in.Secrets = []string{""} }),
			"an empty secret beside it":   with(f.request(now), func(in *connector.Inbound) { in.Secrets = []string{right, ""} }),
			"signed with an empty secret": emptySigned(f),
			"only a wrong secret":         with(f.request(now), func(in *connector.Inbound) { in.Secrets = []string{wrong} }),
			"too many secrets":            with(f.request(now), func(in *connector.Inbound) { in.Secrets = slices.Repeat([]string{right}, 17) }),
			"no headers":                  with(f.request(now), func(in *connector.Inbound) { in.Header = nil }),
		}
		if !f.bodyless {
			cases["another body"] = with(f.request(now), func(in *connector.Inbound) { in.Body = []byte(`{"hello":"World"}`) })
			cases["no body"] = with(f.request(now), func(in *connector.Inbound) { in.Body = nil })
			cases["a longer body"] = with(f.request(now), func(in *connector.Inbound) { in.Body = append(in.Body, '\n') })
		}
		if f.coversURL {
			cases["another URL"] = with(f.request(now), func(in *connector.Inbound) { in.URL += "2" })
		}
		if !f.timeless {
			cases["stale"] = f.request(now.Add(-time.Hour))
			cases["from the future"] = f.request(now.Add(time.Hour))
			cases["no time of receipt"] = with(f.request(now), func(in *connector.Inbound) { in.ReceivedAt = time.Time{} })
		}
		for _, h := range f.headers {
			cases[h+" missing"] = with(f.request(now), func(in *connector.Inbound) { in.Header.Del(h) })
			cases[h+" empty"] = with(f.request(now), func(in *connector.Inbound) { in.Header.Set(h, "") })
			cases[h+" twice"] = with(f.request(now), func(in *connector.Inbound) { in.Header.Add(h, in.Header.Get(h)) })
			cases[h+" after a forged one"] = with(f.request(now), func(in *connector.Inbound) { in.Header[h] = []string{"x", in.Header.Get(h)} })
			cases[h+" garbage"] = with(f.request(now), func(in *connector.Inbound) { in.Header.Set(h, "garbage") })
			cases[h+" huge"] = with(f.request(now), func(in *connector.Inbound) { in.Header.Set(h, in.Header.Get(h)+strings.Repeat(",", 9<<10)) })
			cases[h+" cut"] = with(f.request(now), func(in *connector.Inbound) { v := in.Header.Get(h); in.Header.Set(h, v[:len(v)-2]) })
		}
		for _, name := range slices.Sorted(maps.Keys(cases)) {
			if f.name == "Stripe, several" && name == "Stripe-Signature cut" {
				continue // cuts the v0 element, which is not looked at
			}
			in := cases[name]
			t.Run(f.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				err := f.verifier.Verify(t.Context(), in)
				if !errors.Is(err, connector.ErrUnproven) {
					t.Fatalf("want ErrUnproven, got %v", err)
				}
				if strings.Contains(err.Error(), right) {
					t.Errorf("the error shows the secret: %v", err)
				}
			})
		}
	}
}

// emptySigned is what an attacker sends who hopes for an empty secret.
func emptySigned(f family) *connector.Inbound {
	in := f.request(now)
	if f.secret == "" { // else an empty key cannot even sign
		f.sign(in, "", now)
	}
	in.Secrets = []string{""}
	return in
}

// Vectors that the providers publish.
func TestVectors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		verifier connector.Verifier
		in       connector.Inbound
	}{
		{"GitHub", signature.HMAC{Header: "X-Hub-Signature-256", Prefix: "sha256="}, connector.Inbound{
			Body: []byte("Hello, World!"), Secrets: []string{"It's a Secret to Everybody"},
			Header: http.Header{"X-Hub-Signature-256": {"sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"}},
		}},
		{"Jira", signature.HMAC{Header: "X-Hub-Signature", Prefix: "sha256="}, connector.Inbound{
			Body: []byte("Hello World!"), Secrets: []string{"It's a Secret to Everybody"},
			Header: http.Header{"X-Hub-Signature": {"sha256=a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9"}},
		}},
		{"Slack", signature.HMAC{Header: "X-Slack-Signature", Prefix: "v0=", Base: signature.V0,
			Timestamp: &signature.Timestamp{Header: "X-Slack-Request-Timestamp"}}, connector.Inbound{
			ReceivedAt: time.Unix(1531420620, 0), Secrets: []string{"8f742231b10e8888abcd99yyyzzz85a5"},
			Body: []byte("token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"),
			Header: http.Header{"X-Slack-Signature": {"v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"},
				"X-Slack-Request-Timestamp": {"1531420618"}},
		}},
		{"Twilio", signature.HMAC{Header: "X-Twilio-Signature", Encoding: signature.Base64, Hash: signature.SHA1, Base: signature.URLForm}, connector.Inbound{
			URL: "https://mycompany.com/myapp.php?foo=1&bar=2", Secrets: []string{"12345"},
			Body:   []byte("CallSid=CA1234567890ABCDE&Caller=%2B12349013030&Digits=1234&From=%2B12349013030&To=%2B18005551212"),
			Header: http.Header{"X-Twilio-Signature": {"0/KCTR6DLpKmkAf8muzZqo1nDgQ="}},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if err := c.verifier.Verify(t.Context(), &c.in); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAlgorithms(t *testing.T) {
	t.Parallel()
	sign := func(method jwt.SigningMethod, key any, header map[string]any, claims jwt.MapClaims) *connector.Inbound {
		token := jwt.NewWithClaims(method, claims)
		maps.Copy(token.Header, header)
		text, err := token.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return &connector.Inbound{ReceivedAt: now, Secrets: []string{"secret"}, Header: http.Header{"Authorization": {"Bearer " + text}}}
	}
	exp := jwt.MapClaims{"exp": now.Add(time.Minute).Unix()}
	hs := jwt.SigningMethodHS256
	hmacSigned := (families()[0]).request(now)
	for _, c := range []struct {
		name     string
		verifier connector.Verifier
		in       *connector.Inbound
		ok       bool
	}{
		{"HS256", signature.JWT{Scheme: "Bearer"}, sign(hs, []byte("secret"), nil, exp), true},
		{"none", signature.JWT{Scheme: "Bearer"}, sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil, exp), false},
		{"HS512", signature.JWT{Scheme: "Bearer"}, sign(jwt.SigningMethodHS512, []byte("secret"), nil, exp), false},
		{"crit", signature.JWT{Scheme: "Bearer"}, sign(hs, []byte("secret"), map[string]any{"crit": []string{"b64"}}, exp), false},
		{"no exp", signature.JWT{Scheme: "Bearer"}, sign(hs, []byte("secret"), nil, jwt.MapClaims{}), false},
		{"not yet valid", signature.JWT{Scheme: "Bearer"}, sign(hs, []byte("secret"), nil, jwt.MapClaims{"exp": exp["exp"], "nbf": now.Add(time.Hour).Unix()}), false},
		{"no iat with MaxAge", signature.JWT{Scheme: "Bearer", MaxAge: time.Minute}, sign(hs, []byte("secret"), nil, exp), false},
		{"another issuer", signature.JWT{Scheme: "Bearer", Issuer: "me"}, sign(hs, []byte("secret"), nil, exp), false},
		{"an empty audience asked for", signature.JWT{Scheme: "Bearer", Audience: func(*connector.Inbound) string { return "" }}, sign(hs, []byte("secret"), nil, exp), false},
		{"another scheme", signature.JWT{Scheme: "JWT"}, sign(hs, []byte("secret"), nil, exp), false},
		{"HMAC with an unknown hash", signature.HMAC{Header: "X-Hub-Signature-256", Prefix: "sha256=", Hash: 9}, hmacSigned, false},
		{"HMAC with an unknown encoding", signature.HMAC{Header: "X-Hub-Signature-256", Prefix: "sha256=", Encoding: 9}, hmacSigned, false},
		{"HMAC with an unknown key form", signature.HMAC{Header: "X-Hub-Signature-256", Prefix: "sha256=", Key: 9}, hmacSigned, false},
		{"HMAC of another algorithm", signature.HMAC{Header: "X-Hub-Signature-256", Prefix: "sha512=", Hash: signature.SHA512}, hmacSigned, false},
		{"the zero HMAC", signature.HMAC{}, hmacSigned, false},
		{"the zero Token", signature.Token{}, hmacSigned, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			err := c.verifier.Verify(t.Context(), c.in)
			if c.ok && err != nil || !c.ok && !errors.Is(err, connector.ErrUnproven) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestBasicAuth(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, username, sent string
		ok                   bool
	}{
		{"right", "alice", "alice:pass:word", true},
		{"another user", "bob", "alice:pass:word", false},
		{"no user expected", "", "alice:pass:word", false},
		{"no user at all", "", ":pass:word", true},
		{"another password", "alice", "alice:pass", false},
		{"no colon", "alice", "alice", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			in := &connector.Inbound{Secrets: []string{"pass:word"}, Header: http.Header{
				"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(c.sent))}}}
			if err := (signature.BasicAuth{Username: c.username}).Verify(t.Context(), in); (err == nil) != c.ok {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestManySignatures(t *testing.T) {
	t.Parallel()
	v := signature.HMAC{Header: "X-Pagerduty-Signature", Prefix: "v1=", Separator: ","}
	good := "v1=" + hex.EncodeToString(mac(sha256.New, []byte("s"), "body"))
	bad := "v1=" + strings.Repeat("00", 32)
	for _, c := range []struct {
		name   string
		before int
		ok     bool
	}{{"the last of 16", 15, true}, {"the 17th", 16, false}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			in := &connector.Inbound{Body: []byte("body"), Secrets: []string{"s"}, Header: http.Header{
				"X-Pagerduty-Signature": {strings.Repeat(bad+",", c.before) + good}}}
			if err := v.Verify(t.Context(), in); (err == nil) != c.ok {
				t.Errorf("got %v", err)
			}
		})
	}
}
