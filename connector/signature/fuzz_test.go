package signature_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/interactorhq/interactor/connector"
)

// FuzzVerify sends anything to every family: it must neither panic nor be
// proven, for who does not hold the secret.
func FuzzVerify(f *testing.F) {
	all := families()
	for i, family := range all {
		in := family.request(now)
		first := in.Header.Get(family.headers[0])
		second := ""
		if len(family.headers) > 1 {
			second = in.Header.Get(family.headers[1])
		}
		f.Add(uint8(i), first, second, in.Body, in.URL)
	}
	f.Fuzz(func(t *testing.T, which uint8, first, second string, body []byte, url string) {
		family := all[int(which)%len(all)]
		right, wrong := family.secrets()
		in := &connector.Inbound{Method: http.MethodPost, URL: url, Body: body, ReceivedAt: now, Header: http.Header{}}
		for i, name := range family.headers {
			switch i {
			case 0:
				in.Header.Set(name, first)
			case 1:
				in.Header.Set(name, second)
			default:
				in.Header.Set(name, "1")
			}
		}
		in.Secrets = []string{wrong}
		if err := family.verifier.Verify(t.Context(), in); !errors.Is(err, connector.ErrUnproven) && !guessable(family) {
			t.Errorf("%s: got %v for what nobody signed", family.name, err)
		}
		in.Secrets = []string{right}
		if err := family.verifier.Verify(t.Context(), in); err != nil && !errors.Is(err, connector.ErrUnproven) {
			t.Errorf("%s: an error of another kind: %v", family.name, err)
		}
		in.ReceivedAt = time.Time{}
		_ = family.verifier.Verify(t.Context(), in)
	})
}

// guessable: the secret itself is what is sent, and a fuzzer can read it in the
// comparisons of this process. A MAC it cannot make.
func guessable(f family) bool { return f.bodyless && f.name != "JWT" }
