package webhook_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/interactorhq/interactor/webhook"
)

// FuzzVerify: nothing but the one signed request passes, and nothing panics.
func FuzzVerify(f *testing.F) {
	seconds := fmt.Sprint(specSeconds)
	f.Add(specID, seconds, specV1, []byte(specBody))
	f.Add(specID, seconds, specV1a+" "+specV1, []byte(specBody))
	f.Add("a.b", "+1", "v1,", []byte(nil))
	f.Add("", "99999999999", "v1a,AAAA v9", []byte("\x00"))
	verifier := webhook.Verifier{Secrets: []string{specSecret, specPublic}, Now: specTime}
	f.Fuzz(func(t *testing.T, id, timestamp, signature string, body []byte) {
		h := http.Header{"Webhook-Id": {id}, "Webhook-Timestamp": {timestamp}, "Webhook-Signature": {signature}}
		err := verifier.Verify(h, body)
		if err == nil {
			if id != specID || timestamp != seconds || string(body) != specBody {
				t.Fatalf("accepted %q %q %q", id, timestamp, body)
			}
			if !strings.Contains(signature, specV1) && !strings.Contains(signature, specV1a) {
				t.Fatalf("accepted with %q", signature)
			}
			return
		}
		if !errors.Is(err, webhook.ErrHeader) && !errors.Is(err, webhook.ErrStale) && !errors.Is(err, webhook.ErrSignature) {
			t.Fatalf("unknown error %v", err)
		}
	})
}

// FuzzSign: what can be signed verifies, with every kind of secret.
func FuzzSign(f *testing.F) {
	f.Add("evt_1", int64(specSeconds), []byte(specBody))
	f.Add("a.b", int64(-1), []byte(nil))
	f.Add(strings.Repeat("x", 256), int64(99999999999), []byte{0xff})
	f.Fuzz(func(t *testing.T, id string, seconds int64, body []byte) {
		h, at := http.Header{}, time.Unix(seconds, 0)
		if webhook.Signer.Sign(webhook.Signer{Secrets: []string{specSecret, specPrivate}}, h, id, at, body) != nil {
			if len(h) != 0 {
				t.Fatalf("refused, but set %v", h)
			}
			return
		}
		for _, secret := range []string{specSecret, specPublic} {
			v := webhook.Verifier{Secrets: []string{secret}, Now: func() time.Time { return at }}
			if err := v.Verify(h, body); err != nil {
				t.Fatal(err)
			}
			if v.Verify(h, append([]byte("x"), body...)) == nil {
				t.Fatal("accepted another body")
			}
		}
	})
}

func FuzzValidateSecret(f *testing.F) {
	for _, s := range []string{specSecret, specPrivate, specPublic, "", "whsec_", specSecret + "\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		err := webhook.ValidateSecret(s)
		signErr := webhook.Signer{Secrets: []string{s}}.Sign(http.Header{}, "evt_1", specTime(), nil)
		if (err == nil) != (signErr == nil) {
			t.Fatalf("ValidateSecret says %v, Sign says %v", err, signErr)
		}
	})
}
