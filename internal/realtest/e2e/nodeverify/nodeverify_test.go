package nodeverify_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/interactorhq/interactor/internal/realtest/e2e/nodeverify"
)

// The deliveries are signed by the official Go library, so that the test needs nothing of the product.
func TestVerify(t *testing.T) {
	t.Parallel()
	const (
		secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
		other  = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
		body   = `{"type":"gitea.issue.opened","title":"Grüße ☂"}`
	)
	now := time.Now()
	rows := []struct {
		name   string
		secret string
		at     time.Time
		change func(h http.Header, body *string)
		want   string // part of the verifier's reason; "" = it accepts
	}{
		{"signed with the secret", secret, now, nil, ""},
		{"signed with another secret", other, now, nil, "No matching signature"},
		{"a byte of the body changed", secret, now, func(_ http.Header, b *string) { *b += " " }, "No matching signature"},
		{"another id", secret, now, func(h http.Header, _ *string) { h.Set("webhook-id", "evt_2") }, "No matching signature"},
		{"too old", secret, now.Add(-time.Hour), nil, "too old"},
		{"from the future", secret, now.Add(time.Hour), nil, "too new"},
		{"no signature", secret, now, func(h http.Header, _ *string) { h.Del("webhook-signature") }, "Missing required headers"},
		{"two signatures, one of them right", secret, now, func(h http.Header, _ *string) {
			h.Set("webhook-signature", "v1,AAAA "+h.Get("webhook-signature"))
		}, ""},
	}
	deliveries := make([]nodeverify.Delivery, len(rows))
	for i, row := range rows {
		header, payload := sign(t, row.secret, "evt_1", row.at, body), body
		if row.change != nil {
			row.change(header, &payload)
		}
		deliveries[i] = nodeverify.Delivery{Secret: secret, Header: header, Body: []byte(payload)}
	}
	for i, err := range nodeverify.Verify(t, deliveries...) {
		switch want := rows[i].want; {
		case want == "" && err != nil:
			t.Errorf("%s: refused with %q, want accepted", rows[i].name, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: the verdict is %v, want a refusal that says %q", rows[i].name, err, want)
		}
	}
}

func sign(t *testing.T, secret, id string, at time.Time, body string) http.Header {
	t.Helper()
	signer, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := signer.Sign(id, at, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	header := http.Header{}
	header.Set("webhook-id", id)
	header.Set("webhook-timestamp", strconv.FormatInt(at.Unix(), 10))
	header.Set("webhook-signature", signature)
	return header
}
